//! Holds the sharing of pages: found by what they hold, never written to while others hold them, kept until
//! their room is needed.

import CPUBackend
import Tensors
import TestSupport
import Testing

@testable import Models

private func makePool(pages: Int, pageTokens: Int = 4) throws -> KVPool {
    try KVPool(
        layerCount: 2, kvHeads: 1, headSize: 8, tokenCapacity: pages * pageTokens, pageTokens: pageTokens,
        on: CPUBackend(threadCount: 1))
}

private func image(_ number: UInt128, _ height: Int, _ width: Int) throws -> VisualFeatures {
    let store = try VisualFeatureStore(
        columns: 8, capacity: height * width, on: CPUBackend(threadCount: 1))
    return VisualFeatures(of: number, grid: ImageGrid(height: height, width: width), in: store)
}

@Test func aSecondSequenceTakesThePagesThatBeginAlike() throws {
    let pool = try makePool(pages: 32)
    let document = textTokens(23)
    let first = MarkedSequence(pool: pool, capacity: 64)
    #expect(try first.run(inputs(document + [1, 2, 3])) == 0)
    #expect(pool.pageCount - pool.freePageCount == 7)
    // Five of its pages are of the document alone; the sixth ends with a question.
    let second = MarkedSequence(pool: pool, capacity: 64)
    #expect(try second.run(inputs(document + [5, 6, 7])) == 20)
    #expect(pool.pageCount - pool.freePageCount == 9)
    #expect(first.sequence.blockTable.pages.prefix(5) == second.sequence.blockTable.pages.prefix(5))
    #expect(try first.isIntact() && second.isIntact())
    // Where everything is known, one position is left to compute.
    let third = MarkedSequence(pool: pool, capacity: 64)
    #expect(try third.run(inputs(document.prefix(20))) == 16)
    let fourth = MarkedSequence(pool: pool, capacity: 64)
    #expect(try fourth.run(inputs(document.prefix(21))) == 20)
    // What the third has computed was there already, and is held once.
    #expect(third.sequence.blockTable.pages == Array(first.sequence.blockTable.pages.prefix(5)))
}

