//! Weights that come and go give what weights that stay do, bit for bit, whatever fits.

import CPUBackend
import Checkpoints
import Foundation
import Memory
import ModelFile
import TestSupport
import Tensors
import Testing
import Threads

@testable import Models

/// A reference checkpoint as a model file, and what it computes under a residency.
private struct StreamedModel {
    let folder: TemporaryDirectory
    let file: ModelFile
    let inventory: WeightInventory

    init(_ name: String, _ weights: ElementType = .f16) throws {
        folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        _ = try Converter(
            source: SafetensorsFolder(path: ReferenceCase(name: name).folder.path),
            recipe: Recipe(weights: weights)
        ).write(to: path, packaging: Packaging(name: name, creator: "tests"))
        file = try ModelFile(path: path)
        inventory = WeightInventory(ModelOutline(file))
    }

    /// Features of two images, the logits of all positions of a prompt with them, those of three more tokens
    /// one by one, and all of it once more: what was read ahead is of use, or is not, but never wrong.
    func compute(_ residency: Residency?) throws -> [Float] {
        let backend = CPUBackend(threadCount: 2)
        let model = try Glm4v(
            file: file, contextLength: 512, activations: ActivationLimits(chunkTokens: 40, logitRows: 16),
            residency: residency, on: backend, threadCount: 2)
        let pool = try KVPool(for: model.configuration.text, tokenCapacity: 512, on: backend)
        let store = try VisualFeatureStore(
            columns: model.configuration.text.hiddenSize, capacity: 1024, on: backend)
        var values: [Float] = []
        for round in 0..<2 {
            var inputs = InputSequence()
            for token in textTokens(30, seed: round) { inputs.append(token) }
            if model.configuration.vision != nil {
                var batch = model.makeBatch()
                for (index, size) in [(112, 84), (56, 60)].enumerated() {
                    let pixels = (0..<size.0 * size.1 * 3).map {
                        UInt8(truncatingIfNeeded: $0 * (7 + round + index))
                    }
                    _ = try batch.append(
                        pixels, width: size.0, height: size.1, for: model, as: UInt128(2 * round + index),
                        in: store)
                }
                #expect(try model.encode(batch, into: store))
                for index in 0..<batch.count {
                    let features = batch[index]
                    try unsafe backend.read(features.values) { unsafe values.append(contentsOf: $0) }
                    inputs.append(features, token: 156)
                }
            }
            for token in textTokens(35, seed: 5) { inputs.append(token) }
            let sequence = KVSequence(pool: pool, capacity: 512)
            try unsafe model.forward(inputs, into: sequence, logits: .all) {
                unsafe values.append(contentsOf: $0)
            }
            for token in textTokens(3, seed: 8) {
                inputs.append(token)
                try unsafe model.forward(inputs, into: sequence, logits: .last) {
                    unsafe values.append(contentsOf: $0)
                }
            }
        }
        return values
    }
}

/// From the least that a model runs in to all of it, in steps.
private func budgets(_ inventory: WeightInventory, count: Int) -> [Int] {
    let most = Residency.whole(inventory).byteCount(inventory)
    let least = (1...64).first { Residency.best(inventory, budget: most * $0 / 64) != nil } ?? 64
    return (0..<count).map { most * least / 64 + (most - most * least / 64) * $0 / (count - 1) }
}

@Suite struct WeightStoreTests {
    @Test(arguments: ["two-images-head128", "text-head64"])
    func aModelInLittleMemoryComputesTheSame(name: String) throws {
        let model = try StreamedModel(name)
        let whole = try model.compute(nil)
        #expect(!whole.isEmpty)
        var kinds: Set<String> = []
        for budget in budgets(model.inventory, count: 7) {
            let residency = try #require(Residency.best(model.inventory, budget: budget))
            kinds.insert(
                residency.isWhole ? "whole" : residency.decoder.passing.isEmpty ? "shared" : "passing")
            #expect(try model.compute(residency) == whole, "in \(budget) bytes")
        }
        #expect(kinds.contains("whole") && kinds.contains("passing"), "the budgets cover \(kinds)")
    }

    @Test func quantisedWeightsComputeTheSameToo() throws {
        let model = try StreamedModel("two-images-head128", .q4)
        let whole = try model.compute(nil)
        let least = try #require(budgets(model.inventory, count: 2).first)
        let residency = try #require(Residency.best(model.inventory, budget: least))
        #expect(try model.compute(residency) == whole)
    }

    @Test func aDamagedBlockIsAnErrorAndTheNextPassTriesAgain() throws {
        let model = try StreamedModel("text-head64")
        let least = try #require(budgets(model.inventory, count: 2).first)
        let residency = try #require(Residency.best(model.inventory, budget: least))
        let passing = try #require(residency.decoder.passing.last)
        let block = model.file.segments[passing.segment].blocks[0]
        let backend = CPUBackend(threadCount: 1)
        let loaded = try Glm4v(file: model.file, contextLength: 64, residency: residency, on: backend)
        let pool = try KVPool(for: loaded.configuration.text, tokenCapacity: 64, on: backend)
        var inputs = InputSequence()
        for token in textTokens(5) { inputs.append(token) }
        func forward() throws -> [Float] {
            var values: [Float] = []
            try unsafe loaded.forward(
                inputs, into: KVSequence(pool: pool, capacity: 64), logits: .last
            ) { unsafe values.append(contentsOf: $0) }
            return values
        }
        let right = try forward()
        try flip(model.file.path, at: block.fileOffset)
        // What was read ahead of the damage may carry a pass or two.
        let error = #expect(throws: ModelError.self) { for _ in 0..<4 { _ = try forward() } }
        guard case .file(let fault)? = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(fault.code == .changed || fault.code == .damaged)
        try flip(model.file.path, at: block.fileOffset)
        #expect(try forward() == right)
    }

