//! How fast plans are predicted to run: the formulas with simple numbers, and what must hold of all.

import Foundation
import ModelFile
import Tensors
import TestSupport
import Testing

@testable import Memory

/// Rates so high that nothing takes time: a test lowers the one that it is about.
var boundless: MachineRates {
    var rates = MachineRates(threadCount: 1)
    rates.weights = [.init(byteCount: 1, bytesPerSecond: 1e18)]
    (rates.disk, rates.diskAlone) = (1e18, 1e18)
    rates.decompression = 1e18
    rates.checking = 1e18
    rates.fourBitProducts = 1e18
    rates.eightBitProducts = 1e18
    rates.floatProducts = 1e18
    rates.attention64 = 1e18
    rates.attention128 = 1e18
    rates.visionAttention = 1e18
    (rates.tokenAttention64, rates.tokenAttention128) = (1e18, 1e18)
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
    let whole: Plan
    /// Half of the weights fit, about.
    let half: Plan

    init(_ generator: inout SeededGenerator, in folder: TemporaryDirectory) throws {
        model = try RandomModel(&generator, in: folder)
        var request = PlanRequest()
        request.contextLength = 100
        request.chunkTokens = 32
        whole = try Planner(model.sizes()).plan(request)
        let (all, weights) = (whole.byteCount(.host), model.wholeByteCount)
        half =
            model.passingPlan(request, within: stride(from: all - weights / 2, to: all, by: weights / 100))
            ?? whole
    }
}