@Test func manySequencesOfOneDocumentHoldOneCopyOfIt() throws {
    let pool = try makePool(pages: 128, pageTokens: 16)
    let document = textTokens(1000)
    var sequences: [MarkedSequence] = []
    for question in 0..<32 {
        let sequence = MarkedSequence(pool: pool, capacity: 1100)
        let known = try sequence.run(inputs(document + [200 + Int32(question)]))
        #expect(known == (question == 0 ? 0 : 992))
        sequences.append(sequence)
    }
    // 62 full pages once, and a last one of each.
    #expect(pool.pageCount - pool.freePageCount == 62 + 32)
    #expect(Set(sequences.flatMap { $0.sequence.blockTable.pages.prefix(62) }).count == 62)
    for sequence in sequences { #expect(try sequence.isIntact()) }
    sequences.removeAll()
    #expect(pool.freePageCount == pool.pageCount)
}

@Test func anImageIsKnownByWhatItIsAndWhereItStands() throws {
    let pool = try makePool(pages: 64)
    let (picture, other) = (try image(1, 3, 5), try image(2, 3, 5))
    func book(_ before: [Int32], _ images: [VisualFeatures]) -> InputSequence {
        var book = inputs(before)
        for image in images { book.append(image, token: 99) }
        book.append(1)
        return book
    }
    func known(_ inputs: InputSequence) throws -> Int {
        let sequence = MarkedSequence(pool: pool, capacity: 64)
        let known = try sequence.run(inputs)
        #expect(try sequence.isIntact())
        return known
    }
    #expect(try known(book([7, 8, 9], [picture])) == 0)
    // Nobody holds it any more, and it is found: 18 positions, the last page not full.
    #expect(try known(book([7, 8, 9], [picture])) == 16)
    // The page in which the other one begins is not the same.
    #expect(try known(book([7, 8, 9], [other])) == 0)
    #expect(try known(book([7, 8, 9, 1], [picture])) == 0)
    // From a page's start on: the text before is known, and the images are not.
    #expect(try known(book([7, 8, 9, 1], [other])) == 4)
    #expect(try known(book([7, 8, 9, 1], [picture, other])) == 16)
    // The last token of the first page belongs to the picture, the rest of the pages to it and what follows.
    #expect(try known(book([7, 8, 9, 1], [picture, picture])) == 16)
    #expect(try known(book([7, 8, 9, 1], [picture, other])) == 32)
}

@Test func aForkSharesAllPagesUntilOneOfBothWrites() throws {
    let pool = try makePool(pages: 8)
    let first = MarkedSequence(pool: pool, capacity: 32)
    try first.run(inputs(textTokens(10)))
    let fork = first.fork()
    #expect(pool.freePageCount == 5 && fork.sequence.length == 10)
    try fork.add([1])
    // The last page is the fork's own from now on, and the one of the first is that one's again.
    #expect(pool.freePageCount == 4)
    try first.add([2])
    #expect(pool.freePageCount == 4)
    #expect(first.sequence.blockTable.pages.prefix(2) == fork.sequence.blockTable.pages.prefix(2))
    #expect(first.sequence.blockTable[2] != fork.sequence.blockTable[2])
    #expect(try first.isIntact() && fork.isIntact())
    // What ends as the other did is one page again.
    try fork.run(inputs(textTokens(10) + [2, 3]))
    try first.add([3])
    #expect(first.sequence.blockTable.pages == fork.sequence.blockTable.pages && pool.freePageCount == 5)
    #expect(try first.isIntact() && fork.isIntact())
}

@Test func truncationLeavesWhatOthersHold() throws {
    let pool = try makePool(pages: 8)
    let first = MarkedSequence(pool: pool, capacity: 32)
    try first.run(inputs(textTokens(12)))
    let fork = first.fork()
    // Into the middle of a full page that the first one holds.
    fork.sequence.truncate(to: 6)
    try fork.run(inputs(textTokens(6) + [1, 1, 1]))
    #expect(try first.isIntact() && fork.isIntact())
    #expect(pool.pageCount - pool.freePageCount == 5)
    fork.sequence.truncate(to: 0)
    #expect(try first.isIntact())
}

@Test func whatNobodyHoldsIsKeptUntilItsRoomIsNeeded() throws {
    let pool = try makePool(pages: 8)
    func run(_ seed: Int, _ count: Int) throws -> Int {
        try MarkedSequence(pool: pool, capacity: 32).run(inputs(textTokens(count, seed: seed)))
    }
    _ = try run(1, 13)
    _ = try run(2, 13)
    #expect(pool.freePageCount == 8 && pool.book.cachedCount == 6)
    // Both are found; the second was used last.
    #expect(try run(1, 13) == 12 && run(2, 13) == 12)
    // Of the two free pages and two more: the last ones of what was not used for the longest.
    _ = try run(3, 13)
    #expect(try run(2, 13) == 12)
    let left = try run(1, 13)
    #expect(left == 4)
}

@Test func aPoolThatIsFullSaysSoAndLosesNothing() throws {
    let pool = try makePool(pages: 8)
    let first = MarkedSequence(pool: pool, capacity: 64)
    try first.run(inputs(textTokens(20, seed: 1)))
    let second = MarkedSequence(pool: pool, capacity: 64)
    do {
        try second.run(inputs(textTokens(17, seed: 2)))
        Issue.record("more pages than the pool has")
    } catch ModelError.poolFull(let shortage) {
        #expect(shortage == PoolShortage(needed: 20, free: 12, capacity: 32, reason: .held))
        #expect("\(shortage)".contains("20 more tokens, and of the 32") && "\(shortage)".contains("share 12"))
    }
    #expect(pool.freePageCount == 3 && second.sequence.length == 0)
    try second.run(inputs(textTokens(12, seed: 2)))
    #expect(pool.freePageCount == 0)
    // Nor is there room for the copy that a write to a shared page needs.
    let fork = second.fork()
    fork.sequence.truncate(to: 10)
    #expect(throws: ModelError.self) { try fork.add([1]) }
    #expect(try first.isIntact() && second.isIntact())
}

@Test(arguments: [UInt64(1), 2, 3])
func conversationsNeverSeeWhatIsNotTheirs(seed: UInt64) throws {
    let pool = try makePool(pages: 40)
    var conversations = RandomConversations(pool: pool, capacity: 60, seed: seed)
    for _ in 0..<caseCount(1500) { try conversations.step() }
    #expect(conversations.found > 5 && conversations.refused > 0)
    for member in conversations.members { #expect(try member.isIntact()) }
    conversations.end()
    #expect(pool.freePageCount == pool.pageCount && pool.book.heldCount == 0)
}

@Test func sharedPagesGiveTheSameLogits() throws {
    let tiny = try TinyModel("two-images-head128")
    let one = try tiny.image(width: 168, height: 140)
    let two = try tiny.image(width: 56, height: 112, seed: 2)
    func book(_ question: [Int32]) -> InputSequence {
        var book = inputs(textTokens(20))
        book.append(one, token: 156)
        for token in textTokens(5, seed: 2) { book.append(token) }
        book.append(two, token: 156)
        for token in question { book.append(token) }
        return book
    }
    _ = try tiny.forward(book([1, 2, 3]), tiny.makeSequence())
    let next = book([4, 5, 6, 7])
    let sequence = tiny.makeSequence()
    let known = try sequence.prepare(next, keeping: 0)
    #expect(known > next.count - 32 && known % 16 == 0)
    let shared = try tiny.forward(next, sequence)
    // Nothing is looked for here.
    let alone = try tiny.forward(next, tiny.makeSequence())
    #expect(zip(shared, alone).allSatisfy { abs($0 - $1) <= 2e-3 })
}
