//! Where a projection keeps its prepared input and its product while it runs.

internal import Tensors

/// Parts of the scratch of a projection. Offsets in bytes.
struct ProjectionScratch {
    /// Rows that go through a projection together.
    static let rowBlock = 4096

    /// `[rows, padded]`: int8 codes where the matrix has codes, else float32.
    let x: Int
    /// Float32 `[rows, padded / 32]`, for codes.
    let scales: Int
    /// Int32 `[rows, padded / 32]`, for codes.
    let sums: Int
    /// Float32 `[rows, outputs]`, for attention inputs.
    let product: Int
    let byteCount: Int

    init(rows: Int, _ layout: WeightLayout, storesAttentionInputs: Bool) {
        let rows = min(rows, Self.rowBlock)
        let padded = layout.paddedColumns
        let isQuantized = layout.format.type.isQuantized
        var end = 0
        func add(_ byteCount: Int) -> Int {
            defer { end += (byteCount + 63) / 64 * 64 }
            return end
        }
        x = add(rows * padded * (isQuantized ? 1 : 4))
        scales = add(isQuantized ? rows * padded / 32 * 4 : 0)
        sums = add(isQuantized ? rows * padded / 32 * 4 : 0)
        product = add(storesAttentionInputs ? rows * layout.rows * 4 : 0)
        byteCount = end
    }
}
