//! How products of many rows are cut for cooperative matrices.

internal import Tensors
internal import VulkanCompute

/// What goes by cooperative matrices, where a device has them: each with what comes before it.
enum MatrixUse: Int, CaseIterable, Comparable {
    case nothing
    /// Products, of inputs that lie row by row.
    case products
    /// Inputs lie as the lanes of a subgroup hold a matrix, where that can be found.
    case lanes
    /// Attention of many queries.
    case attention

    static func < (a: MatrixUse, b: MatrixUse) -> Bool { a.rawValue < b.rawValue }

    /// What a device's matrices are used for; without them products go by integers.
    static func usual(on device: PhysicalDevice) -> MatrixUse {
        device.computesMatrices ? .attention : .nothing
    }
}

/// What a workgroup of `matmul_coopmat` computes.
struct MatrixTile: Equatable {
    /// Tokens and rows of the matrix that a workgroup computes, and columns that it takes at a time.
    var tokens: Int
    var rows: Int
    var columns: Int
    /// Tokens and rows of them that a subgroup computes.
    var partTokens: Int
    var partRows: Int
    /// 2 fills one half of shared memory while the other is read.
    var stages: Int

    /// Subgroups of a workgroup.
    var parts: Int { tokens / partTokens * (rows / partRows) }

    /// What its weights take of a workgroup's shared memory, as float16 rows of 16 bytes more than they need.
    var sharedByteCount: Int { stages * rows * (columns * 2 + 16) }

    func count(tokens: Int, rows: Int) -> Int {
        (tokens + self.tokens - 1) / self.tokens * ((rows + self.rows - 1) / self.rows)
    }
}

/// The products that a device multiplies by cooperative matrices, and how.
struct MatrixTuning {
    /// `[m, k] x [k, n]`, float16 that sums in float32.
    let shape: (m: Int, n: Int, k: Int)
    /// Workgroups that run at once.
    private let processors: Int
    /// The most of it that a workgroup may have.
    private let sharedByteCount: Int

    /// Tiles that parts of a product's columns are summed by, at most: `counters` of them.
    static let mostTilesWhenSplit = 4096
    /// The most tokens of a product whose columns are split.
    private static let mostTokensWhenSplit = 1024
    /// The fewest columns that are split.
    private static let leastColumnsWhenSplit = 4096
    /// The largest tile.
    private static let mostTokensOfTile = 256
    private static let rowsOfTile = 64

    /// Nil where the device has no matrices that will do.
    init?(_ device: PhysicalDevice) {
        let shapes = [(16, 16, 16), (8, 8, 16), (16, 8, 16), (8, 8, 8), (16, 8, 8)]
        guard let shape = shapes.first(where: { device.hasMatrices(m: $0.0, n: $0.1, k: $0.2) }) else {
            return nil
        }
        self.init(
            (shape.0, shape.1, shape.2), processors: device.processorCount ?? 32,
            sharedByteCount: device.sharedMemoryByteCount)
    }

    init(_ shape: (m: Int, n: Int, k: Int), processors: Int, sharedByteCount: Int = 48 << 10) {
        self.shape = shape
        self.processors = processors
        self.sharedByteCount = sharedByteCount
    }

    /// The tile of a product, and the parts that its columns are cut in. shaders/README.md has what was
    /// measured.
    func tile(tokens: Int, rows: Int, columns: Int) -> (MatrixTile, splits: Int) {
        let step = columns % 128 == 0 ? 128 : columns % 64 == 0 ? 64 : 32
        var large = MatrixTile(
            tokens: Self.mostTokensOfTile, rows: Self.rowsOfTile, columns: step,
            partTokens: 64, partRows: 64, stages: 2)
        if large.sharedByteCount > sharedByteCount { large.stages = 1 }
        let middle = MatrixTile(
            tokens: 128, rows: Self.rowsOfTile, columns: min(step, 64),
            partTokens: 64, partRows: 64, stages: 1)
        let small = MatrixTile(
            tokens: 64, rows: Self.rowsOfTile, columns: min(step, 64),
            partTokens: 32, partRows: 32, stages: 2)
        let isFull = large.count(tokens: tokens, rows: rows) * 10 >= processors * 9
        if tokens > 256, isFull || columns > 2 * rows {
            return (large, splits(large, tokens: tokens, rows: rows, columns: columns))
        }
        if middle.count(tokens: tokens, rows: rows) >= 2 * processors { return (middle, 1) }
        return (small, splits(small, tokens: tokens, rows: rows, columns: columns))
    }

    private func splits(_ tile: MatrixTile, tokens: Int, rows: Int, columns: Int) -> Int {
        let count = tile.count(tokens: tokens, rows: rows)
        let mayJoin = tokens <= Self.mostTokensWhenSplit && count <= Self.mostTilesWhenSplit
        return mayJoin && count < mostTilesWhenSplit && columns >= Self.leastColumnsWhenSplit
            && (count < processors || columns > 8192)
            ? 2 : 1
    }

    /// Columns of more tiles are not split: they are enough for all processors.
    private var mostTilesWhenSplit: Int { processors * 3 / 2 }

    /// Bytes of the sums of two parts of columns, float32 `[2, tiles, tile]`, of a product of up to so many
    /// tokens, at most.
    func partByteCount(tokens: Int, rows: Int, columns: Int) -> Int {
        guard columns >= Self.leastColumnsWhenSplit else { return 0 }
        let (tileTokens, tileRows) = (Self.mostTokensOfTile, Self.rowsOfTile)
        let tokens = min((tokens + tileTokens - 1) / tileTokens * tileTokens, Self.mostTokensWhenSplit)
        let numbers = min(
            tokens * ((rows + tileRows - 1) / tileRows * tileRows),
            mostTilesWhenSplit * tileTokens * tileRows)
        return 2 * 4 * numbers
    }
}
