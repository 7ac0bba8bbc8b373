//! Holds that an arena's regions never share bytes while they live, and that images are planned for.

import CPUBackend
import Foundation
import ModelFile
import TestSupport
import Tensors
import Testing

@testable import Models

/// Whether no two regions that live at once share a byte, and all lie inside the arena.
private func isSound(_ plan: ArenaPlan) -> Bool {
    let regions = plan.regions
    return regions.indices.allSatisfy { index in
        let one = regions[index]
        guard one.offset >= 0, one.offset % 4096 == 0, one.bytes.upperBound <= plan.byteCount else {
            return false
        }
        return regions[..<index].allSatisfy {
            !$0.phases.overlaps(one.phases) || !$0.bytes.overlaps(one.bytes)
        }
    }
}

@Test func regionsThatLiveAtOnceAreApart() {
    var generator = SeededGenerator(seed: 4)
    for _ in 0..<300 {
        let regions = (0..<Int.random(in: 1...14, using: &generator)).map { index in
            let first = Int.random(in: 0...5, using: &generator)
            return ArenaRegion(
                "\(index)", byteCount: Int.random(in: 0...40_000, using: &generator),
                phases: first...Int.random(in: first...5, using: &generator))
        }
        let plan = ArenaPlan(regions)
        #expect(isSound(plan))
        #expect(plan.regions.map(\.name) == regions.map(\.name))
        // Never more than all apart, never less than what lives in one phase.
        #expect(plan.byteCount <= regions.reduce(0) { $0 + ($1.byteCount + 4095) / 4096 * 4096 })
        let fullest = (0...5).map { phase in
            regions.reduce(0) { $0 + ($1.phases.contains(phase) ? $1.byteCount : 0) }
        }.max()
        #expect(plan.byteCount >= fullest ?? 0)
    }
}

@Test func phasesThatFollowEachOtherShareBytes() {
    let plan = ArenaPlan([
        ArenaRegion("first", byteCount: 8192, phases: 0...0),
        ArenaRegion("second", byteCount: 4096, phases: 1...1),
        ArenaRegion("both", byteCount: 100, phases: 0...1),
    ])
    #expect(plan.byteCount == 8192 + 4096)
    #expect(plan["first"].offset == plan["second"].offset)
}

@Test func theTowerAndTheDecoderShareTheArena() throws {
    let tiny = try TinyModel("two-images-head128")
    let plan = tiny.model.last.activations.arena
    #expect(isSound(plan))
    #expect(plan.byteCount < plan.regions.reduce(0) { $0 + $1.byteCount })
    // Everything that a chunk needs at once is there.
    let text = tiny.model.configuration.text
    #expect(plan["residual stream"].byteCount == 512 * text.hiddenSize * 4)
    #expect(plan["logits"].byteCount == 64 * text.vocabularySize * 4)
}

/// Whatever an image's size, its patches and the scratch to cut it are within the plan, unless the context
/// could not hold it.
@Test func everyImageIsPlannedFor() throws {
    let tiny = try TinyModel("two-images-head128", tokenCapacity: 1 << 20)
    guard let vision = tiny.model.configuration.vision, let settings = tiny.model.configuration.image else {
        preconditionFailure("a model that sees")
    }
    let preprocessor = try ImagePreprocessor(settings: settings, vision: vision)
    let plan = tiny.model.last.activations
    let unit = vision.patchSize * vision.mergeSize
    var generator = SeededGenerator(seed: 8)
    var largest = 0
    for _ in 0..<3000 {
        let longest = Double.random(in: 0...11.08, using: &generator)
        let width = Int(exp2(longest + 5).rounded(.down))
        let height = max(1, Int(Double(width) / exp2(Double.random(in: 0...7.7, using: &generator))))
        for (w, h) in [(width, height), (height, width)] {
            guard let cut = try? preprocessor.cut(width: w, height: h) else { continue }
            #expect(cut.patchCount <= plan.patchCapacity, "\(w) x \(h)")
            let scratch = tiny.model.backend.scratchByteCount(of: .patches(cut))
            #expect(scratch <= plan.arena["image scratch"].byteCount, "\(w) x \(h)")
            largest = max(largest, cut.patchCount)
        }
    }
    #expect(largest > plan.patchCapacity / 4, "the largest images of \(unit) pixels a token were tried")
}
