//! Holds the bookkeeping of KV pages: taken when needed, given back, refused when there are none.

import CPUBackend
import Tensors
import Testing
@testable import Models

private func makePool(tokens: Int) throws -> KVPool {
    try KVPool(
        layerCount: 2, kvHeads: 1, headSize: 8, tokenCapacity: tokens, on: CPUBackend(threadCount: 1))
}

@Test func pagesAreTakenAsPositionsComeAndGivenBack() throws {
    let pool = try makePool(tokens: 64)
    #expect(pool.pageCount == 4)
    do {
        let sequence = KVSequence(pool: pool, capacity: 64)
        try sequence.reserve(17)
        #expect(pool.freePageCount == 2 && sequence.length == 0)
        sequence.commit(17)
        try sequence.reserve(15)
        #expect(pool.freePageCount == 2)
        sequence.commit(15)
        sequence.truncate(to: 16)
        #expect(pool.freePageCount == 3 && sequence.length == 16)
    }
    #expect(pool.freePageCount == 4)
}

@Test func aFullContextIsRefusedWithBothCountsAndChangesNothing() throws {
    let pool = try makePool(tokens: 64)
    let sequence = KVSequence(pool: pool, capacity: 40)
    try sequence.reserve(32)
    sequence.commit(32)
    do {
        try sequence.reserve(9)
        Issue.record("41 tokens fitted in 40")
    } catch {
        guard case .contextFull(needed: 41, capacity: 40) = error else {
            Issue.record("\(error)")
            return
        }
    }
    #expect(sequence.length == 32 && pool.freePageCount == 2)
}

@Test func sequencesOfOnePoolDoNotShareWritablePages() throws {
    let pool = try makePool(tokens: 64)
    let (first, second) = (KVSequence(pool: pool, capacity: 80), KVSequence(pool: pool, capacity: 64))
    try first.reserve(30)
    try second.reserve(20)
    #expect(Set(first.blockTable.pages).isDisjoint(with: second.blockTable.pages))
    do {
        try first.reserve(65)
        Issue.record("more pages than the pool has")
    } catch {
        guard case .poolFull(let shortage) = error else {
            Issue.record("\(error)")
            return
        }
        #expect(shortage.needed == 48 && shortage.free == 0 && shortage.capacity == 64)
    }
    #expect(first.blockTable.count == 2 && pool.freePageCount == 0)
}
