//! Images that go through the tower together become what each becomes alone, bit for bit.

import CPUBackend
import Memory
import TestSupport
import Tensors
import Testing

@testable import Models

/// What the model makes of each picture, `[image][token][width]`: all of a batch, or each by itself.
private func features(
    _ tiny: TinyModel, _ sizes: [(width: Int, height: Int)], together: Bool
) throws -> [[Float]] {
    var batch = tiny.model.makeBatch()
    var made: [VisualFeatures] = []
    for (seed, size) in sizes.enumerated() {
        made.append(try tiny.append(to: &batch, width: size.width, height: size.height, seed: seed))
        if !together || seed == sizes.count - 1 {
            #expect(try tiny.model.encode(batch, into: tiny.features))
            batch.removeAll()
        }
    }
    let values = try made.map { try tiny.model.backend.values(of: $0.values) }
    for features in made { tiny.features.remove(features) }
    return values
}

@Suite struct ImageBatchTests {
    /// Of any sizes, of any weights, on any number of threads: some are as long as parts of their keys are
    /// computed apart, and most begin in the middle of a page.
    @Test(arguments: [ElementType.f32, .f16, .q8, .q4], [1, 2, 5])
    func imagesTogetherAreWhatTheyAreAlone(weights: ElementType, threads: Int) throws {
        let tiny = try TinyModel(
            "two-images-head128", weights: weights, on: CPUBackend(threadCount: threads))
        var generator = SeededGenerator(seed: UInt64(threads))
        for _ in 0..<caseCount(6) {
            let sizes = (0..<generator.integer(in: 1...5)).map { _ in
                (width: generator.integer(in: 1...300), height: generator.integer(in: 1...300))
            }.filter { max($0.width, $0.height) <= 200 * min($0.width, $0.height) }
            if sizes.isEmpty { continue }
            let (one, all) = (
                try features(tiny, sizes, together: false), try features(tiny, sizes, together: true)
            )
            let isSame = one == all
            #expect(isSame, "\(sizes)")
            #expect(Set(one.joined()).count > 10)
        }
    }

    /// Images of one size are the longest batches, and differ by their pixels alone.
    @Test func manyImagesOfOneSizeStayApart() throws {
        let tiny = try TinyModel("resized-images")
        let sizes = [(width: Int, height: Int)](repeating: (70, 61), count: 12)
        let (one, all) = (
            try features(tiny, sizes, together: false), try features(tiny, sizes, together: true)
        )
        #expect(one == all)
        #expect(Set(one).count == sizes.count)
    }

    /// The most rows and columns that so many patches have.
    @Test func theLongestImagesAreTheSameToo() throws {
        let tiny = try TinyModel("two-images-head128", tokenCapacity: 600)
        let sizes = [(width: 28, height: 5600), (width: 112, height: 84), (width: 5600, height: 28)]
        let (one, all) = (
            try features(tiny, sizes, together: false), try features(tiny, sizes, together: true)
        )
        #expect(one == all)
        let counts = one.map { $0.count / 128 }
        #expect(counts == [200, 12, 200])
    }

    /// What joins is what the rows planned have room for; an image alone always has.
    @Test func aBatchEndsWhereItsRowsDo() throws {
        for (chunkTokens, count) in [(1, 1), (15, 1), (31, 1), (32, 2), (47, 2), (48, 3), (160, 10)] {
            let limits = ActivationLimits(chunkTokens: chunkTokens, imageTokens: 16)
            let tiny = try TinyModel("two-images-head128", tokenCapacity: 512, limits)
            var batch = tiny.model.makeBatch()
            var sizes: [(width: Int, height: Int)] = []
            // 16 visual tokens each.
            let cut = try tiny.model.cut(width: 112, height: 112)
            while batch.hasRoom(for: cut) {
                try tiny.append(to: &batch, width: 112, height: 112, seed: sizes.count)
                sizes.append((112, 112))
            }
            #expect(batch.count == count, "\(chunkTokens)")
            #expect(tiny.model.patchCapacity == 64)
            #expect(
                try features(tiny, sizes, together: true) == features(tiny, sizes, together: false),
                "\(chunkTokens)")
        }
    }

    @Test func aBatchHasAnEnd() throws {
        let tiny = try TinyModel("two-images-head128")
        var batch = tiny.model.makeBatch()
        let cut = try tiny.model.cut(width: 28, height: 28)
        while batch.hasRoom(for: cut) {
            try tiny.append(to: &batch, width: 28, height: 28, seed: batch.count)
        }
        #expect(batch.count == ImageBatch.mostImages && batch.tokenCount >= batch.count)
        #expect(try tiny.model.encode(batch, into: tiny.features))
        #expect(tiny.features.count == batch.tokenCount)
        batch.removeAll()
        #expect(batch.isEmpty && batch.patchCount == 0 && batch.hasRoom(for: cut))
        #expect(try tiny.model.encode(batch, into: tiny.features))
    }

    /// Where the store has no room for all, none is there.
    @Test func aBatchThatDoesNotFitChangesNothing() throws {
        let tiny = try TinyModel("two-images-head128", tokenCapacity: 40)
        var batch = tiny.model.makeBatch()
        for seed in 1...2 { try tiny.append(to: &batch, width: 112, height: 112, seed: seed) }
        let held = try tiny.image(width: 84, height: 84)
        let error = #expect(throws: ModelError.self) { try tiny.model.encode(batch, into: tiny.features) }
        if case .contextFull(9 + 32, 40) = error {} else { Issue.record("\(String(describing: error))") }
        #expect(tiny.features.count == 9)
        held.release()
        #expect(try tiny.model.encode(batch, into: tiny.features))
        #expect(tiny.features.count == 32)
    }
}
