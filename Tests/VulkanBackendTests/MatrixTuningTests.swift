//! Holds what is planned for products by cooperative matrices to what they take.

import Testing

@testable import VulkanBackend

/// Sums of parts of columns are written tile by tile, wherever columns are split.
@Test(arguments: [3, 16, 132])
func sumsOfPartsFitWhatIsPlanned(processors: Int) {
    let tuning = MatrixTuning((16, 16, 16), processors: processors)
    var splitCount = 0
    for rows in [16, 70, 1536, 4096, 4608, 27_392, 151_552] {
        for columns in [4064, 4096, 8224, 13_696] {
            for tokens in [1, 64, 65, 200, 257, 512, 700, 1024, 1025, 5000] {
                let (tile, splits) = tuning.tile(tokens: tokens, rows: rows, columns: columns)
                guard splits > 1 else { continue }
                splitCount += 1
                let taken = splits * tile.count(tokens: tokens, rows: rows) * tile.tokens * tile.rows * 4
                // A plan is made for the most tokens, and serves all fewer.
                for planned in [tokens, tokens + 1, 5000] {
                    let bytes = tuning.partByteCount(tokens: planned, rows: rows, columns: columns)
                    #expect(taken <= bytes, "\(tokens) of \(planned) tokens, \(rows) x \(columns)")
                }
            }
        }
    }
    #expect(splitCount > 0)
}
