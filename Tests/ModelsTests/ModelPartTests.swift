//! A model in two parts gives what it gives in one, bit for bit where both backends compute alike.

import CPUBackend
import Checkpoints
import Foundation
import Memory
import ModelFile
import TestSupport
import Tensors
import Testing

@testable import Models

/// A reference checkpoint as a model file, and what it computes in parts.
private struct PartedModel {
    private let folder: TemporaryDirectory
    let file: ModelFile
    let inventory: WeightInventory
    var layerCount: Int { file.configuration.text.layerCount }

    /// Tokens that go together: how many there are may show in the last bits.
    static let longChunk = 40
    static let shortChunk = 20

    /// What the model gives in one part.
    func expected(_ chunkTokens: Int) throws -> [Float] { try compute(whole, chunkTokens: chunkTokens) }

    init(_ name: String) throws {
        folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        _ = try Converter(
            source: SafetensorsFolder(path: ReferenceCase(name: name).folder.path),
            recipe: Recipe(weights: .f16)
        ).write(to: path, packaging: Packaging(name: name, creator: "tests"))
        file = try ModelFile(path: path)
        inventory = WeightInventory(ModelOutline(file))
    }

    /// The two parts of a cut, each with a backend of its own, of as many threads: how a product is cut among
    /// them may show in its last bits. Weights come to the second one in small
    /// pieces.
    func plans(_ split: ModelSplit, hostBudget: Int? = nil) throws -> [PartPlan] {
        let host = inventory.part(split.host)
        let residency = try #require(hostBudget.map { Residency.best(host, budget: $0) } ?? .whole(host))
        return [
            PartPlan(split.host, residency, on: CPUBackend(threadCount: 2)),
            PartPlan(
                split.device, .whole(inventory.part(split.device)), on: CPUBackend(threadCount: 2),
                mostFill: 1000),
        ]
    }

    var whole: [PartPlan] {
        [PartPlan(.whole(layerCount: layerCount), .whole(inventory), on: CPUBackend(threadCount: 2))]
    }

    /// Features of two images, the logits of a prompt with them, of a fork that goes on in its last page, and
    /// of more tokens one by one, which read what the prompt has left. `passageRows` are the fewest rows that
    /// the second part computes alone, a short chunk of them at a time in each layer; nil for none.
    func compute(
        _ plans: [PartPlan], passageRows: Int? = nil, chunkTokens: Int = longChunk
    ) throws -> [Float] {
        let brought = passageRows.map { (layer: Self.shortChunk, unbrought: max($0, 9)) }
        let limits = ActivationLimits(
            chunkTokens: chunkTokens, layerTokens: brought?.layer, unbroughtTokens: brought?.unbrought,
            logitRows: 10)
        let model = try Glm4v(
            file: file, contextLength: 512, activations: limits, parts: plans, threadCount: 2)
        let text = model.configuration.text
        let pool = try KVPool(for: text, parts: plans, tokenCapacity: 512)
        if let passageRows { try model.openPassage(of: file, pool, leastRows: passageRows) }
        let store = try VisualFeatureStore(
            columns: text.hiddenSize, capacity: 512, on: model.featureBackend)
        var values: [Float] = []
        var inputs = InputSequence()
        for token in textTokens(30) { inputs.append(token) }
        if model.configuration.vision != nil {
            var batch = model.makeBatch()
            for (index, size) in [(112, 84), (84, 56)].enumerated() {
                let pixels = (0..<size.0 * size.1 * 3).map { UInt8(truncatingIfNeeded: $0 * (7 + index)) }
                _ = try batch.append(
                    pixels, width: size.0, height: size.1, for: model, as: UInt128(index), in: store)
            }
            #expect(try model.encode(batch, into: store))
            for index in 0..<batch.count {
                let features = batch[index]
                try unsafe model.featureBackend.read(features.values) {
                    unsafe values.append(contentsOf: $0)
                }
                inputs.append(features, token: 156)
            }
        }
        for token in textTokens(35, seed: 5) { inputs.append(token) }
        let sequence = KVSequence(pool: pool, capacity: 512)
        func forward(_ inputs: InputSequence, _ sequence: KVSequence, _ rows: Glm4v.LogitRows) throws {
            try unsafe model.forward(inputs, into: sequence, logits: rows) {
                unsafe values.append(contentsOf: $0)
            }
        }
        try forward(inputs, sequence, .all)
        let fork = sequence.fork()
        var other = inputs
        for token in textTokens(20, seed: 6) { other.append(token) }
        try forward(other, fork, .all)
        for token in textTokens(3, seed: 8) {
            inputs.append(token)
            try forward(inputs, sequence, .last)
        }
        return values
    }
}

