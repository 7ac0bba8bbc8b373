//! The keys and values of one sequence: which pages hold them, shared with others as far as inputs are alike.

internal import Tensors

/// The keys and values of one sequence: how many positions are filled, and in which pages.
///
/// It may share pages with others, full ones by what they hold and any by `fork`. What is shared is never
/// written to: who adds to a page that others hold takes a copy first.
public final class KVSequence {
    let pool: KVPool
    /// The longest this sequence may grow, in tokens.
    public let capacity: Int
    /// Positions that hold keys and values.
    public private(set) var length = 0
    /// Positions whose keys and values the device has computed for sure: those behind them are only asked
    /// for.
    public private(set) var confirmedLength = 0
    private(set) var pages: [PageID] = []
    /// Where the pages lie; right as long as the sequence runs.
    private(set) var blockTable: BlockTable
    /// Full pages, from the first on, that are known by what they hold.
    private var namedCount = 0
    /// Positions whose keys and values came from a file: nobody here has computed them, so that they and what
    /// follows from them are not for others.
    private var restoredLength = 0
    /// Whether pages came that the pool does not know to be needed.
    private var isChanged = false

    /// Precondition: `capacity` is positive.
    public init(pool: KVPool, capacity: Int) {
        precondition(capacity > 0)
        self.pool = pool
        self.capacity = capacity
        // Sized at once: a page that is added later allocates nothing.
        let most = (capacity + pool.pageTokens - 1) / pool.pageTokens
        blockTable = BlockTable(capacity: most)
        pages.reserveCapacity(most)
    }

    deinit {
        pool.endTurn(self)
        dropPages(after: 0)
    }

    /// Gives back all pages but the first `count`, the last one first: of what can be found, the first pages
    /// are of most use.
    private func dropPages(after count: Int) {
        while pages.count > count {
            pool.book.release(pages.removeLast())
            _ = blockTable.removeLast()
        }
    }

    // MARK: Growing

    /// Makes this the sequence that runs: its pages are in memory, and stay there until another one runs.
    /// Where one that was on disk cannot be read, the sequence ends before it, and what it held from there on
    /// is left to be computed anew.
    ///
    /// Throws `poolFull` where memory has no room for the pages, `backend` for a fault of the device; then
    /// nothing is lost.
    func wake() throws(ModelError) {
        guard isChanged || pool.running != ObjectIdentifier(self) else { return }
        pool.beginTurn(self, pages)
        isChanged = true
        let missing = pages.count { pool.book.slot(of: $0) == nil }
        if missing > 0 {
            try pool.makeRoom(missing)
            try bringBack()
        }
        for (index, page) in pages.enumerated() { place(page, at: index) }
        isChanged = false
    }

    /// Brings back what is not in memory. Precondition: there is room for it.
    private func bringBack() throws(ModelError) {
        var back: [PageID] = []
        for (index, page) in pages.enumerated() where pool.book.slot(of: page) == nil {
            var isHere = !pool.book.isLost(page)
            if isHere {
                do { try pool.bringBack(page) } catch { isHere = false }
            }
            guard isHere else {
                truncate(to: min(length, index * pool.pageTokens))
                break
            }
            back.append(page)
        }
        do { try pool.synchronize() } catch {
            // Their bytes may not have come; they still lie in the file.
            for page in back { pool.book.leaveMemory(page) }
            throw .backend(error)
        }
    }

    /// Notes where a page lies.
    private func place(_ page: PageID, at index: Int) {
        guard let slot = pool.book.slot(of: page) else { preconditionFailure("pages are in memory") }
        if blockTable[index] != slot { blockTable.replace(index, with: slot) }
    }

    /// Takes the pages that `count` more positions need, and of a page that they share with others a copy. On
    /// error nothing has changed.
    ///
    /// Precondition: `count` is not negative.
    func reserve(_ count: Int) throws(ModelError) {
        precondition(count >= 0)
        let needed = length + count
        guard needed <= capacity else { throw .contextFull(needed: needed, capacity: capacity) }
        try wake()
        let wanted = (needed + pool.pageTokens - 1) / pool.pageTokens
        // The page that the next position goes to, where it holds something already.
        let open = count > 0 && length % pool.pageTokens > 0 ? length / pool.pageTokens : nil
        let isCopied = open.map { pool.book.isShared(pages[$0]) } ?? false
        try pool.makeRoom(max(0, wanted - pages.count) + (isCopied ? 1 : 0))
        if let open {
            if isCopied { try copyPage(open) } else { pool.book.open(pages[open]) }
            namedCount = min(namedCount, open)
        }
        while pages.count < wanted { append(pool.book.take()) }
    }

    /// Adds a page that is held for this. Where it is not in memory, `wake` finds out where it comes to lie.
    private func append(_ page: PageID) {
        let slot = pool.book.slot(of: page)
        pages.append(page)
        blockTable.append(slot ?? 0)
        if slot == nil { isChanged = true }
    }

    /// Puts a copy in the place of a page that others hold, too. Precondition: there is a free slot.
    private func copyPage(_ index: Int) throws(ModelError) {
        let copy = pool.book.take()
        guard let from = pool.book.slot(of: pages[index]), let to = pool.book.slot(of: copy) else {
            preconditionFailure("pages are in memory")
        }
        pool.copy(from, to: to)
        do { try pool.synchronize() } catch {
            pool.book.release(copy)
            throw .backend(error)
        }
        put(copy, at: index)
    }

