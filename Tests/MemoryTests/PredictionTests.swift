//! How fast plans are predicted to run: the formulas with simple numbers, and what must hold of all.

import ModelFile
import Tensors
import TestSupport
import Testing

@testable import Memory

/// Rates so high that nothing takes time: a test lowers the one that it is about.
var boundless: MachineRates {
    var rates = MachineRates(threadCount: 1)
    rates.weights = [.init(byteCount: 1, bytesPerSecond: 1e18)]
    rates.disk = 1e18
    rates.decompression = 1e18
    rates.checking = 1e18
    rates.fourBitProducts = 1e18
    rates.eightBitProducts = 1e18
    rates.floatProducts = 1e18
    rates.attention64 = 1e18
    rates.attention128 = 1e18
    rates.visionAttention = 1e18
    rates.keyReading = 1e18
    rates.layerSeconds = 0
    rates.channelSeconds = 0
    return rates
}

func near(_ value: Double?, _ expected: Double) -> Bool {
    value.map { abs($0 - expected) <= 1e-6 * abs(expected) + 1e-6 } ?? false
}

/// A model and plans for it.
private struct Planned {
    let model: RandomModel
    let work: ModelWork
    let whole: Plan
    /// Half of the weights fit, about.
    let half: Plan

    init(_ generator: inout SeededGenerator, in folder: TemporaryDirectory) throws {
        model = try RandomModel(&generator, in: folder)
        work = ModelWork(model.outline)
        let planner = Planner(model.sizes())
        var request = PlanRequest()
        request.contextLength = 100
        request.chunkTokens = 32
        whole = try planner.plan(request)
        var limit = whole.byteCount(.host) - model.wholeByteCount / 2
        while limit < whole.byteCount(.host) {
            request.limits.host = limit
            if let plan = try? planner.plan(request), plan.streamedByteCount > 0 {
                half = plan
                return
            }
            limit += model.wholeByteCount / 100
        }
        // So small a model passes through nothing.
        half = whole
    }

    func predict(
        _ plan: Plan, _ rates: MachineRates, promptTokens: Int = 64, pageTokens: Int = 10
    ) throws -> PlanPrediction {
        try #require(
            plan.prediction(of: work, on: rates, promptTokens: promptTokens, pageTokens: pageTokens))
    }
}

@Suite struct PredictionTests {
    private let folder: TemporaryDirectory
    private let planned: [Planned]