extension Planned {
    /// Seconds of the disk for rows that are looked up together: of one by itself at half of its rate, of
    /// many by up to four reads at a time, and no block of the file twice.
    fileprivate func lookupSeconds(_ count: Int, disk: Double) -> Double {
        guard let kept = half.residency.embeddingTiles else { return 0 }
        let work = model.work
        let missed = Double(count) * max(0, 1 - Double(kept) / Double(work.lookup.tileCount))
        if count == 1 { return missed * Double(work.lookup.traffic.stored) / disk * 2 }
        var (bytes, blocks) = (0.0, 0.0)
        for plane in work.lookup.planes {
            let all = Double(plane.blockCount)
            let share = all == 1 ? (missed > 0 ? 1 : 0) : 1 - pow(1 - 1 / all, missed)
            blocks += all * share
            bytes += Double(plane.traffic.stored) * share
        }
        let reads = min(max(blocks, 1), 4)
        return bytes / (disk * (0.5 + 0.5 * (reads - 1) / 3))
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
            // More than the weights, which keys are, take no time.
            let bytes = planned.whole.decodedByteCount
            rates.weights = [
                .init(byteCount: bytes, bytesPerSecond: 1000), .init(byteCount: .max, bytesPerSecond: 1e18),
            ]
            let token = try planned.model.predict(planned.whole, rates).token
            #expect(near(token.seconds, Double(bytes) / 1000))
            #expect(token.bound == .memory && near(token.disk, 0))
            rates.layerSeconds = 1e6
            let fixed = try planned.model.predict(planned.whole, rates).token
            #expect(near(fixed.seconds - token.seconds, 1e6 * Double(planned.model.work.layerCount)))
            #expect(fixed.bound == .computing)
        }
    }

    @Test func aTokenGoesThroughTheKeysOfThoseBefore() throws {
        for planned in planned {
            var (busy, waiting) = (boundless, boundless)
            (busy.tokenAttention64, busy.tokenAttention128) = (10, 10)
            // Weights take no time; what passes their sizes does.
            waiting.weights.append(.init(byteCount: .max, bytesPerSecond: 10))
            waiting.weights[0].byteCount = planned.whole.decodedByteCount
            let text = planned.model.file.configuration.text
            // A query with a key, and a weight with a value.
            let products = 2 * text.layerCount * text.headCount * text.headSize
            // A key and a value of two bytes each for every channel.
            let keys = 2 * 2 * text.layerCount * text.kvHeadCount * text.headSize
            for length in [1, 50, 100] {
                let token = try planned.model.predict(planned.whole, busy, promptTokens: length).token
                #expect(near(token.seconds, Double(products * length) / 10))
                let read = try planned.model.predict(planned.whole, waiting, promptTokens: length).token
                #expect(near(read.seconds, Double(keys * length) / 10))
            }
        }
    }

    @Test func aTokenThatReadsTheFileTakesTheDisksTime() throws {
        for planned in planned where planned.half.streamedByteCount > 0 {
            var rates = boundless
            (rates.disk, rates.diskAlone) = (1000, 500)
            let token = try planned.model.predict(planned.half, rates).token
            let passes = planned.half.passes
            let own = planned.half.residency.passes(planned.model.inventory)
            #expect(own.token.stored == planned.half.streamedByteCount)
            #expect(own.token.units == planned.half.residency.decoder.passing.count)
            // So small a ring has room for one read, which the disk does at half of its rate; so is a row of
            // the embedding read, unless it is one of those that are kept.
            #expect(passes.tokenAhead <= RunReader.mostRunBytes)
            let lookup = planned.model.work.lookup
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
            (rates.disk, rates.diskAlone) = (1000, 500)
            let alone = try planned.model.predict(planned.half, rates).token
            // Of copies the last rate counts, and they take no time.
            let bytes = planned.half.decodedByteCount
            rates.weights = [
                .init(byteCount: bytes, bytesPerSecond: 1), .init(byteCount: .max, bytesPerSecond: 1e18),
            ]
            let both = try planned.model.predict(planned.half, rates).token
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
            (rates.disk, rates.diskAlone) = (1000, 500)
            let passes = planned.half.passes
            let pass = Double(passes.token.reading) / 500
            for (tokens, chunks) in [(1, 1), (32, 1), (33, 2), (96, 3), (97, 4)] {
                let prediction = try planned.model.predict(planned.half, rates, promptTokens: tokens)
                let lookups = (0..<chunks).reduce(0.0) { sum, chunk in
                    sum + planned.lookupSeconds(min(32, tokens - chunk * 32), disk: 1000)
                }
                #expect(
                    near(prediction.prefill.seconds, Double(chunks) * pass + lookups), "\(tokens) tokens")
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
            let layers = planned.model.work.layers
            let all = layers.fourBit + layers.eightBit + layers.floats
            let tensors = planned.model.inventory.decoder.dropLast().flatMap {
                planned.model.inventory.segments[$0].entry.tensors
            }
            let counted = tensors.filter { $0.kind == .matrix }.reduce(0) { $0 + $1.rows * $1.columns }
            #expect(all == Double(counted))
            let prompt = try planned.model.predict(planned.whole, rates, promptTokens: 50).prefill
            #expect(near(prompt.seconds, 50 * all / 1e3) && prompt.bound == .computing)
        }
    }

    @Test func attentionSeesWhatCameBefore() throws {
        for planned in planned {
            var rates = boundless
            rates.attention64 = 1
            rates.attention128 = 1
            let width = Double(planned.model.work.queryWidth * planned.model.work.layerCount)
            let prompt = try planned.model.predict(planned.whole, rates, promptTokens: 50).prefill
            #expect(near(prompt.seconds, Double(50 * 51 / 2) * 2 * width))
        }
    }

    @Test func aPageIsSeenAndThenRead() throws {
        var (seeing, blind) = (0, 0)
        for planned in planned {
            var rates = boundless
            rates.visionAttention = 1
            rates.channelSeconds = 1
            let prediction = try planned.model.predict(planned.whole, rates, pageTokens: 10)
            guard let vision = planned.model.work.vision else {
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
            let prompt = question * Double(planned.model.work.hiddenSize * planned.model.work.layerCount)
            #expect(
                near(prediction.pageFirstToken?.seconds, (prediction.image?.seconds ?? 0) + prompt))
        }
        #expect(isSanitized || seeing > 0 && blind > 0)
    }

    /// Of pages that go through the tower together each attends to itself; what passes comes once for all.
    @Test func pagesTogetherAreSeenAsOften() throws {
        var several = 0
        for planned in planned {
            guard let vision = planned.model.work.vision else { continue }
            var rates = boundless
            rates.visionAttention = 1
            rates.channelSeconds = 1
            for tokens in [1, 5, 16, 17, 40] {
                let prediction = try planned.model.predict(planned.whole, rates, pageTokens: tokens)
                // The plans have chunks of 32 tokens.
                let together = 32 / tokens
                guard together > 1 else {
                    #expect(prediction.batch == nil)
                    continue
                }
                several += 1
                #expect(prediction.batch?.count == together)
                let patches = Double(tokens * vision.patchesPerToken)
                let width = Double(vision.width * vision.blockCount)
                #expect(
                    near(prediction.batch?.image.seconds, patches * patches * 2 * width + patches * width))
            }
            rates = boundless
            (rates.disk, rates.diskAlone) = (1000, 500)
            let passing = try planned.model.predict(planned.half, rates, pageTokens: 8)
            let (alone, each) = try (#require(passing.image), #require(passing.batch?.image))
            #expect(near(each.seconds, alone.seconds / 4))
        }
        #expect(isSanitized || several > 0)
    }

    @Test func loadingTakesWhatIsHeld() throws {
        for planned in planned {
            var rates = boundless
            (rates.disk, rates.diskAlone) = (1000, 500)
            let all = planned.model.inventory.all.reduce(0) { sum, index in
                sum + planned.model.inventory.segments[index].blocks.reduce(0) { $0 + $1.storedByteCount }
            }
            let load = try planned.model.predict(planned.whole, rates).load
            #expect(abs(load.seconds - Double(all) / 1000) < 0.1 + Double(all) * 1e-6)
        }
    }

    @Test func aGPUsPlanIsNotPredicted() throws {
        let planned = planned[0]
        let plan = try Planner(planned.model.sizes(place: .device)).plan(PlanRequest())
        #expect(
            plan.prediction(of: planned.model.work, on: boundless, promptTokens: 1, pageTokens: 1) == nil)
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
            let predictions = try rates.map { try planned.model.predict(plan, $0, promptTokens: 200) }
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
            prediction.image, prediction.batch?.image, prediction.pageFirstToken,
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
            (
                "page of many", (prediction.batch?.image ?? prediction.image)?.seconds,
                (last.batch?.image ?? last.image)?.seconds
            ),
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
        (rates.disk, rates.diskAlone) = (rate(), rate())
        rates.decompression = rate()
        rates.checking = rate()
        rates.fourBitProducts = rate()
        rates.eightBitProducts = rate()
        rates.floatProducts = rate()
        rates.attention64 = rate()
        rates.attention128 = rate()
        rates.visionAttention = rate()
        (rates.tokenAttention64, rates.tokenAttention128) = (rate(), rate())
        rates.layerSeconds = 1 / rate()
        rates.channelSeconds = 1 / rate()
        return rates
    }
}
