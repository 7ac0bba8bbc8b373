//! What every plan must be, whatever the model, the limits and the wishes: one device's, or a GPU's and the
//! processor's together.

import Checkpoints
import Foundation
import Memory
import ModelFile
import Tensors
import TestSupport
import Testing

/// A model of random shape, on a device whose activations and keys are sized by plain formulas.
private func sizes(_ generator: inout SeededGenerator, _ place: MemoryPlace) throws -> ModelSizes {
    let name = Bool.random(using: &generator) ? "two-images-head128" : "text-head64"
    var configuration = try HuggingFaceConfiguration.read(
        configurationPath: Fixtures.url("reference/\(name)/config.json").path)
    configuration.text.layerCount = Int.random(in: 1...12, using: &generator)
    configuration.text.intermediateSize = 32 * Int.random(in: 1...40, using: &generator)
    configuration.text.tiesEmbedding = Bool.random(using: &generator)
    let model = try ModelOutline(configuration, name: "random") { _ in .q8(group: 32) }
    let text = model.configuration.text
    let sees = model.configuration.vision != nil
    return ModelSizes(
        inventory: WeightInventory(model), layerCount: text.layerCount, place: place, maximumContext: 8192,
        maximumImageTokens: sees ? 64 : 0, program: 3 << 18, reserve: 1 << 18,
        reading: { ($0 ?? 1 << 20) / 16 },
        keysAndValues: { $0 * $1 * 256 },
        activations: { context, limits, share, _ in
            limits.chunkTokens * text.hiddenSize * 8 + (share.hasTower && sees ? 1 << 18 : 0)
        },
        normBytes: text.hiddenSize * 4, featureTokenBytes: sees ? text.hiddenSize * 4 : 0,
        pageTokenBytes: sees ? 64 : 0)
}

private func check(_ plan: Plan, _ sizes: ModelSizes, _ request: PlanRequest) {
    let (host, device) = (plan.byteCount(.host), plan.byteCount(.device))
    #expect(host <= request.limits.host ?? .max && device <= request.limits.device ?? .max)
    #expect(host + device <= request.limits.total ?? .max)
    #expect(plan.parts.flatMap(\.share.layers).elementsEqual(0..<sizes.layerCount))
    #expect(plan.parts.map(\.share.isFirst) == (plan.parts.count == 1 ? [true] : [true, false]))
    #expect(plan.parts.map(\.share.isLast) == (plan.parts.count == 1 ? [true] : [false, true]))
    #expect(plan.parts.count { $0.share.hasTower } == 1)
    for (name, bytes) in [("program and tokenizer", sizes.program), ("reserve", sizes.reserve)] {
        #expect(plan.items.filter { $0.name == name }.map(\.byteCount) == [bytes], "held once")
    }
    for part in plan.parts {
        let inventory = sizes.inventory.part(part.share)
        #expect(part.place == .host || part.residency == .whole(inventory), "a GPU holds its own")
        #expect(part.residency.resident.isSubset(of: Set(inventory.all)))
    }
    if plan.parts.count > 1 {
        checkPassage(plan, sizes)
        #expect(plan.parts.map(\.place) == [.host, .device])
        let asked = request.deviceLayerCount.map { sizes.layerCount - $0 }
        #expect(plan.offloadedLayerCount == asked ?? plan.offloadedLayerCount)
    }
}

/// What is brought has two places of the largest layer, and rooms for its keys and values; the processor has
/// room for fewer rows of a prompt only where it need not compute more.
private func checkPassage(_ plan: Plan, _ sizes: ModelSizes) {
    let layers = sizes.inventory.decoder[plan.parts[0].share.layers]
    let largest = layers.map { sizes.inventory.byteCount(of: [$0]) }.max() ?? 0
    let items = plan.items.filter { $0.name == "layers on their way" }
    let expected = plan.hasPassage ? [2 * largest + sizes.normBytes] : []
    #expect(items.map(\.byteCount) == expected && items.allSatisfy { $0.place == .device })
    #expect(plan.hasPassage || plan.activations.unbroughtTokens == nil)
}

