//! What a growing limit is spent on: simple numbers, and what must hold of all.

import TestSupport
import Testing

@testable import Memory

@Suite struct MemorySharesTests {
    /// A token of context takes 1 byte, one of a chunk 2; weights want 100 to begin with and 1000 to be
    /// quiet.
    private func shares(contexts: [Int] = [10, 20, 40, 400], chunks: [Int] = [5, 50]) -> MemoryShares {
        MemoryShares(
            contexts: contexts, usualContext: 40, chunks: chunks, leastWeights: 100, quietWeights: 1000,
            rest: { context, chunkTokens, _ in context + 2 * chunkTokens },
            worth: { context, chunkTokens in 4 * 2 * chunkTokens })
    }

    @Test func theLeastIsTheLeast() {
        #expect(shares().share(of: 119) == nil && !shares().isEnough(119))
        #expect(shares().share(of: 120) == .init(context: 10, chunkTokens: 5, weights: 100))
    }

    @Test func usualContextsComeBeforeWeights() {
        #expect(shares().share(of: 129) == .init(context: 10, chunkTokens: 5, weights: 100))
        #expect(shares().share(of: 130) == .init(context: 20, chunkTokens: 5, weights: 100))
        #expect(shares().share(of: 150) == .init(context: 40, chunkTokens: 5, weights: 100))
        #expect(shares().share(of: 200) == .init(context: 40, chunkTokens: 5, weights: 150))
    }

    @Test func aChunkThatIsWorthItIsSavedFor() {
        let before = MemoryShares.Share(context: 40, chunkTokens: 5, weights: 349)
        // From 400 on it is worth 90 bytes more; what weights have by then they keep meanwhile.
        #expect(shares().share(of: 399) == before && shares().share(of: 488) == before)
        #expect(shares().share(of: 489) == .init(context: 40, chunkTokens: 50, weights: 349))
        #expect(shares().share(of: 500) == .init(context: 40, chunkTokens: 50, weights: 360))
    }

    @Test func longContextsWaitUntilTokensReadNothing() {
        #expect(shares().share(of: 1140) == .init(context: 40, chunkTokens: 50, weights: 1000))
        // Limits of more than ten bits are rounded down.
        #expect(shares().share(of: 1498) == .init(context: 40, chunkTokens: 50, weights: 1000))
        #expect(shares().share(of: 1500) == .init(context: 400, chunkTokens: 50, weights: 1000))
        #expect(shares().share(of: 1600) == .init(context: 400, chunkTokens: 50, weights: 1100))
    }

    @Test func whatIsAskedForIsAllThereIs() {
        let asked = shares(contexts: [300], chunks: [20])
        #expect(asked.share(of: 439) == nil)
        #expect(asked.share(of: 2000) == .init(context: 300, chunkTokens: 20, weights: 1660))
    }

    @Test func aSizeThatNoNumberHoldsIsNeverTaken() {
        let shares = MemoryShares(
            contexts: [10, 20], usualContext: 40, chunks: [1], leastWeights: 1, quietWeights: 2,
            rest: { context, _, _ in context > 10 ? nil : 10 }, worth: { _, _ in 0 })
        #expect(shares.share(of: .max / 4)?.context == 10)
    }

    @Test func withAHigherLimitNothingGetsLess() {
        var generator = SeededGenerator(seed: 21)
        for _ in 0..<exampleCount(60) {
            let (token, chunk, features) = (
                generator.integer(in: 1...50), generator.integer(in: 1...200), generator.integer(in: 0...20)
            )
            let least = generator.integer(in: 1...20_000)
            func rest(_ context: Int, _ chunkTokens: Int, _ limit: Int) -> Int {
                context * token + chunkTokens * chunk + min(context * features, limit / 8)
            }
            let shares = MemoryShares(
                contexts: [64, 96, 128, 256, 512, 1024], usualContext: 256, chunks: [8, 16, 64, 128],
                leastWeights: least, quietWeights: least + generator.integer(in: 0...50_000), rest: rest,
                worth: { _, chunkTokens in 4 * chunkTokens * chunk })
            var last: MemoryShares.Share?
            for step in 0..<300 {
                let limit = step * 1000
                let share = shares.share(of: limit)
                #expect((share != nil) == shares.isEnough(limit))
                guard let share else {
                    #expect(last == nil, "what fits less fits more")
                    continue
                }
                #expect(rest(share.context, share.chunkTokens, limit) + share.weights <= limit)
                if let last {
                    #expect(
                        share.context >= last.context && share.chunkTokens >= last.chunkTokens
                            && share.weights >= last.weights, "\(share) after \(last)")
                }
                last = share
            }
            #expect(last != nil)
        }
    }
}