    /// Puts a page that is held for this in the place of another one. Where it is not in memory, `wake` finds
    /// out where it comes to lie.
    private func put(_ page: PageID, at index: Int) {
        pool.book.release(pages[index])
        pages[index] = page
        if pool.book.slot(of: page) == nil { isChanged = true } else { place(page, at: index) }
    }

    /// States that the next `count` positions now hold keys and values in every layer.
    func commit(_ count: Int) {
        precondition(length + count <= pages.count * pool.pageTokens)
        length += count
    }

    /// States that everything asked for has happened: what is committed holds.
    func confirm() { confirmedLength = length }

    /// Forgets what a fault may have kept from being computed.
    func dropUnconfirmed() { truncate(to: confirmedLength) }

    /// Forgets all positions from `newLength` on, and gives their pages back. What others hold stays theirs.
    public func truncate(to newLength: Int) {
        precondition(newLength >= 0 && newLength <= length)
        length = newLength
        confirmedLength = min(confirmedLength, newLength)
        restoredLength = min(restoredLength, newLength)
        dropPages(after: (newLength + pool.pageTokens - 1) / pool.pageTokens)
        namedCount = min(namedCount, newLength / pool.pageTokens)
    }

    /// Gives back the pages that were taken for positions that never came.
    func releaseReserve() { truncate(to: length) }

    /// The pages of a layer.
    func layer(_ index: Int) -> PagedKV { pool.layer(index, blockTable: blockTable) }

    // MARK: Sharing

    /// Lets others find the pages that are full for sure, by the inputs that they hold the first ones of.
    /// Where another page is known for the same inputs, that one takes the place of this sequence's own. What
    /// came from a file is not shared, nor what follows it.
    ///
    /// Of one that does not run, pages may be on disk: its turn comes when it runs again.
    ///
    /// Precondition: what the sequence holds are the first positions of `inputs`, as far as these go.
    public func share(as inputs: InputSequence) {
        guard restoredLength == 0, pool.running == ObjectIdentifier(self) else { return }
        let size = pool.pageTokens
        while (namedCount + 1) * size <= min(confirmedLength, inputs.count) {
            let page = pages[namedCount]
            let name = PageName(
                inputs, namedCount * size..<(namedCount + 1) * size, after: name(before: namedCount))
            let known = pool.book.setName(name, of: page)
            if known != page {
                // One that is on disk comes back in this way; unless others hold this one, too.
                let isHere = pool.book.slot(of: known) != nil
                if !isHere && pool.book.isShared(page) { return }
                pool.book.hold(known)
                if isHere {
                    put(known, at: namedCount)
                } else {
                    pool.book.takeOver(known, slotOf: page)
                    pages[namedCount] = known
                    place(known, at: namedCount)
                }
                pool.book.markUsed(known)
            }
            namedCount += 1
        }
    }

    /// The name of the page before one of index `index`; nil before the first.
    private func name(before index: Int) -> PageName? {
        guard index > 0 else { return nil }
        guard let name = pool.book.name(of: pages[index - 1]) else { preconditionFailure("it has a name") }
        return name
    }

    /// Makes this the keys and values of `inputs`, as far as they are known: of the first `common` positions,
    /// which this sequence holds, and of full pages that follow, whoever has computed them. Returns the
    /// positions held, fewer than there are inputs: one at least is left to compute, for its logits.
    ///
    /// Throws as `wake` does. Precondition: `common` is neither more than the positions held nor than the
    /// inputs; there are inputs.
    public func prepare(_ inputs: InputSequence, keeping common: Int) throws(ModelError) -> Int {
        precondition(inputs.count > 0 && common <= min(length, inputs.count))
        truncate(to: min(common, confirmedLength, inputs.count - 1))
        try wake()
        // Pages that go by a name would be in the place of all that was restored.
        guard restoredLength == 0 else { return length }
        share(as: inputs)
        let size = pool.pageTokens
        while (namedCount + 1) * size < inputs.count {
            let name = PageName(
                inputs, namedCount * size..<(namedCount + 1) * size, after: name(before: namedCount))
            guard let page = pool.book.page(named: name) else { break }
            // What this sequence holds of the page is the start of what the other one does.
            pool.book.hold(page)
            if namedCount < pages.count { put(page, at: namedCount) } else { append(page) }
            namedCount += 1
            length = namedCount * size
            confirmedLength = length
            isChanged = true
        }
        try wake()
        return length
    }

    /// Another sequence of the same positions, which shares all pages until one of both adds to the last.
    public func fork() -> KVSequence {
        let fork = KVSequence(pool: pool, capacity: capacity)
        for page in pages {
            pool.book.hold(page)
            fork.append(page)
        }
        fork.length = length
        fork.confirmedLength = confirmedLength
        fork.namedCount = namedCount
        fork.restoredLength = restoredLength
        return fork
    }

    /// States that all positions held came from a file.
    func confirmRestored() {
        confirm()
        restoredLength = length
    }
}
