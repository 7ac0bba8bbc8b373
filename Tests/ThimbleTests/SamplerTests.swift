//! Holds the sampler: greedy is the likeliest token, filters keep what they say, a seed repeats.

import Foundation
import TestSupport
import Testing
@testable import Thimble

private func sample(_ options: SamplingOptions, _ logits: [Float], prompt: [Int32] = [], count: Int = 1)
    -> [Int32?]
{
    var sampler = Sampler(options, prompt: prompt, vocabularySize: logits.count)
    return (0..<count).map { _ in unsafe logits.withUnsafeBufferPointer { unsafe sampler.next($0) } }
}

private func options(_ change: (inout SamplingOptions) -> Void) -> SamplingOptions {
    var options = SamplingOptions()
    change(&options)
    return options
}

@Test func greedyTakesTheLikeliestAndTheFirstOfEquals() {
    #expect(sample(SamplingOptions(), [0, 3, 1, 3]) == [1])
}

@Test func logitsThatAreNoNumbersAreNeverTaken() {
    #expect(sample(SamplingOptions(), [.nan, -1, .nan]) == [1])
    #expect(sample(SamplingOptions(), [.nan, -.infinity]) == [nil])
    #expect(sample(options { $0.temperature = 1 }, [.nan, .nan]) == [nil])
    #expect(sample(options { $0.temperature = 1 }, [0, .infinity, .nan]) == [1])
}

@Test func aSeedRepeatsAndAnotherDiffers() {
    let logits = (0..<200).map { Float($0 % 7) / 3 }
    let first = sample(
        options {
            $0.temperature = 1; $0.seed = 5
        }, logits, count: 40)
    #expect(
        first
            == sample(
                options {
                    $0.temperature = 1; $0.seed = 5
                }, logits, count: 40))
    #expect(
        first
            != sample(
                options {
                    $0.temperature = 1; $0.seed = 6
                }, logits, count: 40))
}

@Test func drawsFollowTheDistribution() {
    // Probabilities 0.5, 0.3, 0.2: 20,000 draws come within four standard deviations.
    let logits = [0.5, 0.3, 0.2].map { log(Float($0)) }
    let draws = sample(
        options {
            $0.temperature = 1; $0.seed = 1
        }, logits, count: 20_000)
    for (token, probability) in [0.5, 0.3, 0.2].enumerated() {
        let share = Double(draws.count { $0 == Int32(token) }) / 20_000
        #expect(abs(share - probability) < 4 * (probability * (1 - probability) / 20_000).squareRoot())
    }
}

@Test func topKKeepsTheLikeliest() {
    let draws = sample(
        options {
            $0.temperature = 5; $0.topK = 2; $0.seed = 2
        }, [1, 4, 2, 3], count: 500)
    #expect(Set(draws) == [1, 3])
}

@Test func topPKeepsTheFewestThatReachIt() {
    let logits = [0.5, 0.3, 0.15, 0.05].map { log(Float($0)) }
    let draws = sample(
        options {
            $0.temperature = 1; $0.topP = 0.7; $0.seed = 3
        }, logits, count: 500)
    #expect(Set(draws) == [0, 1])
}

@Test func minPDropsTheUnlikely() {
    let logits = [0.6, 0.3, 0.1].map { log(Float($0)) }
    let draws = sample(
        options {
            $0.temperature = 1; $0.minP = 0.4; $0.seed = 4
        }, logits, count: 500)
    #expect(Set(draws) == [0, 1])
}

@Test func repetitionPenaltyKnowsThePromptAndTheAnswer() {
    let penalized = options { $0.repetitionPenalty = 2 }
    #expect(sample(penalized, [4, 3, -1], prompt: [0]) == [1])
    // After 1 was taken its logit halves too, and 4 / 2 is the largest again.
    #expect(sample(penalized, [4, 3, -1], prompt: [0], count: 2) == [1, 0])
    // A negative logit moves down, not up.
    #expect(sample(penalized, [-1, -1.5], prompt: [0]) == [1])
}

