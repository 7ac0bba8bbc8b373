//! The reference cases are whole, and the helpers that judge against them can tell right from wrong.

import Foundation
import TestSupport
import Testing

@Test(arguments: ReferenceCase.all)
func aReferenceCaseIsWhole(reference: ReferenceCase) throws {
    let summary = try reference.summary()
    let logits = try reference.logits()
    #expect(logits.elementType == .float32)
    #expect(logits.shape.count == 2 && logits.shape[0] == summary.positions)
    #expect(logits.floats().allSatisfy { $0.isFinite })
    let visualTokens = summary.grids.reduce(0) { $0 + $1[0] * $1[1] / 4 }
    #expect(try reference.tokens().count - summary.grids.count + visualTokens == summary.positions)
    for image in try reference.images() { #expect(FileManager.default.fileExists(atPath: image.path)) }
    if visualTokens > 0 { #expect(try reference.features().shape[0] == visualTokens) }
    let vocabulary = logits.shape[1]
    let last = logits.floats().suffix(vocabulary)
    #expect(last.indices.max { last[$0] < last[$1] }! - last.startIndex == summary.greedy[0])
}

@Test func everyFolderOfTheReferenceIsACase() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Fixtures.url("reference").path)
        .filter { FileManager.default.fileExists(atPath: Fixtures.url("reference/\($0)/config.json").path) }
    #expect(Set(names) == Set(ReferenceCase.all.map(\.name)))
}

@Test func activationsOfOneCaseLeaveTheRangeOfFloat16() throws {
    let summary = try ReferenceCase(name: "large-activations").summary()
    #expect(summary.largestMLPOutput > 1e6)
    #expect(summary.largestAttentionOutput > 65_504)
}
