//! Holds the thread pool: every index once, results visible, threads told apart, asleep or awake.

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

@Test func manyShortLoopsFollowEachOther() {
    let pool = ThreadPool(threadCount: 4)
    let total = Counter()
    for _ in 0..<5000 { pool.run(8) { _, _ in total.value.wrappingAdd(1, ordering: .relaxed) } }
    #expect(total.value.load(ordering: .relaxed) == 40_000)
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

private final class Counter: Sendable {
    let value = Atomic<Int>(0)
}
