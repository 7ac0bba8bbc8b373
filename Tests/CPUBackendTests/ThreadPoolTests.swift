//! Holds the thread pool: every index once, results visible, threads told apart, asleep or awake, and loops
//! cut by what they cost.

import Synchronization
import Testing
@testable import CPUBackend

@Test(arguments: [1, 2, 3, 8])
func everyIndexRunsOnce(threadCount: Int) {
    let pool = ThreadPool(threadCount: threadCount)
    for count in [0, 1, 2, 7, 1000] {
        let hits = (0..<max(count, 1)).map { _ in Counter() }
        pool.run(count) { index, worker in
            #expect(worker >= 0 && worker < threadCount)
            hits[index].value.wrappingAdd(1, ordering: .relaxed)
        }
        #expect(hits.prefix(count).allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
    }
}

/// Adds each index to a sum of the worker's own, without atomics: a worker number that two threads had at
/// once would lose some.
@safe private struct SumLoop: ParallelLoop {
    let sums: UnsafeMutablePointer<Int>
    /// Additions that an iteration repeats, to cost something.
    let work: Int

    func run(_ indices: Range<Int>, worker: Int) {
        for index in indices {
            for _ in 0..<work { unsafe sums[worker] &+= index }
        }
    }
}

/// The sum of all indices below `count`, times `work`.
private func sum(_ pool: ThreadPool, count: Int, work: Int, grain: Int, cost: LoopCost) -> Int {
    let sums = UnsafeMutablePointer<Int>.allocate(capacity: pool.threadCount)
    unsafe sums.initialize(repeating: 0, count: pool.threadCount)
    defer { unsafe sums.deallocate() }
    pool.run(unsafe SumLoop(sums: sums, work: work), count: count, cost: cost, grain: grain)
    return unsafe UnsafeBufferPointer(start: sums, count: pool.threadCount).reduce(0, &+)
}

@Test(arguments: [1, 2, 3, 16])
func loopsOfEverySizeAndPriceAreWhole(threadCount: Int) {
    let pool = ThreadPool(threadCount: threadCount)
    for repetition in 0..<300 {
        let count = [1, 2, 3, 17, 250, 4000][repetition % 6]
        let work = [1, 40, 900][repetition % 3]
        let cost = LoopCost(repetition % 2 == 0 ? .rows : .attention, units: work)
        let total = sum(pool, count: count, work: work, grain: 1 + repetition % 4, cost: cost)
        #expect(total == count * (count - 1) / 2 * work)
    }
}

@Test func manyShortLoopsOfSeveralPoolsFollowEachOther() async {
    await withTaskGroup(of: Bool.self) { group in
        for pool in 0..<4 {
            group.addTask {
                let pool = ThreadPool(threadCount: 2 + pool)
                return (0..<5000).allSatisfy { loop in
                    let count = 1 + loop % 60
                    // Said to be dear, so that it is shared.
                    let cost = LoopCost(.unknown, units: 1)
                    return sum(pool, count: count, work: 1, grain: 1, cost: cost) == count * (count - 1) / 2
                }
            }
        }
        for await isRight in group { #expect(isRight) }
    }
}

@Test func sleepingThreadsWake() async throws {
    let pool = ThreadPool(threadCount: 3)
    let total = Counter()
    for _ in 0..<5 {
        try await Task.sleep(for: .milliseconds(20))
        pool.run(30) { _, _ in total.value.wrappingAdd(1, ordering: .relaxed) }
    }
    #expect(total.value.load(ordering: .relaxed) == 150)
}

@Test func loopsThatCostLittleStayWithTheCaller() {
    #expect(LoopPlan(count: 100, nanoseconds: 20, grain: 1, threadCount: 16).workers == 1)
    #expect(LoopPlan(count: 100, nanoseconds: 200, grain: 1, threadCount: 16).workers == 5)
    #expect(LoopPlan(count: 100, nanoseconds: 20_000, grain: 1, threadCount: 16).workers == 16)
    #expect(LoopPlan(count: 3, nanoseconds: 1e6, grain: 2, threadCount: 16).workers == 2)
    #expect(LoopPlan(count: 1 << 40, nanoseconds: 0, grain: 2, threadCount: 16).workers == 1)
    #expect(LoopPlan(count: 1, nanoseconds: .greatestFiniteMagnitude, grain: 1, threadCount: 4).workers == 1)
}

@Test(arguments: [(1, 50), (2, 4), (1000, 4), (1000, 5000), (77, 1e7)], [1, 2, 3])
func claimsCoverALoopAndShrink(loop: (count: Int, nanoseconds: Float), grain: Int) {
    let plan = LoopPlan(
        count: loop.count, nanoseconds: loop.nanoseconds, grain: grain, threadCount: 8)
    var (remaining, previous, claims) = (loop.count, Int.max, 0)
    while remaining > 0 {
        let claim = plan.claim(of: remaining, grain: grain)
        #expect(claim > 0 && claim <= remaining && claim <= previous)
        #expect(claim % grain == 0 || claim == remaining)
        // None takes longer than an even share of all.
        #expect(claim <= max(loop.count / plan.workers, plan.smallestClaim))
        (remaining, previous, claims) = (remaining - claim, claim, claims + 1)
    }
    #expect(claims >= min(plan.workers, loop.count / plan.smallestClaim))
}

private final class Counter: Sendable {
    let value = Atomic<Int>(0)
}

/// A thread that kept its pool alive would wait for loops for ever.
@Test func aPoolThatNobodyHasEndsItsThreads() {
    weak var left: ThreadPool?
    do {
        let pool = ThreadPool(threadCount: 3)
        left = pool
        let cost = LoopCost(.unknown, units: 1)
        #expect(sum(pool, count: 100, work: 10, grain: 1, cost: cost) == 49_500)
    }
    #expect(left == nil)
}
