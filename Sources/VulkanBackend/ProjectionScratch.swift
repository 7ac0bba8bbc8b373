//! How many rows go through a projection together, and where it keeps what it makes of them while it runs.

internal import Tensors

/// How many rows go through a projection together: what lies between its dispatches is scratch.
struct RowBlocks {
    /// Whole tiles of tokens, of whatever kind.
    private static let unit = 256
    /// The most rows of a block. At the end of each the device waits for the last tiles, so that one with
    /// many processors takes more at a time.
    let most: Int

    init(processors: Int?) { most = max(4096, (processors ?? 0) * 64 / 1024 * 1024) }

    /// For tests. Precondition: `most` is positive, in whole units.
    init(most: Int) {
        precondition(most > 0 && most % Self.unit == 0)
        self.most = most
    }

    /// Rows of each block of `rows`, but for fewer in the last: about as many in each, for few are slow.
    ///
    /// Precondition: there are rows.
    func length(of rows: Int) -> Int {
        let count = (rows + most - 1) / most
        return ((rows + count - 1) / count + Self.unit - 1) / Self.unit * Self.unit
    }
}

/// Parts of the scratch of a projection of a block of rows. Offsets in bytes.
struct ProjectionScratch {
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
