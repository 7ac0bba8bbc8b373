//! Reads 16 rows of floats of a planned tensor from its sources, and lends them column by column.

import ModelFile
import Tensors

/// The rows of one tile, or of a strip of its columns. Holds half a megabyte of floats whatever the tensor,
/// and where a convolution's weight is reordered one of its rows. Unchecked: one thread uses it at a time.
@safe final class TileReader: @unchecked Sendable {
    /// The rows in the order in which they were read, and behind them a row of zeros.
    private let values: UnsafeMutableBufferPointer<Float>
    private let room: HostBuffer
    /// Where each row of the tile begins in `values`.
    private var starts = [Int](repeating: zerosStart, count: WeightLayout.tileRows)
    /// Columns that are not padding.
    private var columnCount = 0
    private var sourceRow: [Float] = []

    private static let zerosStart = MatrixPieces.maximumElementCount

    /// Throws `outOfMemory`, which names `file`.
    init(for file: String) throws(ModelFileError) {
        let count = Self.zerosStart + MatrixPieces.maximumColumnCount
        room = try HostBuffer(byteCount: count * 4, for: "rows of weights", of: file)
        unsafe values = room.bytes.bindMemory(to: Float.self)
    }

    /// Reads a strip of tile `index`; returns the largest magnitude. A weight that is not a finite number is
    /// an error that names the tensor and the place.
    func read(
        _ index: Int, columns: Range<Int>, of plan: TensorPlan, from source: any TensorSource
    ) throws(CheckpointError) -> Float {
        let first = index * WeightLayout.tileRows
        let rows = first..<min(first + WeightLayout.tileRows, plan.target.rows)
        let columns = columns.clamped(to: 0..<plan.target.columns)
        columnCount = columns.count
        for row in starts.indices { starts[row] = Self.zerosStart }
        var (peak, used) = (Float(0), 0)
        for run in plan.runs(for: rows) {
            // Where whole rows are wanted, all of a run are read at once.
            let isWhole = plan.taps == nil && columns.count == plan.target.columns
            let height = isWhole ? max(1, run.sourceRows.count) : 1
            for row in stride(from: 0, to: run.sourceRows.count, by: height) {
                let room = unsafe UnsafeMutableBufferPointer(
                    rebasing: values[used..<(used + height * columnCount)])
                let sourceRow = run.sourceRows.lowerBound + row
                let magnitude =
                    if let taps = plan.taps {
                        unsafe try read(
                            sourceRow, columns, taps: taps, of: run.part.source, from: source, into: room)
                    } else {
                        unsafe try Self.read(
                            run.part.source, from: source,
                            at: sourceRow * plan.target.columns + columns.lowerBound, into: room)
                    }
                peak = max(peak, magnitude)
                for step in 0..<height {
                    starts[run.first + (row + step) * run.stride - first] = used
                    used += columnCount
                }
            }
        }
        return peak
    }

    /// Writes columns of what was read to `lanes`, float32 `[columns.count][16]`; zeros for padding.
    /// `columns` count from the start of the strip.
    func transpose(_ columns: Range<Int>, to lanes: UnsafeMutablePointer<Float>) {
        let filled = columns.clamped(to: 0..<columnCount)
        let base = unsafe values.baseAddress!
        // Four rows by four columns at a time: vectors of a row go in, vectors of a column come out.
        let quadEnd = filled.lowerBound + filled.count / 4 * 4
        for row in stride(from: 0, to: WeightLayout.tileRows, by: 4) {
            let (a, b) = unsafe (base + starts[row], base + starts[row + 1])
            let (c, d) = unsafe (base + starts[row + 2], base + starts[row + 3])
            var target = unsafe UnsafeMutableRawPointer(lanes + row)
            for column in stride(from: filled.lowerBound, to: quadEnd, by: 4) {
                let (p, q) = unsafe (Self.load(a + column), Self.load(b + column))
                let (r, s) = unsafe (Self.load(c + column), Self.load(d + column))
                for lane in 0..<4 {
                    unsafe target.storeBytes(
                        of: SIMD4(p[lane], q[lane], r[lane], s[lane]), as: SIMD4<Float>.self)
                    unsafe target += WeightLayout.tileRows * 4
                }
            }
        }
        for column in quadEnd..<columns.upperBound {
            for row in 0..<WeightLayout.tileRows {
                let value = unsafe column < columnCount ? base[starts[row] + column] : 0
                unsafe lanes[(column - columns.lowerBound) * WeightLayout.tileRows + row] = value
            }
        }
    }

    @inline(__always)
    private static func load(_ values: UnsafePointer<Float>) -> SIMD4<Float> {
        unsafe UnsafeRawPointer(values).loadUnaligned(as: SIMD4<Float>.self)
    }

    /// Reads a row of a convolution's weight `[channel, tap]`, and keeps `columns` of `[tap, channel]`.
    private func read(
        _ row: Int, _ columns: Range<Int>, taps: Int, of tensor: SourceTensor, from source: any TensorSource,
        into room: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) -> Float {
        let width = tensor.columns
        if sourceRow.count != width {
            guard HostBuffer.isAvailable(byteCount: width * 4) else {
                throw CheckpointError(
                    .outOfMemory, file: source.location,
                    "no \(width * 4) bytes of memory for a row of \(tensor.name)")
            }
            sourceRow = [Float](repeating: 0, count: width)
        }
        var result: Result<Float, CheckpointError> = .success(0)
        unsafe sourceRow.withUnsafeMutableBufferPointer { buffer in
            do throws(CheckpointError) {
                result = .success(try unsafe Self.read(tensor, from: source, at: row * width, into: buffer))
            } catch { result = .failure(error) }
        }
        let magnitude = try result.get()
        let channels = width / taps
        for (index, column) in columns.enumerated() {
            unsafe room[index] = sourceRow[column % channels * taps + column / channels]
        }
        return magnitude
    }

    /// Fills `room` with elements from `start` on; returns their largest magnitude.
    static func read(
        _ tensor: SourceTensor, from source: any TensorSource, at start: Int,
        into room: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) -> Float {
        unsafe try source.read(tensor, elements: start..<(start + room.count), into: room)
        let magnitude = unsafe magnitude(room)
        guard magnitude.isFinite else {
            let index = unsafe room.firstIndex { !$0.isFinite } ?? 0
            let (row, column) = (start + index).quotientAndRemainder(dividingBy: tensor.columns)
            let place = tensor.shape.count == 1 ? "at \(row)" : "at row \(row), column \(column)"
            // A NaN may have a sign and a payload, which help nobody.
            let value = unsafe room[index].isNaN ? "nan" : "\(room[index])"
            throw CheckpointError(
                .value, file: source.location, "tensor \(tensor.name) has \(value) \(place)")
        }
        return magnitude
    }

    /// The largest magnitude; infinite or NaN where a value is not finite.
    private static func magnitude(_ values: UnsafeMutableBufferPointer<Float>) -> Float {
        // The bits of positive floats are ordered as the floats are, with NaN above infinity.
        var largest: Int32 = 0
        for index in 0..<values.count {
            largest = unsafe max(largest, Int32(bitPattern: values[index].bitPattern & 0x7FFF_FFFF))
        }
        return Float(bitPattern: UInt32(bitPattern: largest))
    }
}
