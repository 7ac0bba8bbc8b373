//! Reads one tile of a planned tensor, 16 rows of floats, from its sources.

import ModelFile
import Tensors

/// Gathers the rows of tiles of one tensor. Holds a tile of floats and as much staging; one a thread.
@safe struct TileReader: ~Copyable {
    let plan: TensorPlan
    let source: any TensorSource
    private let columns: Int
    private let paddedColumns: Int
    private let staging: UnsafeMutableBufferPointer<Float>
    /// Float32 `[16][paddedColumns]`.
    let tile: UnsafeMutableBufferPointer<Float>

    init(plan: TensorPlan, source: any TensorSource, paddedColumns: Int) {
        self.plan = plan
        self.source = source
        columns = plan.target.columns
        self.paddedColumns = paddedColumns
        unsafe staging = .allocate(capacity: WeightLayout.tileRows * columns)
        unsafe tile = .allocate(capacity: WeightLayout.tileRows * paddedColumns)
        unsafe staging.initialize(repeating: 0)
        unsafe tile.initialize(repeating: 0)
    }

    deinit {
        unsafe staging.deallocate()
        unsafe tile.deallocate()
    }

    /// Reads tile `index` to `tile`, zeros as padding. Returns the largest magnitude. A weight that is not a
    /// finite number is an error that names the tensor and the place.
    func read(_ index: Int) throws(CheckpointError) -> Float {
        let first = index * WeightLayout.tileRows
        let rows = first..<min(first + WeightLayout.tileRows, plan.target.rows)
        if rows.count < WeightLayout.tileRows { unsafe tile.update(repeating: 0) }
        var peak: Float = 0
        for run in plan.runs(for: rows) {
            let count = run.sourceRows.count * columns
            let values = unsafe UnsafeMutableBufferPointer(rebasing: staging[..<count])
            unsafe try source.read(run.part.source, rows: run.sourceRows, into: values)
            let magnitude = unsafe Self.magnitude(values)
            guard magnitude.isFinite else { throw unsafe notFinite(values, run) }
            peak = max(peak, magnitude)
            for row in 0..<run.sourceRows.count {
                let target = run.first + row * run.stride - first
                unsafe place(
                    values.baseAddress! + row * columns, to: tile.baseAddress! + target * paddedColumns)
            }
        }
        return peak
    }

    /// Copies a row; where it is a convolution's, channels go behind taps.
    private func place(_ row: UnsafePointer<Float>, to target: UnsafeMutablePointer<Float>) {
        guard let taps = plan.taps else {
            unsafe target.update(from: row, count: columns)
            return
        }
        let channels = columns / taps
        for channel in 0..<channels {
            for tap in 0..<taps {
                unsafe target[tap * channels + channel] = row[channel * taps + tap]
            }
        }
    }

    /// The largest magnitude; infinite or NaN where a value is not finite.
    static func magnitude(_ values: UnsafeMutableBufferPointer<Float>) -> Float {
        var largest: UInt32 = 0
        // The bits of positive floats are ordered as the floats are, with NaN above infinity.
        for index in 0..<values.count {
            largest = unsafe max(largest, values[index].bitPattern & 0x7FFF_FFFF)
        }
        return Float(bitPattern: largest)
    }

    private func notFinite(_ values: UnsafeMutableBufferPointer<Float>, _ run: TensorPlan.Run)
        -> CheckpointError
    {
        let index = unsafe values.firstIndex { !$0.isFinite } ?? 0
        let (row, column) = (run.sourceRows.lowerBound + index / columns, index % columns)
        return CheckpointError(
            .value, file: source.location,
            "tensor \(run.part.source.name) has \(unsafe values[index]) at row \(row), column \(column)")
    }
}