    init() throws {
        folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 31)
        planned = try (0..<exampleCount(12)).map { [folder] _ in try Planned(&generator, in: folder) }
    }

    @Test func aTokenThatReadsMemoryTakesItsBytes() throws {
        for planned in planned {
            var rates = boundless
            rates.weights = [.init(byteCount: 1, bytesPerSecond: 1000)]
            let token = try planned.predict(planned.whole, rates).token
            #expect(near(token.seconds, Double(planned.whole.decodedByteCount) / 1000))
            #expect(token.bound == .memory && near(token.disk, 0))
            rates.layerSeconds = 1e6
            let fixed = try planned.predict(planned.whole, rates).token
            #expect(near(fixed.seconds - token.seconds, 1e6 * Double(planned.work.layerCount)))
            #expect(fixed.bound == .computing)
        }
    }

    @Test func aTokenGoesThroughTheKeysOfThoseBefore() throws {
        for planned in planned {
            var rates = boundless
            rates.keyReading = 10
            let text = planned.model.file.configuration.text
            // A key and a value of two bytes each for every channel.
            let keys = 2 * 2 * text.layerCount * text.kvHeadCount * text.headSize
            for length in [1, 50, 100] {
                let token = try planned.predict(planned.whole, rates, promptTokens: length).token
                #expect(near(token.seconds, Double(keys * length) / 10))
            }
        }
    }

    @Test func aTokenThatReadsTheFileTakesTheDisksTime() throws {
        for planned in planned where planned.half.streamedByteCount > 0 {
            var rates = boundless
            rates.disk = 1000
            let token = try planned.predict(planned.half, rates).token
            let passes = planned.half.passes
            let own = planned.half.residency.passes(planned.model.inventory)
            #expect(own.token.stored == planned.half.streamedByteCount)
            #expect(own.token.units == planned.half.residency.decoder.passing.count)
            // So small a ring has room for one read, which the disk does at half of its rate; so is a row of
            // the embedding read, unless it is one of those that are kept.
            #expect(passes.tokenAhead <= RunReader.mostRunBytes)
            let lookup = planned.work.lookup
            let kept = Double(planned.half.residency.embeddingTiles ?? lookup.tileCount)
            let missed = max(0, 1 - kept / Double(lookup.tileCount))
            let read =
                Double(passes.token.reading) + missed * Double(lookup.traffic.stored)
            #expect(near(token.seconds, read / 500), "\(token.seconds) for \(read)")
            #expect(token.bound == .disk)
        }
    }

    @Test func halfOfTheShorterIsNotHiddenByTheLonger() throws {
        for planned in planned where planned.half.streamedByteCount > 0 {
            var rates = boundless
            rates.disk = 1000
            let alone = try planned.predict(planned.half, rates).token
            // Of copies the last rate counts, and they take no time.
            let bytes = planned.half.decodedByteCount
            rates.weights = [
                .init(byteCount: bytes, bytesPerSecond: 1), .init(byteCount: .max, bytesPerSecond: 1e18),
            ]
            let both = try planned.predict(planned.half, rates).token
            // What is looked up is looked up before.
            let passing = Double(planned.half.passes.token.reading) / 500
            #expect(both.memory == Double(bytes) && near(both.disk, alone.disk))
            #expect(near(both.seconds - Double(bytes), alone.seconds - passing / 2), "\(both)")
            #expect(both.bound == .memory)
        }
    }

    @Test func aPromptReadsTheFileOnceForEachChunk() throws {
        for planned in planned where planned.half.streamedByteCount > 0 {
            var rates = boundless
            rates.disk = 1000
            let passes = planned.half.passes
            let pass = Double(passes.token.reading) / 500
            for (tokens, chunks) in [(1, 1), (32, 1), (33, 2), (96, 3), (97, 4)] {
                let prediction = try planned.predict(planned.half, rates, promptTokens: tokens)
                let lookup = try planned.predict(planned.half, rates, promptTokens: 1).token.seconds - pass
                #expect(
                    near(
                        prediction.prefill.seconds, Double(chunks) * pass + Double(tokens) * max(0, lookup)),
                    "\(tokens) tokens")
                let first = Double(passes.first.reading - passes.token.reading) / 500
                #expect(near(prediction.firstToken.seconds - prediction.prefill.seconds, first))
            }
        }
    }

    @Test func aPromptTakesItsProducts() throws {
        for planned in planned {
            var rates = boundless
            rates.fourBitProducts = 1e3
            rates.eightBitProducts = 1e3
            rates.floatProducts = 1e3
            let layers = planned.work.layers
            let all = layers.fourBit + layers.eightBit + layers.floats
            let tensors = planned.model.inventory.decoder.dropLast().flatMap {
                planned.model.inventory.segments[$0].entry.tensors
            }
            let counted = tensors.filter { $0.kind == .matrix }.reduce(0) { $0 + $1.rows * $1.columns }
            #expect(all == Double(counted))
            let prompt = try planned.predict(planned.whole, rates, promptTokens: 50).prefill
            #expect(near(prompt.seconds, 50 * all / 1e3) && prompt.bound == .computing)
        }
    }

    @Test func attentionSeesWhatCameBefore() throws {
        for planned in planned {
            var rates = boundless
            rates.attention64 = 1
            rates.attention128 = 1
            let width = Double(planned.work.queryWidth * planned.work.layerCount)
            let prompt = try planned.predict(planned.whole, rates, promptTokens: 50).prefill
            #expect(near(prompt.seconds, Double(50 * 51 / 2) * 2 * width))
        }
    }

    @Test func aPageIsSeenAndThenRead() throws {
        var (seeing, blind) = (0, 0)
        for planned in planned {
            var rates = boundless
            rates.visionAttention = 1
            rates.channelSeconds = 1
            let prediction = try planned.predict(planned.whole, rates, pageTokens: 10)
            guard let vision = planned.work.vision else {
                blind += 1
                #expect(prediction.pageTokens == nil && prediction.image == nil)
                #expect(prediction.pageFirstToken == nil)
                continue
            }
            seeing += 1
            let patches = Double(10 * vision.patchesPerToken)
            let width = Double(vision.width * vision.blockCount)
            #expect(near(prediction.image?.seconds, patches * patches * 2 * width + patches * width))
            let question = Double(10 + Plan.questionTokens)
            let prompt = question * Double(planned.work.hiddenSize * planned.work.layerCount)
            #expect(
                near(prediction.pageFirstToken?.seconds, (prediction.image?.seconds ?? 0) + prompt))
        }
        #expect(isSanitized || seeing > 0 && blind > 0)
    }

    @Test func loadingTakesWhatIsHeld() throws {
        for planned in planned {
            var rates = boundless
            rates.disk = 1000
            let all = planned.model.inventory.all.reduce(0) { sum, index in
                sum + planned.model.inventory.segments[index].blocks.reduce(0) { $0 + $1.storedByteCount }
            }
            let load = try planned.predict(planned.whole, rates).load
            #expect(abs(load.seconds - Double(all) / 1000) < 0.1 + Double(all) * 1e-6)
        }
    }

    @Test func aGPUsPlanIsNotPredicted() throws {
        let planned = planned[0]
        let plan = try Planner(planned.model.sizes(place: .device)).plan(PlanRequest())
        #expect(
            plan.prediction(of: planned.work, on: boundless, promptTokens: 1, pageTokens: 1) == nil)
    }

    @Test func withMoreMemoryNothingIsPredictedSlower() throws {
        var generator = SeededGenerator(seed: 32)
        let rates = [boundless, MachineRates(threadCount: 4), Self.random(&generator)]
        for planned in planned {
            let planner = Planner(planned.model.sizes())
            let all = planned.whole.byteCount(.host)
            var limited = PlanRequest()
            limited.limits.host = all
            let ladder = planner.ladder(limited)
            for (context, chunk) in [(nil, nil), (700, nil), (nil, 64), (300, 32)] as [(Int?, Int?)] {
                var request = PlanRequest()
                request.contextLength = context
                request.chunkTokens = chunk
                try check(planned, planner, ladder, request, upTo: all * 4, rates + [Self.random(&generator)])
            }
        }
    }

    /// Plans with rising limits: within each of them, none refused after one that was not, and none predicted
    /// slower than the one before on any of some machines.
    private func check(
        _ planned: Planned, _ planner: Planner, _ ladder: ResidencyLadder, _ asked: PlanRequest,
        upTo most: Int, _ rates: [MachineRates]
    ) throws {
        var request = asked
        var last: [PlanPrediction] = []
        var limit = most / 200
        while limit < most {
            request.limits.host = limit
            defer { limit += limit / 12 + 1 }
            guard let plan = try? planner.plan(request, ladder) else {
                #expect(last.isEmpty, "\(limit): what fits less fits more")
                continue
            }
            #expect(plan.byteCount(.host) <= limit)
            let predictions = try rates.map { try planned.predict(plan, $0, promptTokens: 200) }
            for (index, prediction) in predictions.enumerated() {
                checkNumbers(of: prediction)
                guard last.indices.contains(index) else { continue }
                checkOrder(prediction, after: last[index], "\(limit), \(asked)")
            }
            last = predictions
        }
        #expect(!last.isEmpty)
    }

    private func checkNumbers(of prediction: PlanPrediction) {
        for stage in [
            prediction.token, prediction.firstToken, prediction.prefill, prediction.load,
            prediction.image, prediction.pageFirstToken,
        ].compactMap({ $0 }) {
            #expect(stage.seconds.isFinite && stage.seconds > 0)
            #expect(stage.disk >= 0 && stage.memory >= 0 && stage.computing >= 0)
        }
        #expect(prediction.tokensPerSecond.isFinite && prediction.prefillTokensPerSecond.isFinite)
    }

    private func checkOrder(_ prediction: PlanPrediction, after last: PlanPrediction, _ what: String) {
        let stages: [(String, Double?, Double?)] = [
            ("token", prediction.token.seconds, last.token.seconds),
            ("first token", prediction.firstToken.seconds, last.firstToken.seconds),
            ("prefill", prediction.prefill.seconds, last.prefill.seconds),
            ("image", prediction.image?.seconds, last.image?.seconds),
            ("page", prediction.pageFirstToken?.seconds, last.pageFirstToken?.seconds),
        ]
        for (name, now, before) in stages {
            // But for rounding.
            #expect((now ?? 0) <= (before ?? 0) * (1 + 1e-9), "\(name) at \(what)")
        }
    }

    /// A machine that may be of any kind, with every number from 1e4 to 1e12.
    private static func random(_ generator: inout SeededGenerator) -> MachineRates {
        func rate() -> Double {
            let exponent = Double(generator.uniform(in: 4...12))
            return (0..<Int(exponent)).reduce(1 + exponent.truncatingRemainder(dividingBy: 1)) { rate, _ in
                rate * 10
            }
        }
        var rates = MachineRates(threadCount: generator.integer(in: 1...64))
        rates.weights = [
            .init(byteCount: 1 << 16, bytesPerSecond: rate()),
            .init(byteCount: 1 << 20, bytesPerSecond: rate()),
        ]
        rates.disk = rate()
        rates.decompression = rate()
        rates.checking = rate()
        rates.fourBitProducts = rate()
        rates.eightBitProducts = rate()
        rates.floatProducts = rate()
        rates.attention64 = rate()
        rates.attention128 = rate()
        rates.visionAttention = rate()
        rates.keyReading = rate()
        rates.layerSeconds = 1 / rate()
        rates.channelSeconds = 1 / rate()
        return rates
    }
}
