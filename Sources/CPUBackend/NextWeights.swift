//! What threads of a pool ask memory for while they wait for others.

internal import CKernels
internal import Tensors

/// The matrix of the next product of one token: decoding waits for memory, and a thread that has nothing left
/// to do can let it bring the start of the thread's next share to the thread's cache.
///
/// Nothing depends on it but time: it keeps no memory alive, and asking for what is not there is no fault.
@safe struct NextWeights {
    fileprivate let codes: UnsafeRawPointer
    fileprivate let scales: UnsafeRawPointer?
    fileprivate let layout: WeightLayout

    init(_ weight: Matrix) {
        let weights = unsafe weight.kernelWeights
        unsafe codes = weights.codes
        unsafe scales = UnsafeRawPointer(weights.scales)
        layout = weight.layout
    }

    /// Whether these are the weights of `weight`.
    func isOf(_ weight: Matrix) -> Bool { unsafe codes == weight.kernelWeights.codes }

    /// What worker `worker` of `threadCount` will begin with.
    func request(of worker: Int, threadCount: Int) -> WeightRequest {
        WeightRequest(
            self, tiles: LoopPlan.share(of: worker, workers: threadCount, count: layout.tileCount, unit: 1))
    }
}

/// Lines of some tiles, asked for in the order in which a product of one token reads them: two tiles side by
/// side.
@safe struct WeightRequest {
    private let weights: NextWeights
    /// Tiles that are still to be asked for, the first two in part.
    private var tiles: Range<Int>
    /// Bytes of these two's codes that were asked for.
    private var offset = 0
    /// Bytes that may still be asked for.
    private var left: Int

    /// Bytes that a thread asks for at most: what memory brings it in the time that threads wait for each
    /// other, and what its own cache holds beside what it computes with.
    static let mostBytes = 160 << 10
    /// Bytes of a cache line, and of each tile's codes that are asked for at a time.
    private static let line = 64
    private static let step = 256

    fileprivate init(_ weights: NextWeights, tiles: Range<Int>) {
        self.weights = weights
        self.tiles = tiles
        left = Self.mostBytes
    }

    /// Asks for a few lines more; false where that was all.
    mutating func askForMore() -> Bool {
        if tiles.isEmpty || left <= 0 { return false }
        let layout = weights.layout
        let (bytes, scaleBytes) = (layout.tileByteCount, layout.tileScalesByteCount)
        for tile in tiles.prefix(Product.tileGrain) {
            for line in stride(from: offset, to: min(offset + Self.step, bytes), by: Self.line) {
                unsafe thimble_prefetch_near(weights.codes + tile * bytes + line)
            }
            if let scales = unsafe weights.scales {
                // As far along the scales as along the codes.
                unsafe thimble_prefetch_near(scales + tile * scaleBytes + offset * scaleBytes / bytes)
            }
            left -= Self.step
        }
        offset += Self.step
        if offset >= bytes {
            offset = 0
            tiles = tiles.dropFirst(Product.tileGrain)
        }
        return true
    }
}