@Test(arguments: ["two-images-head128", "text-head64", "resized-images"])
func everyCutGivesWhatTheWholeDoes(name: String) throws {
    let parted = try PartedModel(name)
    let (long, short) = (
        try parted.expected(PartedModel.longChunk), try parted.expected(PartedModel.shortChunk)
    )
    let towers = parted.inventory.vision.isEmpty ? [false] : [false, true]
    for (count, hasHostTower) in (1...parted.layerCount).flatMap({ count in towers.map { (count, $0) } }) {
        let split = ModelSplit(
            layerCount: parted.layerCount, hostLayerCount: count, hasHostTower: hasHostTower)
        for passageRows in [nil, 1, 21] as [Int?] {
            let expected = passageRows == nil ? long : short
            let values = try parted.compute(parted.plans(split), passageRows: passageRows)
            let isSame = values == expected
            #expect(
                isSame,
                """
                \(count) layers, tower \(hasHostTower), \(passageRows ?? 0) rows: \
                \(Difference(values, from: expected))
                """)
        }
    }
}

/// The first part's weights pass through memory that does not hold them.
@Test func weightsPassInOnePartOfTwo() throws {
    let parted = try PartedModel("two-images-head128")
    let (long, short) = (
        try parted.expected(PartedModel.longChunk), try parted.expected(PartedModel.shortChunk)
    )
    var passing = 0
    for hasHostTower in [false, true] {
        let split = ModelSplit(
            layerCount: parted.layerCount, hostLayerCount: parted.layerCount, hasHostTower: hasHostTower)
        let host = parted.inventory.part(split.host)
        let all = Residency.whole(host).byteCount(host)
        let budgets = (1...32).map { all * $0 / 32 }.filter { Residency.best(host, budget: $0) != nil }
        for budget in budgets.prefix(6) {
            // Those of the last part's alone, too, to which they go on.
            for passageRows in [nil, 1, 21] as [Int?] {
                let plans = try parted.plans(split, hostBudget: budget)
                let expected = passageRows == nil ? long : short
                let isSame = try parted.compute(plans, passageRows: passageRows) == expected
                #expect(isSame, "\(budget) of \(all) bytes, \(passageRows ?? 0) rows")
                if !plans[0].residency.decoder.passing.isEmpty { passing += 1 }
            }
        }
    }
    #expect(passing > 5)
}

/// While the second part computes, the first one's next pass is read already, even where the ring has room
/// for one unit only.
@Test func whatPassesIsReadAcrossATokensEnd() throws {
    let parted = try PartedModel("text-head64")
    let split = ModelSplit(
        layerCount: parted.layerCount, hostLayerCount: parted.layerCount, hasHostTower: false)
    let host = parted.inventory.part(split.host)
    let all = Residency.whole(host).byteCount(host)
    let budgets = (1...200).map { all * $0 / 200 }
    let tightest = try #require(budgets.first { Residency.best(host, budget: $0) != nil })
    for passageRows in [1, .max] {
        let plans = try parted.plans(split, hostBudget: tightest)
        let passing = plans[0].residency.decoder.passing
        #expect(!passing.isEmpty)
        #expect(plans[0].residency.decoder.ring.count < 2 * (passing.map(\.byteCount).max() ?? 0))
        let model = try Glm4v(file: parted.file, contextLength: 64, parts: plans, threadCount: 1)
        let pool = try KVPool(for: model.configuration.text, parts: plans, tokenCapacity: 64)
        try model.openPassage(of: parted.file, pool, leastRows: passageRows)
        let sequence = KVSequence(pool: pool, capacity: 64)
        var inputs = InputSequence()
        for token in textTokens(3) {
            inputs.append(token)
            try unsafe model.forward(inputs, into: sequence, logits: .last) { _ in }
            let store = try #require(model.first.store)
            let deadline = ContinuousClock.now + .seconds(20)
            while !store.isNextPassBegun, ContinuousClock.now < deadline { usleep(1000) }
            try #require(store.isNextPassBegun, "\(passageRows) rows")
        }
    }
}