    @Test func aTruncatedFileIsAnErrorAndNeverAHang() throws {
        let model = try StreamedModel("text-head64")
        let least = try #require(budgets(model.inventory, count: 2).first)
        let residency = try #require(Residency.best(model.inventory, budget: least))
        let backend = CPUBackend(threadCount: 1)
        let loaded = try Glm4v(file: model.file, contextLength: 64, residency: residency, on: backend)
        let pool = try KVPool(for: loaded.configuration.text, tokenCapacity: 64, on: backend)
        var inputs = InputSequence()
        for token in textTokens(5) { inputs.append(token) }
        unsafe truncate(model.file.path, 8192)
        #expect(throws: ModelError.self) {
            for _ in 0..<4 {
                try unsafe loaded.forward(
                    inputs, into: KVSequence(pool: pool, capacity: 64), logits: .last
                ) { _ in }
            }
        }
    }

    @Test func aPassThatIsLeftEarlyIsBegunAnew() throws {
        let model = try StreamedModel("two-images-head128")
        let least = try #require(budgets(model.inventory, count: 2).first)
        let residency = try #require(Residency.best(model.inventory, budget: least))
        let backend = CPUBackend(threadCount: 1)
        let loaded = try Glm4v(file: model.file, contextLength: 64, residency: residency, on: backend)
        let pool = try KVPool(for: loaded.configuration.text, tokenCapacity: 64, on: backend)
        var inputs = InputSequence()
        for token in textTokens(9) { inputs.append(token) }
        func forward(stoppingAfter layers: Int) throws -> [Float] {
            var (values, asked) = ([Float](), 0)
            func stops() -> Bool {
                asked += 1
                return asked > layers
            }
            try unsafe loaded.forward(
                inputs, into: KVSequence(pool: pool, capacity: 64), logits: .last, shouldStop: stops
            ) { unsafe values.append(contentsOf: $0) }
            return values
        }
        let whole = try forward(stoppingAfter: .max)
        for layers in 0..<loaded.configuration.text.layerCount {
            #expect(try forward(stoppingAfter: layers).isEmpty)
            #expect(try forward(stoppingAfter: .max) == whole)
        }
    }
}

/// What the store's threads do together, beside their units.
@Suite struct ErrandTests {
    private let model: StreamedModel
    private let residency: Residency
    private let store: WeightStore

    init() throws {
        model = try StreamedModel("text-head64")
        let least = try #require(budgets(model.inventory, count: 2).first)
        residency = try #require(Residency.best(model.inventory, budget: least))
        store = try WeightStore(
            residency, of: model.file, on: CPUBackend(threadCount: 1), threadCount: 3)
    }

    @Test func everyNumberIsDoneOnceAndAllHaveEnded() throws {
        for count in [1, 2, 40] {
            let done = Monitor([Int]())
            try store.together { (number, _) in
                done.withLock { $0.append(number) }
                return number + 1 < count
            }
            let numbers = done.withLock { $0 }.sorted()
            // Threads that had begun by then did a number more each.
            #expect(numbers == Array(0..<numbers.count) && (count..<count + 3).contains(numbers.count))
        }
    }

    @Test func aFaultIsThrownAndUnitsComeAfterIt() throws {
        let fault = ModelFileError(.system, file: "a disk", "it has a fault")
        let error = #expect(throws: ModelFileError.self) {
            try store.together { (number, _) throws(ModelFileError) in
                if number == 3 { throw fault }
                return true
            }
        }
        #expect(error?.description == fault.description)
        store.start()
        store.begin(.decoder)
        for unit in residency.decoder.units.indices { _ = try store.unit(unit) }
    }

    @Test func theDiskIsMeasuredBetweenPassesAndDisturbsNone() throws {
        let backend = CPUBackend(threadCount: 1)
        func load(_ residency: Residency?) throws -> Glm4v {
            try Glm4v(file: model.file, contextLength: 64, residency: residency, on: backend)
        }
        let (whole, passing) = (try load(nil), try load(residency))
        func logits(_ loaded: Glm4v) throws -> [Float] {
            let pool = try KVPool(for: loaded.configuration.text, tokenCapacity: 64, on: backend)
            var inputs = InputSequence()
            for token in textTokens(9) { inputs.append(token) }
            var values: [Float] = []
            try unsafe loaded.forward(
                inputs, into: KVSequence(pool: pool, capacity: 64), logits: .last
            ) { unsafe values.append(contentsOf: $0) }
            return values
        }
        #expect(try whole.diskBytesPerSecond(seconds: 0.01) == nil && whole.passingReads == nil)
        #expect(passing.passingReads?.count == WeightStore.leastThreads)
        let expected = try logits(whole)
        for _ in 0..<3 {
            let rate = try #require(try passing.diskBytesPerSecond(seconds: 1e-9))
            #expect(rate.isFinite && rate > 0)
            #expect(try logits(passing) == expected)
        }
        unsafe truncate(model.file.path, 8192)
        #expect(throws: ModelError.self) { try passing.diskBytesPerSecond(seconds: 1) }
    }
}

/// Changes one bit of a file.
private func flip(_ path: String, at offset: Int) throws {
    let handle = try FileHandle(forUpdating: URL(filePath: path))
    try handle.seek(toOffset: UInt64(offset))
    let byte = try #require(try handle.read(upToCount: 1)?.first)
    try handle.seek(toOffset: UInt64(offset))
    try handle.write(contentsOf: [byte ^ 1])
    try handle.close()
}
