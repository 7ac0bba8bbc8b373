//! Where the parts of an operation's scratch lie: one definition for those who size it and those who use it.

internal import CKernels
internal import Tensors

/// Parts laid one behind the other.
struct ScratchLayout {
    /// Bytes that the start of each part is a multiple of: a cache line, and a register of any variant.
    static let alignment = 64

    private(set) var byteCount = 0

    /// The offset of a new part of `count` elements.
    mutating func add<Element>(_ count: Int, of type: Element.Type) -> Int {
        let offset = byteCount
        let bytes = count * MemoryLayout<Element>.stride
        byteCount += (bytes + Self.alignment - 1) / Self.alignment * Self.alignment
        return offset
    }
}

/// The scratch of a projection. Offsets in bytes.
struct ProjectionScratch {
    /// Tokens that go through prologue, product and epilogue together: bounds the scratch.
    static let tokenBlock = 512
    /// Floats of one thread's part of a product, which an epilogue takes further while it is in the cache: at
    /// least a tile of every token of a block.
    static let partCount = 1 << 16

    /// Float32 `[threads, padded columns]`: a row between its norm and its quantisation.
    let rows: Int
    /// Float32 `[tokens, padded columns]`: the input of a product of floats. Of a single token, each thread
    /// has a row of its own, and likewise below.
    let inputs: Int
    /// Int8 `[tokens, padded columns]`, its float32 scales and int32 sums `[tokens, blocks]`: the input of a
    /// product of integers.
    let codes: Int
    let scales: Int
    let sums: Int
    /// Float32 `[threads, partCount]`.
    let parts: Int
    /// Float32 `[tokens, rows]`: attention inputs before they are rotated.
    let product: Int
    let byteCount: Int

    init(rows: Int, _ layout: WeightLayout, storesAttentionInputs: Bool, threadCount: Int) {
        let tokens = min(rows, Self.tokenBlock)
        let inputRows = max(tokens, threadCount)
        let padded = layout.paddedColumns
        let isInteger = layout.format.type.isQuantized
        let blocks = isInteger ? padded / Int(THIMBLE_BLOCK) : 0
        var scratch = ScratchLayout()
        self.rows = scratch.add(isInteger ? threadCount * padded : 0, of: Float.self)
        inputs = scratch.add(isInteger ? 0 : inputRows * padded, of: Float.self)
        codes = scratch.add(isInteger ? inputRows * padded : 0, of: Int8.self)
        scales = scratch.add(inputRows * blocks, of: Float.self)
        sums = scratch.add(inputRows * blocks, of: Int32.self)
        parts = scratch.add(storesAttentionInputs ? 0 : threadCount * Self.partCount, of: Float.self)
        product = scratch.add(storesAttentionInputs ? tokens * layout.rows : 0, of: Float.self)
        byteCount = scratch.byteCount
    }
}

/// The scratch of an attention, of any number of queries. Offsets in bytes; the workers' parts come first.
struct AttentionScratch {
    /// Floats of one thread's part.
    let perWorker: Int
    /// Outputs and shares of ranges of keys that are computed apart: of no more blocks of tokens than there
    /// are threads, all parts together.
    let outputs: Int
    let shares: Int
    let byteCount: Int

    init(queryHeads: Int, kvHeads: Int, headSize: Int, threadCount: Int) {
        perWorker = Int(thimble_attention_scratch_count(Int64(headSize)))
        let rows = threadCount * max(Int(THIMBLE_ATTENTION_ROWS), queryHeads / kvHeads)
        var scratch = ScratchLayout()
        _ = scratch.add(perWorker * threadCount, of: Float.self)
        outputs = scratch.add(rows * headSize, of: Float.self)
        shares = scratch.add(rows * 2, of: Float.self)
        byteCount = scratch.byteCount
    }
}
