//! Holds monitors and threads: one has the state at a time, nobody sleeps through a change, all are joined.

import Glibc
import Testing

@testable import Threads

/// A monitor that threads and their test hold.
private final class Shared<State>: Sendable {
    let monitor: Monitor<State>
    init(_ state: sending State) { monitor = Monitor(state) }
}

/// Runs `body` on `count` threads, and waits for all.
private func run(on count: Int, _ body: @escaping @Sendable () -> Void) {
    var threads = JoinedThreads()
    for _ in 0..<count where !threads.start(body) { Issue.record("the system allows no thread") }
    threads.join()
}

@Test(arguments: [1, 2, 8]) func eachHasTheStateAlone(threadCount: Int) {
    let sum = Shared((value: 0, isTaken: false, intrusions: 0))
    run(on: threadCount) {
        for _ in 0..<10_000 {
            sum.monitor.withLock { sum in
                if sum.isTaken { sum.intrusions += 1 }
                sum.isTaken = true
                sum.value += 1
                sum.isTaken = false
            }
        }
    }
    let (value, _, intrusions) = sum.monitor.withLock { $0 }
    #expect(value == threadCount * 10_000 && intrusions == 0)
}

@Test func whatIsPutIsTakenOnceAndInOrder() throws {
    let slot = Shared<Int?>(nil)
    var producer = JoinedThreads()
    let isStarted = producer.start {
        for value in 0..<10_000 {
            slot.monitor.wait { $0 == nil ? () : nil }
            slot.monitor.withLock(waking: .one) { $0 = value }
        }
    }
    try #require(isStarted)
    for value in 0..<10_000 {
        let taken = slot.monitor.wait { $0 }
        slot.monitor.withLock(waking: .one) { $0 = nil }
        #expect(taken == value)
    }
    producer.join()
    #expect(slot.monitor.withLock { $0 } == nil)
}

@Test func everySleeperIsWoken() {
    let crowd = Shared((waiting: 0, isOpen: false))
    var threads = JoinedThreads()
    for _ in 0..<8 {
        let isStarted = threads.start {
            crowd.monitor.withLock(waking: .all) { $0.waiting += 1 }
            crowd.monitor.wait { $0.isOpen ? () : nil }
            crowd.monitor.withLock { $0.waiting -= 1 }
        }
        #expect(isStarted)
    }
    let count = threads.count
    crowd.monitor.wait { $0.waiting == count ? () : nil }
    crowd.monitor.withLock(waking: .all) { $0.isOpen = true }
    threads.join()
    #expect(count == 8 && threads.count == 0)
    #expect(crowd.monitor.withLock { $0.waiting } == 0)
}

@Test func threadsAreWaitedForByWhoeverLetsGoOfThem() {
    let finished = Shared(0)
    do {
        var threads = JoinedThreads()
        for _ in 0..<4 {
            let isStarted = threads.start {
                // Later than an owner that did not wait would get on.
                usleep(20_000)
                finished.monitor.withLock { $0 += 1 }
            }
            #expect(isStarted)
        }
    }
    #expect(finished.monitor.withLock { $0 } == 4)
}

@Test(arguments: [1, 2, 5]) func aBodyRunsOnAsManyThreadsAsAskedFor(count: Int) {
    let present = Shared(0)
    run(on: count) {
        // Nobody leaves before all are there, so one thread cannot stand for two.
        present.monitor.withLock(waking: .all) { $0 += 1 }
        present.monitor.wait { $0 == count ? () : nil }
    }
    #expect(present.monitor.withLock { $0 } == count)
}
