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

/// Stages that each look whether the one before has been done by everybody.
@safe private struct StagedLoop: ParallelLoop {
    let count: Int
    let countBefore: Int
    let countAfter: Int
    /// `[workers]`, `[countBefore]`, `[count]`, `[countAfter]`: how often each was done, with thousands for
    /// what came too early.
    let prepared: UnsafeMutablePointer<Int>
    let before: UnsafeMutablePointer<Int>
    let own: UnsafeMutablePointer<Int>
    let after: UnsafeMutablePointer<Int>

    func prepare(worker: Int) { unsafe prepared[worker] += 1 }

    func runBefore(_ indices: Range<Int>, worker: Int) {
        for index in indices { unsafe before[index] += prepared[worker] == 1 ? 1 : 1000 }
    }

    func run(_ indices: Range<Int>, worker: Int) {
        let isEarly = (0..<countBefore).contains { unsafe before[$0] != 1 }
        for index in indices { unsafe own[index] += isEarly ? 1000 : 1 }
    }

    func runAfter(_ indices: Range<Int>, worker: Int) {
        let isEarly = (0..<count).contains { unsafe own[$0] != 1 }
        for index in indices { unsafe after[index] += isEarly ? 1000 : 1 }
    }
}

@Test(arguments: [1, 2, 3, 16], [LoopCost.Kind.rows, .unknown])
func stagesFollowEachOther(threadCount: Int, kind: LoopCost.Kind) {
    let pool = ThreadPool(threadCount: threadCount)
    for repetition in 0..<200 {
        let (count, countBefore) = ([1, 5, 16, 33][repetition % 4], [0, 1, 40][repetition % 3])
        let countAfter = [7, 0, 100, 1, 16][repetition % 5]
        let starts = [0, threadCount, countBefore, count, countAfter].reduce(into: []) {
            $0.append(($0.last ?? 0) + $1)
        }
        let cells = UnsafeMutablePointer<Int>.allocate(capacity: starts[4])
        unsafe cells.initialize(repeating: 0, count: starts[4])
        defer { unsafe cells.deallocate() }
        let loop = unsafe StagedLoop(
            count: count, countBefore: countBefore, countAfter: countAfter, prepared: cells,
            before: cells + starts[1], own: cells + starts[2], after: cells + starts[3])
        // Said to be dear, so that it is shared.
        pool.run(loop, count: count, cost: LoopCost(kind, units: 1 << 20), grain: 1 + repetition % 2, tail: 1)
        let done = (0..<starts[4]).map { unsafe cells[$0] }
        #expect(done[0] == 1 && done[..<starts[1]].allSatisfy { $0 <= 1 })
        #expect(done[starts[1]...].allSatisfy { $0 == 1 }, "\(count) after \(countBefore)")
    }
}

private func plan(_ count: Int, _ nanoseconds: Float, grain: Int, tail: Int? = nil, threads: Int) -> LoopPlan
{
    LoopPlan(
        count: count, nanoseconds: nanoseconds, grain: LoopGrain(size: grain, tail: tail ?? grain),
        threadCount: threads)
}

@Test func loopsThatCostLittleStayWithTheCaller() {
    #expect(plan(100, 20, grain: 1, threads: 16).workers == 1)
    #expect(plan(100, 200, grain: 1, threads: 16).workers == 5)
    #expect(plan(100, 20_000, grain: 1, threads: 16).workers == 16)
    #expect(plan(3, 1e6, grain: 2, threads: 16).workers == 2)
    #expect(plan(1 << 30, 0, grain: 2, threads: 16).workers == 1)
    #expect(plan(1, .greatestFiniteMagnitude, grain: 1, threads: 4).workers == 1)
}

@Test(arguments: [(1, 50), (2, 4), (1000, 4), (1000, 5000), (77, 1e7)], [(1, 1), (2, 1), (2, 2), (3, 3)])
func claimsCoverALoopAndShrink(loop: (count: Int, nanoseconds: Float), grain: (size: Int, tail: Int)) {
    let plan = CPUBackendTests.plan(
        loop.count, loop.nanoseconds, grain: grain.size, tail: grain.tail, threads: 8)
    func cover(_ count: Int, _ claim: (Int) -> Int) -> Int {
        var (remaining, previous, claims) = (count, Int.max, 0)
        while remaining > 0 {
            let size = claim(remaining)
            #expect(size > 0 && size <= remaining && size <= previous)
            #expect(size % grain.tail == 0 || size == remaining)
            // None takes longer than an even share of all.
            #expect(size <= max(loop.count / plan.workers, plan.smallestClaim))
            (remaining, previous, claims) = (remaining - size, size, claims + 1)
        }
        return claims
    }
    #expect(cover(loop.count, plan.sharedClaim) >= min(plan.workers, loop.count / plan.smallestClaim))
    // The shares are all iterations in order, and alike.
    var end = 0
    for worker in 0..<plan.workers {
        let share = plan.share(of: worker)
        #expect(share.lowerBound == end)
        #expect(abs(share.count - loop.count / plan.workers) <= grain.tail)
        end = share.upperBound
        _ = cover(share.count, plan.claim)
    }
    #expect(end == loop.count)
}

@Test func longGrainsAreTakenApartAtTheEnd() {
    let long = plan(64, 9000, grain: 2, tail: 1, threads: 4)
    #expect([16, 5, 4, 3, 1].map(long.claim) == [4, 2, 1, 1, 1])
    let short = plan(64, 1000, grain: 2, tail: 1, threads: 4)
    // One by one would be too little here.
    #expect([16, 5, 4, 3, 1].map(short.claim) == [4, 4, 4, 3, 1])
}

@Test func aShareIsTakenFromBothEnds() {
    let share = LoopShare()
    #expect(share.isEmpty && share.takeFirst { $0 } == nil)
    share.give(3..<LoopShare.mostIterations)
    #expect(share.takeFirst { _ in 4 } == 3..<7)
    #expect(share.takeLast { _ in 2 } == LoopShare.mostIterations - 2..<LoopShare.mostIterations)
    #expect(share.takeFirst { $0 - 1 } == 7..<LoopShare.mostIterations - 3)
    #expect(
        !share.isEmpty && share.takeLast { $0 } == LoopShare.mostIterations - 3..<LoopShare.mostIterations - 2
    )
    #expect(share.isEmpty && share.takeLast { $0 } == nil)
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
