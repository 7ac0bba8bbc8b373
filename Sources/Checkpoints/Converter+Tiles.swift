//! The parallel part of a conversion: tiles shared out to threads.

import Dispatch
import ModelFile
import Synchronization
import Tensors

/// Packed tiles of one matrix, waiting to be written.
///
/// Unchecked: threads pack different tiles, each of which has bytes of its own, and nobody reads before they
/// end.
@safe final class TileChunk: @unchecked Sendable {
    let layout: WeightLayout
    /// Tiles there is room for.
    let tileCapacity: Int
    private let codes: UnsafeMutableRawBufferPointer
    private let scales: UnsafeMutableRawBufferPointer

    init(layout: WeightLayout, tileCapacity: Int) {
        self.layout = layout
        self.tileCapacity = tileCapacity
        unsafe codes = .allocate(byteCount: tileCapacity * layout.tileByteCount, alignment: 64)
        unsafe scales = .allocate(byteCount: tileCapacity * layout.tileScalesByteCount, alignment: 64)
    }

    deinit {
        unsafe codes.deallocate()
        unsafe scales.deallocate()
    }

    /// Packs what `reader` holds as tile `index` of the chunk; returns a row whose scale cannot be stored, or
    /// nil.
    func pack(_ index: Int, _ reader: borrowing TileReader, _ packer: borrowing TilePacker) -> Int? {
        precondition(index < tileCapacity)
        return unsafe packer.pack(
            reader.tile.baseAddress!, codes: codes.baseAddress! + index * layout.tileByteCount,
            scales: scales.baseAddress! + index * layout.tileScalesByteCount)
    }

    /// The codes of the first `tileCount` tiles.
    func codes(_ tileCount: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: codes[..<(tileCount * layout.tileByteCount)])
    }

    /// The scales of the first `tileCount` tiles.
    func scales(_ tileCount: Int) -> UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: scales[..<(tileCount * layout.tileScalesByteCount)])
    }
}

extension Converter {
    /// What a thread does with one tile.
    typealias TileWork =
        @Sendable (_ tile: Int, _ reader: borrowing TileReader, _ packer: borrowing TilePacker)
        throws(CheckpointError) -> Void

    /// Does `work` for each of `tiles`; thread `t` takes every `threadCount`-th. The first fault is thrown.
    func forEachTile(
        _ tiles: Range<Int>, of plan: TensorPlan, layout: WeightLayout, _ work: TileWork
    ) throws(CheckpointError) {
        let fault = Mutex<CheckpointError?>(nil)
        let threadCount = min(threadCount, tiles.count)
        DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
            let reader = TileReader(plan: plan, source: source, paddedColumns: layout.paddedColumns)
            let packer = TilePacker(layout: layout)
            do throws(CheckpointError) {
                for tile in stride(from: tiles.lowerBound + thread, to: tiles.upperBound, by: threadCount) {
                    try work(tile, reader, packer)
                }
            } catch {
                fault.withLock { $0 = $0 ?? error }
            }
        }
        if let fault = fault.withLock({ $0 }) { throw fault }
    }

    /// The largest magnitude of a matrix, from a pass over its source.
    func peak(_ plan: TensorPlan) throws(CheckpointError) -> Float {
        let layout = WeightLayout(rows: plan.target.rows, columns: plan.target.columns, format: plan.format)
        let peak = Mutex<Float>(0)
        try forEachTile(0..<layout.tileCount, of: plan, layout: layout) {
            (tile, reader, _) throws(CheckpointError) in
            let magnitude = try reader.read(tile)
            peak.withLock { $0 = max($0, magnitude) }
        }
        return peak.withLock { $0 }
    }

    /// Tiles of about 8 MiB of codes, and at least one a thread.
    static func tilesPerChunk(_ layout: WeightLayout, threadCount: Int) -> Int {
        min(layout.tileCount, max(threadCount, (8 << 20) / layout.tileByteCount))
    }
}

extension CheckpointError {
    /// A fault of the file that is being written.
    init(_ error: ModelFileError) {
        self.init(error.code == .cannotCreate ? .cannotCreate : .output, file: error.file, error.reason)
    }
}
