//! Prompts that a GPU computes alone, the processor's layers being brought to it: from which length on, and
//! how long that is predicted to take.

import ModelFile
import TestSupport
import Tensors
import Testing

@testable import Memory

/// Tokens of a prompt at a time.
private let chunkTokens = 200

/// A model half of whose layers are the processor's.
private struct Shared {
    let model: RandomModel
    /// Its weights are held.
    let held: Plan
    /// They pass from the disk, where so small a model can do so.
    let passing: Plan?
    /// Bytes of the processor's layers.
    let broughtByteCount: Int

    init(_ generator: inout SeededGenerator, in folder: TemporaryDirectory) throws {
        model = try RandomModel(&generator, in: folder)
        let layerCount = model.file.configuration.text.layerCount
        var request = PlanRequest()
        request.contextLength = 1000
        request.chunkTokens = chunkTokens
        request.deviceLayerCount = layerCount / 2
        held = try Planner(model.sizes(place: .device)).plan(request)
        let layers = model.inventory.decoder[held.parts[0].share.layers]
        broughtByteCount = model.inventory.byteCount(of: layers)
        let (all, step) = (held.byteCount(.host), model.wholeByteCount / 50)
        passing = model.passingPlan(
            request, place: .device, within: stride(from: all - step, to: 0, by: -step))
    }
}

@Suite struct PassagePlanTests {
    private let folder: TemporaryDirectory
    private let shared: [Shared]

    init() throws {
        folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 41)
        shared = try (0..<exampleCount(12)).map { [folder] _ in try Shared(&generator, in: folder) }
    }

    /// A processor that takes long for a row, beside a GPU that takes no time.
    private var rates: MachineRates {
        var rates = boundless
        rates.device = 1e18
        rates.bus = 1e18
        rates.fourBitProducts = 1e3
        rates.eightBitProducts = 1e3
        rates.floatProducts = 1e3
        return rates
    }

    @Test func theSlowerOfTheBusAndTheCopyIsWaitedFor() throws {
        for shared in shared {
            #expect(shared.held.hasPassage && shared.held.streamedByteCount == 0)
            let bytes = Double(shared.broughtByteCount)
            var rates = rates
            rates.bus = 1e6
            for memory in [1e9, 1e5] {
                rates.weights = [.init(byteCount: 1, bytesPerSecond: memory)]
                // A copy goes over memory three times.
                let way = max(bytes / 1e6, 3 * bytes / memory)
                for chunks in [1, 3] {
                    let prediction = try shared.model.predict(
                        shared.held, rates, promptTokens: chunks * chunkTokens)
                    #expect(near(prediction.prefill.seconds, Double(chunks) * way), "\(prediction)")
                    #expect(prediction.prefill.bound == .memory)
                }
            }
        }
    }

    @Test func fewRowsStayWithTheProcessor() throws {
        for shared in shared {
            var rates = rates
            rates.bus = 1e6
            let products =
                shared.model.work.layers.fourBit + shared.model.work.layers.eightBit
                + shared.model.work.layers.floats
            let layers = shared.held.parts[0].share.layers
            let row = products / 1e3 * Double(layers.count) / Double(shared.model.work.layerCount)
            let way = Double(shared.broughtByteCount) / 1e6
            let brought = try #require(
                try shared.model.predict(shared.held, rates, promptTokens: 1).broughtRows)
            #expect(brought == min(max(2, Int((way / row).rounded(.up))), chunkTokens))
            let few = try shared.model.predict(shared.held, rates, promptTokens: brought - 1).prefill
            #expect(near(few.seconds, Double(brought - 1) * row))
        }
    }

    /// What bringing layers may take of a GPU: more where they pass from the disk, for there a layer more on
    /// the GPU saves a token little.
    @Test func bringingTakesAShareOfTheGPU() throws {
        var (brought, passing) = (0, 0)
        for shared in shared {
            guard shared.passing != nil, let host = shared.passing?.limits.host else { continue }
            let planner = Planner(shared.model.sizes(place: .device))
            let whole = shared.held.byteCount(.device) + shared.broughtByteCount
            for step in 1...40 {
                var request = PlanRequest()
                request.contextLength = 1000
                request.chunkTokens = chunkTokens
                request.deviceLayerCount = shared.held.parts[1].share.layers.count
                request.limits.device = whole * step / 10
                request.limits.host = step % 2 == 0 ? host : nil
                guard let plan = try? planner.plan(request), plan.hasPassage else { continue }
                let way = plan.items.filter { $0.place == .device && $0.name.hasSuffix("on their way") }
                let taken = way.reduce(0) { $0 + $1.byteCount }
                brought += 1
                if plan.streamedByteCount > 0 { passing += 1 }
                #expect(taken <= whole * step / 10 / (plan.streamedByteCount > 0 ? 3 : 6))
            }
        }
        #expect(isSanitized || brought > 10 && passing > 3, "\(brought), \(passing)")
    }

    /// What the disk brings goes on to the GPU as it comes.
    @Test func aPromptReadsWhatPassesOnceForEachChunk() throws {
        var passing = 0
        for shared in shared {
            guard let plan = shared.passing else { continue }
            passing += 1
            #expect(plan.hasPassage)
            // The processor has room for fewer rows: it need not compute more.
            let rows = try #require(plan.activations.unbroughtTokens)
            #expect(rows < chunkTokens)
            var rates = rates
            (rates.disk, rates.diskAlone) = (1000, 500)
            func seconds(_ tokens: Int) throws -> Double {
                let prediction = try shared.model.predict(plan, rates, promptTokens: tokens)
                #expect(try #require(prediction.broughtRows) <= rows + 1)
                // Rows of the embedding are looked up before.
                let lookup = lookupSeconds(shared, plan, tokens)
                return prediction.prefill.seconds - lookup
            }
            let read = Double(plan.passes.token.reading) / 500
            for chunks in 1...3 {
                let found = try seconds(chunks * chunkTokens)
                #expect(near(found / read, Double(chunks)), "\(found) for \(chunks) times \(read)")
            }
            // A slower bus is waited for instead.
            rates.bus = Double(shared.broughtByteCount) / (10 * read)
            #expect(near(try seconds(chunkTokens) / read, 10))
        }
        #expect(isSanitized || passing > 3, "\(passing)")
    }

    /// Seconds in which rows of the embedding for `count` tokens are read, chunk by chunk: of a disk of 1000
    /// bytes a second, or half as many where it has one read at a time.
    private func lookupSeconds(_ shared: Shared, _ plan: Plan, _ count: Int) -> Double {
        guard let kept = plan.residency.embeddingTiles else { return 0 }
        let lookup = shared.model.work.lookup
        let missed = max(0, 1 - Double(kept) / Double(lookup.tileCount))
        let (bytes, blocks) = lookup.together(missed * Double(chunkTokens))
        let rate = 500 + 500 * (min(max(blocks, 1), 4) - 1) / 3
        return Double(count / chunkTokens) * Double(bytes.stored) / rate
    }
}