@Test func frequencyAndPresencePenaltiesCountOnlyTheAnswer() {
    #expect(
        sample(options { $0.frequencyPenalty = 1 }, [3, 2.5], prompt: [0, 0, 0], count: 4) == [0, 1, 0, 1])
    #expect(sample(options { $0.presencePenalty = 1 }, [3, 2.5, 1.9], count: 4) == [0, 1, 0, 0])
}

/// The definition of what top-k, top-p and min-p leave: sort everything, cut three times.
private func kept(_ options: SamplingOptions, _ logits: [Float]) -> Set<Int32> {
    guard let highest = logits.max() else { return [] }
    var candidates = logits.indices
        .map { (token: Int32($0), weight: expf((logits[$0] - highest) / options.temperature)) }
        .filter { $0.weight > 0 }
    let total = { candidates.sorted { $0.token < $1.token }.reduce(0.0) { $0 + Double($1.weight) } }
    candidates.sort { $0.weight == $1.weight ? $0.token < $1.token : $0.weight > $1.weight }
    if options.topK > 0 { candidates = Array(candidates.prefix(options.topK)) }
    let limit = Double(options.topP) * total()
    var reached = 0.0
    if options.topP < 1,
        let last = candidates.firstIndex(where: {
            reached += Double($0.weight)
            return reached >= limit
        })
    {
        candidates = Array(candidates[...last])
    }
    return Set(candidates.filter { $0.weight >= options.minP }.map(\.token))
}

/// The token that a draw of `unit` takes: the kept ones in order of ids, each as wide as its weight.
private func drawn(_ options: SamplingOptions, _ logits: [Float], unit: Float) -> Int32? {
    let highest = logits.max() ?? 0
    let tokens = kept(options, logits).sorted()
    let weights = tokens.map { Double(expf((logits[Int($0)] - highest) / options.temperature)) }
    var remaining = Double(unit) * weights.reduce(0, +)
    for (token, weight) in zip(tokens, weights) {
        remaining -= weight
        if remaining < 0 { return token }
    }
    return tokens.last
}

@Test func filtersLeaveWhatTheDefinitionLeaves() {
    var generator = SeededGenerator(seed: 31)
    for round in 0..<2000 {
        let count = Int.random(in: 1...300, using: &generator)
        // Few values give many equals, a wide range gives weights of zero.
        let spread = [1, 8, 300][round % 3] as Float
        let logits = (0..<count).map { _ in
            let value = Float.random(in: -1...1, using: &generator) * spread
            return round % 2 == 0 ? value.rounded() : value
        }
        let options = options {
            $0.temperature = [0.1, 1, 3][round / 3 % 3]
            $0.topK = [0, 1, 5, 40, 1000][round % 5]
            $0.topP = [1, 0.9, 0.5, 1e-6][round / 2 % 4]
            $0.minP = [0, 0, 0.05, 0.5, 1][round / 4 % 5]
            $0.seed = UInt64(round)
        }
        var units = SplitMix64(state: UInt64(round))
        let expected = (0..<5).map { _ in drawn(options, logits, unit: units.nextUnit()) }
        #expect(sample(options, logits, count: 5) == expected, "round \(round)")
    }
}

@Test func parametersOutsideTheirRangeAreNamed() {
    for (change, name) in [
        ({ (o: inout SamplingOptions) in o.temperature = -1 }, "temperature"), ({ $0.topP = 0 }, "top-p"),
        ({ $0.minP = 2 }, "min-p"), ({ $0.topK = -1 }, "top-k"), ({ $0.repetitionPenalty = 0 }, "repetition"),
        ({ $0.temperature = .nan }, "temperature"),
    ] {
        let error = #expect(throws: ThimbleError.self) { try options(change).validate() }
        #expect(error?.code == .invalidArgument && error?.message.contains(name) == true)
    }
}
