//! Which pages there are, what they hold, who holds them and where they lie; their bytes are for others.

/// A page, by a number that it keeps wherever its bytes go.
typealias PageID = Int32

/// The books of a pool of pages.
///
/// A page lies in a slot of memory, has a copy in a slot of a file, or both. Pages that somebody holds and
/// pages that nobody does, but that are known by name, are each kept in the order of their last use. Nothing
/// here knows what memory is: who moves bytes says so afterwards.
struct PageBook {
    private struct Page {
        /// In memory; negative where it is not there.
        var slot: Int32 = -1
        /// In the file; negative where there is no copy.
        var copy: Int32 = -1
        var holders: Int32 = 0
        /// The turn in which it was last said to be needed.
        var turn = -1
        var name: PageName?
        /// Its neighbours in the order of use; negative at the ends.
        var newer: PageID = -1
        var older: PageID = -1
    }

    /// The ends of a list of pages in the order of their last use.
    private struct Ends {
        var newest: PageID = -1
        var oldest: PageID = -1
        var count = 0
    }

    /// Slots of memory.
    let slotCount: Int
    /// Slots of the file.
    var copyCount = 0
    private var pages: [Page] = []
    private var unused: [PageID] = []
    private var freeSlots: [Int32]
    /// Slots of the file that were used and are no more, and how many were ever used.
    private var freeCopies: [Int32] = []
    private var copiesUsed: Int32 = 0
    private var named: [PageName: PageID] = [:]
    /// Those in memory that somebody holds, and those that nobody does.
    private var held = Ends()
    private var cached = Ends()
    private var turn = 0

    /// Books of pages that are yet to come. As long as there is no file, nothing here takes memory later.
    init(slotCount: Int) {
        self.slotCount = slotCount
        freeSlots = (0..<Int32(slotCount)).reversed()
        pages.reserveCapacity(slotCount)
        unused.reserveCapacity(slotCount)
        named.reserveCapacity(slotCount)
    }

    // MARK: What there is

    /// Slots with nothing in them.
    var freeCount: Int { freeSlots.count }
    /// Pages in memory that nobody holds, and that can be found.
    var cachedCount: Int { cached.count }
    /// Pages in memory that somebody holds.
    var heldCount: Int { held.count }
    /// Copies in the file.
    var copyUseCount: Int { Int(copiesUsed) - freeCopies.count }

    /// Where a page lies in memory; nil where it does not.
    func slot(of page: PageID) -> Int32? { pages[page].slot >= 0 ? pages[page].slot : nil }
    /// Where its copy lies in the file; nil where there is none.
    func copy(of page: PageID) -> Int32? { pages[page].copy >= 0 ? pages[page].copy : nil }
    /// Whether its bytes are neither in memory nor in the file.
    func isLost(_ page: PageID) -> Bool { pages[page].slot < 0 && pages[page].copy < 0 }
    /// Whether more than one holds it.
    func isShared(_ page: PageID) -> Bool { pages[page].holders > 1 }
    func name(of page: PageID) -> PageName? { pages[page].name }
    /// The page that holds what `name` says, in memory or not.
    func page(named name: PageName) -> PageID? { named[name] }

    // MARK: Holding

    /// A page of no content in a free slot, held once and needed in this turn. Precondition: a slot is free.
    mutating func take() -> PageID {
        guard let slot = freeSlots.popLast() else { preconditionFailure("who takes a page has made room") }
        let page: PageID
        if let old = unused.popLast() {
            page = old
            pages[page] = Page()
        } else {
            page = PageID(pages.count)
            pages.append(Page())
        }
        pages[page].slot = slot
        pages[page].holders = 1
        pages[page].turn = turn
        Self.join(&held, page, &pages)
        return page
    }

    /// One more holds the page.
    mutating func hold(_ page: PageID) {
        if pages[page].holders == 0 {
            Self.leave(&cached, page, &pages)
            Self.join(&held, page, &pages)
        }
        pages[page].holders += 1
    }

    /// One fewer holds the page. Where nobody does, it stays findable if it can be, and else is gone.
    mutating func release(_ page: PageID) {
        precondition(pages[page].holders > 0, "a page is released by who holds it")
        pages[page].holders -= 1
        guard pages[page].holders == 0 else { return }
        dropCopy(of: page)
        if pages[page].slot >= 0 { Self.leave(&held, page, &pages) }
        if pages[page].slot >= 0, pages[page].name != nil {
            Self.join(&cached, page, &pages)
        } else {
            discard(page)
        }
    }

    /// Forgets a page that nobody holds and that is in no list.
    private mutating func discard(_ page: PageID) {
        dropName(of: page)
        if pages[page].slot >= 0 { freeSlots.append(pages[page].slot) }
        pages[page].slot = -1
        unused.append(page)
    }

    /// Makes way for others: the page that nobody holds and that was not used for the longest goes. False
    /// where there is none.
    mutating func dropOldestCached() -> Bool {
        let page = cached.oldest
        guard page >= 0 else { return false }
        Self.leave(&cached, page, &pages)
        discard(page)
        return true
    }

    // MARK: Names