@Suite struct PlannerTests {
    @Test func everyPlanKeepsItsLimitsAndEveryRefusalNamesOnesThatWork() throws {
        var generator = SeededGenerator(seed: 21)
        var (whole, shared, refused) = (0, 0, 0)
        for _ in 0..<exampleCount(300) {
            let place: MemoryPlace = Int.random(in: 0..<4, using: &generator) == 0 ? .host : .device
            let sizes = try sizes(&generator, place)
            let planner = Planner(sizes)
            let all = sizes.inventory.byteCount(of: sizes.inventory.all)
            var request = PlanRequest()
            request.contextLength = Bool.random(using: &generator) ? 512 : nil
            func limit(_ chance: Int) -> Int? {
                guard Int.random(in: 0..<4, using: &generator) < chance else { return nil }
                return Int(Double(all) * Double.random(in: 0.05...1.6, using: &generator)) + 1 << 20
            }
            request.limits.device = place == .device ? limit(4) : nil
            request.limits.host = limit(2)
            request.limits.total = limit(1)
            if Int.random(in: 0..<4, using: &generator) == 0 {
                request.deviceLayerCount = Int.random(in: 0...sizes.layerCount, using: &generator)
            }
            do throws(PlanRefusal) {
                let plan = try planner.plan(request)
                check(plan, sizes, request)
                if plan.parts.count > 1 {
                    shared += 1
                    try checkBudget(of: plan, planner, request)
                } else {
                    whole += 1
                }
            } catch {
                refused += 1
                try checkSuggestions(error, planner, sizes, request)
            }
        }
        #expect(
            isSanitized || whole > 30 && shared > 30 && refused > 10,
            "\(whole), \(shared), \(refused)")
    }

    /// A plan's budget leads to one that is cut at the same place.
    private func checkBudget(
        of plan: Plan, _ planner: Planner, _ request: PlanRequest
    ) throws(PlanRefusal) {
        let run = plan.budget(over: Budget(), threadCount: 1).run
        #expect(run.device == .vulkan(nil))
        var again = request
        again.contextLength = run.context
        again.chunkTokens = run.prefillChunk
        again.deviceLayerCount = run.deviceLayers
        let other = try planner.plan(again)
        #expect(other.offloadedLayerCount == plan.offloadedLayerCount)
        #expect(other.contextLength == plan.contextLength && other.activations == plan.activations)
    }

    private func checkSuggestions(
        _ refusal: PlanRefusal, _ planner: Planner, _ sizes: ModelSizes, _ request: PlanRequest
    ) throws {
        func raise(_ request: inout PlanRequest, _ place: MemoryPlace, _ needed: Int) {
            if place == .device { request.limits.device = needed } else { request.limits.host = needed }
            request.limits.total = request.limits.total.map { max($0, needed) }
        }
        func check(_ change: (inout PlanRequest) -> Void) throws {
            var larger = request
            change(&larger)
            MemoryTests.check(try planner.plan(larger), sizes, larger)
        }
        let other: MemoryPlace = refusal.place == .device ? .host : .device
        try check {
            raise(&$0, refusal.place, refusal.needed)
            if refusal.needsBoth, let needed = refusal.otherNeeded { raise(&$0, other, needed) }
        }
        if !refusal.needsBoth, let needed = refusal.otherNeeded { try check { raise(&$0, other, needed) } }
        if let context = refusal.contextLength { try check { $0.contextLength = context } }
        if let tokens = refusal.imageTokens { try check { $0.imageTokens = tokens } }
        if let layers = refusal.deviceLayerCount { try check { $0.deviceLayerCount = layers } }
    }

    @Test func aLargerGPUNeverHasFewerLayers() throws {
        var generator = SeededGenerator(seed: 22)
        for _ in 0..<exampleCount(30) {
            let sizes = try sizes(&generator, .device)
            let all = sizes.inventory.byteCount(of: sizes.inventory.all)
            var last = 0
            for step in 1...24 {
                var request = PlanRequest()
                request.contextLength = 512
                request.chunkTokens = 64
                request.limits.device = all * step / 8 + 1 << 18
                guard let plan = try? Planner(sizes).plan(request) else { continue }
                let layers = sizes.layerCount - plan.offloadedLayerCount
                // The tower, or what brings layers for prompts, may come at the price of some.
                #expect(2 * layers >= last, "step \(step)")
                last = layers
            }
            #expect(last == sizes.layerCount)
        }
    }

    @Test func whoForbidsLayersOnTheProcessorGetsAllOrNone() throws {
        var generator = SeededGenerator(seed: 23)
        let sizes = try sizes(&generator, .device)
        var request = PlanRequest()
        request.contextLength = 512
        request.limits.device = sizes.inventory.byteCount(of: sizes.inventory.all) / 2 + 1 << 20
        #expect(try Planner(sizes).plan(request).parts.count == 2)
        request.mayOffload = false
        #expect(throws: PlanRefusal.self) { try Planner(sizes).plan(request) }
    }
}
