//! What plans leave for features and for the pixels of pages, on the processor and beside a GPU.

import Checkpoints
import Foundation
import Memory
import ModelFile
import Tensors
import TestSupport
import Testing

@Suite struct FeaturePlanTests {
    private let inventory: WeightInventory
    private static let mebibyte = 1 << 20

    init() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        let configuration = try HuggingFaceConfiguration.read(
            configurationPath: Fixtures.url("reference/two-images-head128/config.json").path)
        _ = try Converter(
            source: RandomSource(configuration: configuration), recipe: Recipe(weights: .q4)
        ).write(to: path, packaging: Packaging(name: "random", creator: "tests"))
        inventory = WeightInventory(ModelOutline(try ModelFile(path: path)))
    }

    /// A model whose largest image has 300 visual tokens of 1 KiB, each of 2,000 bytes of pixels.
    private func planner(_ place: MemoryPlace = .host, sees: Bool = true) -> Planner {
        let layerCount = inventory.decoder.count - 1
        return Planner(
            ModelSizes(
                inventory: inventory, layerCount: layerCount, place: place, maximumContext: 8192,
                maximumImageTokens: sees ? 300 : 0, program: Self.mebibyte, reserve: Self.mebibyte,
                reading: { _ in Self.mebibyte },
                keysAndValues: { context, count in context * 100 * count / layerCount },
                activations: { _, limits, _, _ in limits.chunkTokens * 100 }, normBytes: 1024,
                featureTokenBytes: sees ? 1024 : 0, pageTokenBytes: sees ? 2000 : 0))
    }

    private func request(
        _ limits: LedgerLimits = LedgerLimits(), context: Int? = 4096, features: Int? = nil,
        imageTokens: Int? = nil
    ) -> PlanRequest {
        var request = PlanRequest()
        request.limits = limits
        request.contextLength = context
        request.featureByteCount = features
        request.imageTokens = imageTokens
        return request
    }

    private func bytes(_ plan: Plan, _ name: String) -> Int? {
        plan.items.first { $0.name == name }?.byteCount
    }

    @Test func withoutALimitAContextOfImagesIsKept() throws {
        let plan = try planner().plan(request())
        #expect(plan.featureTokens == 4096 && bytes(plan, "visual features") == 4096 * 1024)
        #expect(bytes(plan, "page images") == 4096 * 2000)
        #expect(Plan.heldByProcess.contains("page images") && !Plan.heldByProcess.contains("visual features"))
    }

    @Test func aTextOnlyModelKeepsNone() throws {
        for limits in [LedgerLimits(), LedgerLimits(host: 200 * Self.mebibyte)] {
            let plan = try planner(sees: false).plan(request(limits, features: 1 << 20))
            #expect(plan.featureTokens == 0)
            #expect(bytes(plan, "visual features") == nil && bytes(plan, "page images") == nil)
        }
    }

    @Test func whatIsAskedForIsPlannedAndTheLargestImageAtLeast() throws {
        for (asked, tokens) in [
            (0, 300), (1023, 300), (300 * 1024, 300), (301 * 1024 - 1, 300), (301 * 1024, 301),
            (10_000 * 1024, 10_000),
        ] {
            for limits in [LedgerLimits(), LedgerLimits(host: 200 * Self.mebibyte)] {
                let plan = try planner().plan(request(limits, features: asked))
                #expect(plan.featureTokens == tokens && bytes(plan, "visual features") == tokens * 1024)
            }
        }
        // Smaller images, and a context that holds no larger ones.
        #expect(try planner().plan(request(features: 0, imageTokens: 40)).featureTokens == 40)
        #expect(try planner().plan(request(context: 64, features: 0)).featureTokens == 64)
    }

    @Test func aLimitGivesThemAnEighthAndNothingIsPassed() throws {
        var last = 0
        for limit in 14...80 {
            let asked = request(LedgerLimits(host: limit * Self.mebibyte))
            guard let plan = try? planner().plan(asked) else { continue }
            #expect(plan.byteCount(.host) <= limit * Self.mebibyte)
            #expect(plan.featureTokens == min(4096, max(300, limit * Self.mebibyte / 8 / 1024)))
            #expect(plan.featureTokens >= last)
            last = plan.featureTokens
        }
        #expect(last == 4096)
    }

    @Test func besideAGPUPixelsAreTheHostsAndFeaturesTheDevices() throws {
        let plan = try planner(.device).plan(request(LedgerLimits(device: 100 * Self.mebibyte)))
        #expect(plan.items.first { $0.name == "visual features" }?.place == .device)
        #expect(plan.items.first { $0.name == "page images" }?.place == .host)
        #expect(plan.byteCount(.device) <= 100 * Self.mebibyte)
        #expect(plan.byteCount(.host) == 3 * Self.mebibyte + 4096 * 2000)
    }

    /// The pixels of a context have to fit the host's limit, and a total counts them, too.
    @Test func besideAGPUAContextWhosePagesDoNotFitIsRefusedOrMadeShorter() throws {
        let gpu = planner(.device)
        let host = 3 * Self.mebibyte + 2_000_000
        let limits = LedgerLimits(device: 100 * Self.mebibyte, host: host)
        let refusal = #expect(throws: PlanRefusal.self) { try gpu.plan(request(limits)) }
        #expect(refusal?.place == .host && refusal?.needed ?? 0 >= 3 * Self.mebibyte + 4096 * 2000)
        let context = try #require(refusal?.contextLength)
        #expect((900...1000).contains(context))
        #expect(try gpu.plan(request(limits, context: context)).byteCount(.host) <= host)
        var higher = limits
        higher.host = refusal?.needed
        #expect(try gpu.plan(request(higher)).contextLength == 4096)
        // Left to the planner, a context is chosen that fits, and the device's memory is spent all the same.
        higher.host = 3 * Self.mebibyte + 5_000_000
        let chosen = try gpu.plan(request(higher, context: nil))
        #expect(chosen.contextLength == 2304 && chosen.activations.chunkTokens == 2048)
        let total = 40 * Self.mebibyte
        let shared = try gpu.plan(request(LedgerLimits(total: total), context: nil))
        #expect(shared.byteCount(.host) + shared.byteCount(.device) <= total)
    }
}
