//! Models of random shape, as files, and what their parts would take.

import Checkpoints
import Foundation
import ModelFile
import TestSupport
import Tensors
import Testing

@testable import Memory

/// A model of random shape.
struct RandomModel {
    let file: ModelFile
    let inventory: WeightInventory
    let work: ModelWork
    var outline: ModelOutline { ModelOutline(file) }

    init(_ generator: inout SeededGenerator, in folder: TemporaryDirectory) throws {
        // The last sees nothing.
        let names = ["two-images-head128", "text-head64", "causal-head128"]
        let name = names[Int.random(in: 0..<3, using: &generator)]
        var configuration = try HuggingFaceConfiguration.read(
            configurationPath: Fixtures.url("reference/\(name)/config.json").path)
        configuration.text.layerCount = Int.random(in: 1...9, using: &generator)
        configuration.text.vocabularySize = Int.random(in: 200...5000, using: &generator)
        configuration.text.intermediateSize = 32 * Int.random(in: 1...40, using: &generator)
        configuration.text.tiesEmbedding = Bool.random(using: &generator)
        let formats: [ElementType] = [.f16, .q8, .q4]
        let path = folder.path("model-\(generator.next()).thimble")
        _ = try Converter(
            source: RandomSource(configuration: configuration),
            recipe: Recipe(weights: formats[Int.random(in: 0..<3, using: &generator)])
        ).write(to: path, packaging: Packaging(name: "random", creator: "tests"))
        file = try ModelFile(path: path)
        inventory = WeightInventory(ModelOutline(file))
        work = ModelWork(ModelOutline(file))
    }

    /// Bytes of all weights.
    var wholeByteCount: Int { Residency.whole(inventory).byteCount(inventory) }

    /// Sizes whose parts are of the order of the weights, as those of real models are.
    func sizes(place: MemoryPlace = .host) -> ModelSizes {
        let seesImages = !inventory.vision.isEmpty
        let token = max(1, wholeByteCount / 20_000)
        let layerCount = file.configuration.text.layerCount
        return ModelSizes(
            inventory: inventory, layerCount: layerCount, place: place, maximumContext: 20_000,
            maximumImageTokens: seesImages ? 500 : 0, program: 40_000, reserve: 10_000,
            reading: { _ in 20_000 },
            keysAndValues: { context, count in context * token * count / layerCount },
            activations: { context, limits, _, _ in limits.chunkTokens * 4 * token + context * token / 8 },
            normBytes: file.configuration.text.hiddenSize * 4, featureTokenBytes: seesImages ? token : 0,
            pageTokenBytes: seesImages ? token / 2 : 0)
    }

    /// The first plan for `request`, as `limits` go, bytes of the host's memory, by which weights pass; nil
    /// where so small a model passes through nothing.
    func passingPlan(
        _ request: PlanRequest, place: MemoryPlace = .host, within limits: StrideTo<Int>
    ) -> Plan? {
        let planner = Planner(sizes(place: place))
        for limit in limits {
            var request = request
            request.limits.host = limit
            guard let plan = try? planner.plan(request) else { continue }
            #expect(plan.byteCount(.host) <= limit)
            if plan.streamedByteCount > 0 { return plan }
        }
        return nil
    }

    /// What is predicted of a plan for this model.
    func predict(
        _ plan: Plan, _ rates: MachineRates, promptTokens: Int = 64, pageTokens: Int = 10
    ) throws -> PlanPrediction {
        try #require(
            plan.prediction(of: work, on: rates, promptTokens: promptTokens, pageTokens: pageTokens))
    }
}