    /// Makes a page known by what it holds from now on; returns the page that is known by that name: another
    /// one where there was one already.
    ///
    /// Precondition: the page is in memory. The bytes of both are alike.
    mutating func setName(_ name: PageName, of page: PageID) -> PageID {
        guard let other = named[name], other != page else {
            dropName(of: page)
            pages[page].name = name
            named[name] = page
            return page
        }
        return other
    }

    /// Its content is about to change: nobody shall find it by the old one, and the copy is of no use.
    ///
    /// Precondition: one holds it.
    mutating func open(_ page: PageID) {
        precondition(pages[page].holders == 1, "what others hold is not written to")
        dropName(of: page)
        dropCopy(of: page)
    }

    private mutating func dropName(of page: PageID) {
        guard let name = pages[page].name else { return }
        if named[name] == page { named[name] = nil }
        pages[page].name = nil
    }

    // MARK: Turns

    /// A sequence runs from now on, and needs `needed`: none of these leaves memory until another one does.
    mutating func beginTurn(_ needed: [PageID]) {
        turn += 1
        // The first ones are of most use to others, so they are used last.
        for page in needed.reversed() { markUsed(page) }
    }

    /// The page is needed in this turn, too.
    mutating func markUsed(_ page: PageID) {
        pages[page].turn = turn
        guard pages[page].slot >= 0 else { return }
        Self.leave(&held, page, &pages)
        Self.join(&held, page, &pages)
    }

    /// Pages that are held and in memory, and not needed in this turn: from the one on that was not used for
    /// the longest, as long as `body` says so.
    func forEachCold(_ body: (PageID) -> Bool) {
        var page = held.oldest
        while page >= 0 {
            if pages[page].turn != turn, !body(page) { return }
            page = pages[page].newer
        }
    }

    // MARK: Memory and file

    /// A slot of the file for a copy; nil where there is none. Precondition: the page has no copy.
    mutating func takeCopy(for page: PageID) -> Int32? {
        precondition(pages[page].copy < 0)
        if freeCopies.isEmpty, Int(copiesUsed) < copyCount {
            freeCopies.append(copiesUsed)
            copiesUsed += 1
        }
        guard let slot = freeCopies.popLast() else { return nil }
        pages[page].copy = slot
        return slot
    }

    /// Gives up the copy of a page that is in memory. False where there is none.
    mutating func dropSpareCopy() -> Bool {
        var page = held.newest
        while page >= 0, pages[page].copy < 0 { page = pages[page].older }
        if page >= 0 { dropCopy(of: page) }
        return page >= 0
    }

    /// The copy is of no use, or was never made.
    mutating func dropCopy(of page: PageID) {
        guard pages[page].copy >= 0 else { return }
        freeCopies.append(pages[page].copy)
        pages[page].copy = -1
    }

    /// The page leaves memory; its copy is made. Precondition: it is held, in memory, and has a copy.
    mutating func leaveMemory(_ page: PageID) {
        precondition(pages[page].holders > 0 && pages[page].slot >= 0 && pages[page].copy >= 0)
        Self.leave(&held, page, &pages)
        freeSlots.append(pages[page].slot)
        pages[page].slot = -1
    }

    /// The bytes of a page that is not in memory could not be read: nobody shall find it.
    mutating func lose(_ page: PageID) {
        precondition(pages[page].slot < 0)
        dropName(of: page)
        dropCopy(of: page)
    }

    /// The page gets a slot, for its bytes to come to. Precondition: it is held and has none, and one is
    /// free.
    mutating func enterMemory(_ page: PageID) -> Int32 {
        precondition(pages[page].holders > 0 && pages[page].slot < 0)
        guard let slot = freeSlots.popLast() else { preconditionFailure("who brings a page has made room") }
        pages[page].slot = slot
        Self.join(&held, page, &pages)
        return slot
    }

    /// The page takes over the slot of one that holds the same, which then has none and is nobody's.
    ///
    /// Precondition: one holds `other`, which is in memory; `page` is not.
    mutating func takeOver(_ page: PageID, slotOf other: PageID) {
        precondition(pages[other].holders == 1 && pages[page].slot < 0)
        Self.leave(&held, other, &pages)
        let slot = pages[other].slot
        pages[other].slot = -1
        release(other)
        freeSlots.append(slot)
        _ = enterMemory(page)
    }

    // MARK: Order of use

    /// The page becomes the one that was used last.
    private static func join(_ list: inout Ends, _ page: PageID, _ pages: inout [Page]) {
        pages[page].older = list.newest
        pages[page].newer = -1
        if list.newest >= 0 { pages[list.newest].newer = page } else { list.oldest = page }
        list.newest = page
        list.count += 1
    }

    private static func leave(_ list: inout Ends, _ page: PageID, _ pages: inout [Page]) {
        let (newer, older) = (pages[page].newer, pages[page].older)
        if newer >= 0 { pages[newer].older = older } else { list.newest = older }
        if older >= 0 { pages[older].newer = newer } else { list.oldest = newer }
        list.count -= 1
    }
}

extension Array {
    fileprivate subscript(page: PageID) -> Element {
        get { self[Int(page)] }
        set { self[Int(page)] = newValue }
    }
}
