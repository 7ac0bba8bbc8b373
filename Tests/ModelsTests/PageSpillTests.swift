//! Holds pages that go to disk and come back: sequences hold what they held, and a fault is theirs alone.

import CPUBackend
import Foundation
import SessionFiles
import Tensors
import TestSupport
import Testing

@testable import Models

/// Pages that take a disk's block each, of layers that two backends have.
private func makePool(
    pages: Int, folder: TemporaryDirectory, onDisk: Int?, writtenADay: Int? = nil
) throws -> KVPool {
    let pool = try KVPool(
        layers: [(1, CPUBackend(threadCount: 1)), (1, CPUBackend(threadCount: 1))], kvHeads: 1, headSize: 8,
        tokenCapacity: pages * 4, pageTokens: 4)
    try pool.spill(
        to: SpillSettings(
            folder: folder.url.path, byteLimit: onDisk.map { $0 * 4096 }, writtenADay: writtenADay))
    return pool
}

@Test func coldPagesGoToDiskAndComeBack() throws {
    let folder = try TemporaryDirectory()
    let pool = try makePool(pages: 8, folder: folder, onDisk: 100)
    let sequences = try (0..<5).map { seed in
        let sequence = MarkedSequence(pool: pool, capacity: 32)
        try sequence.run(inputs(textTokens(22, seed: seed)))
        return sequence
    }
    // 30 pages, 8 of them in memory: those of the last one, and the first two of the one before.
    #expect(pool.book.copyUseCount == 22 && pool.book.freeCount == 0 && pool.book.heldCount == 8)
    for sequence in sequences { #expect(try sequence.isIntact()) }
    for sequence in sequences { try sequence.add([1, 2, 3]) }
    // Full pages that were written once need not be written again.
    #expect(pool.book.copyUseCount >= 5 * 5)
    for sequence in sequences.reversed() { #expect(try sequence.isIntact()) }
}

@Test func anEndedSequenceLeavesNothingOnDisk() throws {
    let folder = try TemporaryDirectory()
    let pool = try makePool(pages: 8, folder: folder, onDisk: 100)
    var sequences = try (0..<5).map { seed in
        let sequence = MarkedSequence(pool: pool, capacity: 32)
        try sequence.run(inputs(textTokens(22, seed: seed)))
        return sequence
    }
    sequences.removeFirst(4)
    #expect(try sequences[0].isIntact())
    #expect(pool.book.copyUseCount == 0 && pool.freePageCount == 2)
    sequences.removeAll()
    #expect(pool.freePageCount == 8 && folder.contents.isEmpty)
}

@Test func sharedPagesGoOnceAndAreFoundOnDisk() throws {
    let folder = try TemporaryDirectory()
    let pool = try makePool(pages: 8, folder: folder, onDisk: 100)
    let document = textTokens(20)
    let askers = try (0..<3).map { question in
        let sequence = MarkedSequence(pool: pool, capacity: 32)
        try sequence.run(inputs(document + [200 + Int32(question)]))
        return sequence
    }
    let other = MarkedSequence(pool: pool, capacity: 32)
    try other.run(inputs(textTokens(32, seed: 9)))
    // Five shared pages, and one of each asker.
    #expect(pool.book.copyUseCount == 8)
    let late = MarkedSequence(pool: pool, capacity: 32)
    #expect(try late.run(inputs(document + [99])) == 20)
    for sequence in askers + [other, late] { #expect(try sequence.isIntact()) }
    #expect(askers[0].sequence.fork().length == 21)
}

@Test func aForkOfWhatIsOnDiskIsWhole() throws {
    let folder = try TemporaryDirectory()
    let pool = try makePool(pages: 8, folder: folder, onDisk: 100)
    let first = MarkedSequence(pool: pool, capacity: 32)
    try first.run(inputs(textTokens(18, seed: 1)))
    let other = MarkedSequence(pool: pool, capacity: 32)
    try other.run(inputs(textTokens(32, seed: 2)))
    let fork = first.fork()
    try fork.add([1, 2])
    try first.add([3])
    #expect(try first.isIntact() && fork.isIntact() && other.isIntact())
}

@Test func limitsAreKeptAndNamed() throws {
    let folder = try TemporaryDirectory()
    let pool = try makePool(pages: 8, folder: folder, onDisk: 4, writtenADay: nil)
    let first = MarkedSequence(pool: pool, capacity: 32)
    try first.run(inputs(textTokens(32, seed: 1)))
    let second = MarkedSequence(pool: pool, capacity: 32)
    do {
        try second.run(inputs(textTokens(20, seed: 2)))
        Issue.record("five pages where there is room for four")
    } catch ModelError.poolFull(let shortage) {
        #expect(shortage.reason == .spill(.size(limit: 4 * 4096)) && shortage.needed == 20)
        #expect(shortage.free == 16 && "\(shortage)".contains("\(4 * 4096) bytes that may lie there"))
    }
    try second.run(inputs(textTokens(16, seed: 2)))
    // Neither fits with all of the other one.
    #expect(throws: ModelError.self) { try first.isIntact() }
    #expect(try second.isIntact())
    second.sequence.truncate(to: 0)
    #expect(try first.isIntact())
}

@Test func whatIsWrittenInADayIsLimited() throws {
    let folder = try TemporaryDirectory()
    // Ten pages of 256 bytes.
    let pool = try makePool(pages: 8, folder: folder, onDisk: nil, writtenADay: 2560)
    #expect(pool.pageByteCount == 256)
    let first = MarkedSequence(pool: pool, capacity: 32)
    try first.run(inputs(textTokens(32, seed: 1)))
    let second = MarkedSequence(pool: pool, capacity: 32)
    try second.run(inputs(textTokens(32, seed: 2)))
    // Eight are written; back and forth, two more may be.
    do {
        _ = try first.isIntact()
        Issue.record("sixteen pages written")
    } catch ModelError.poolFull(let shortage) {
        #expect(shortage.reason == .spill(.writtenADay(limit: 2560)))
    }
    #expect(try second.isIntact())
    second.sequence.truncate(to: 0)
    #expect(try first.isIntact())
    // What lies on disk already need not be written to leave memory.
    let third = MarkedSequence(pool: pool, capacity: 32)
    try third.run(inputs(textTokens(32, seed: 3)))
    third.sequence.truncate(to: 0)
    #expect(try first.isIntact())
}

@Test(arguments: [UInt64(1), 2, 3, 4])
func conversationsOnDiskNeverSeeWhatIsNotTheirs(seed: UInt64) throws {
    let folder = try TemporaryDirectory()
    let pool = try makePool(pages: 20, folder: folder, onDisk: 12 + 10 * Int(seed % 3))
    var conversations = RandomConversations(pool: pool, capacity: 60, seed: seed)
    var mostOnDisk = 0
    for _ in 0..<caseCount(1500) {
        try conversations.step()
        mostOnDisk = max(mostOnDisk, pool.book.copyUseCount)
    }
    #expect(conversations.found > 5 && conversations.refused > 0 && mostOnDisk > 10)
    conversations.end()
    #expect(pool.freePageCount == pool.pageCount && pool.book.heldCount == 0)
    #expect(pool.book.copyUseCount == 0 && folder.contents.isEmpty)
}
