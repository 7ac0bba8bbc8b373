//! Pages on their way to a file and back, and who makes room for whom.

public import ModelFile
public import SessionFiles
public import Tensors

/// Room for one page on its way between memory and a file.
@safe public final class PageStaging {
    private let buffer: HostBuffer
    private let drawn: DrawnBytes

    /// Bytes of the process's memory that this takes, where pages are of `pageByteCount`.
    static func byteCount(pageByteCount: Int) -> Int { pageByteCount }

    /// Throws `backend` or `file` where memory is refused; `path` is where pages go or come from.
    init(pageByteCount: Int, path: String, account: (any MemoryAccount)?) throws(ModelError) {
        let label = "pages on their way"
        let byteCount = Self.byteCount(pageByteCount: pageByteCount)
        drawn = try Self.drawn(byteCount, label, account)
        buffer = try Self.buffer(byteCount, label, path)
    }

    private static func drawn(
        _ byteCount: Int, _ label: String, _ account: (any MemoryAccount)?
    ) throws(ModelError) -> DrawnBytes {
        do { return try DrawnBytes(byteCount, of: .host, for: label, from: account) } catch {
            throw .backend(error)
        }
    }

    private static func buffer(
        _ byteCount: Int, _ label: String, _ path: String
    ) throws(ModelError) -> HostBuffer {
        do { return try HostBuffer(byteCount: byteCount, for: label, of: path) } catch {
            throw .file(error)
        }
    }

    /// Room for a page; valid as long as this lives.
    public var bytes: UnsafeMutableRawBufferPointer { unsafe buffer.bytes }
}

/// The file that cold pages go to, and room for one page on its way.
final class PageSpill {
    let file: SpillFile
    let staging: PageStaging

    /// Throws `spill` where the folder takes no file, `backend` or `file` where memory is refused.
    init(
        _ settings: SpillSettings, pageByteCount: Int, account: (any MemoryAccount)?
    ) throws(ModelError) {
        file = try Self.file(settings, pageByteCount)
        staging = try PageStaging(pageByteCount: pageByteCount, path: settings.folder, account: account)
    }

    private static func file(
        _ settings: SpillSettings, _ pageByteCount: Int
    ) throws(ModelError) -> SpillFile {
        do { return try SpillFile(settings, pageByteCount: pageByteCount) } catch { throw .spill(error) }
    }
}

extension KVPool {
    /// From now on, pages that no running sequence needs go to a file where memory has no room for them.
    /// Memory for that is drawn from `account`.
    ///
    /// Throws `spill` where the folder takes no file, `backend` or `file` where memory is refused.
    public func spill(to settings: SpillSettings, account: (any MemoryAccount)? = nil) throws(ModelError) {
        let spill = try PageSpill(settings, pageByteCount: pageByteCount, account: account)
        book.copyCount = spill.file.slotCount
        self.spill = spill
    }

    /// Bytes of the process's memory that `spill(to:account:)` takes for pages of this decoder.
    public static func spillByteCount(
        for text: TextConfiguration, type: KVType, pageTokens: Int = KVPool.pageTokens
    ) -> Int? {
        byteCount(for: text, type: type, tokenCapacity: pageTokens, pageTokens: pageTokens)
    }

    /// Pages that have a copy in the file, whether they are in memory too or not.
    public var spilledPageCount: Int { book.copyUseCount }

    // MARK: Room

    /// Makes `count` slots free: first pages that nobody holds make way, then those that are not needed in
    /// this turn go to the file. Throws `poolFull` where there are too few; then every page is still there.
    func makeRoom(_ count: Int) throws(ModelError) {
        guard count > book.freeCount else { return }
        var available = freePageCount
        if spill != nil {
            book.forEachCold { _ in
                available += 1
                return available < count
            }
        }
        guard count <= available else { throw shortage(count, spill == nil ? .held : .own) }
        while count > book.freeCount {
            if book.dropOldestCached() { continue }
            do { try sendOneAway() } catch { throw shortage(count, .spill(error)) }
        }
    }

    private func shortage(_ count: Int, _ reason: PoolShortage.Reason) -> ModelError {
        .poolFull(
            PoolShortage(
                needed: count * pageTokens, free: freePageCount * pageTokens,
                capacity: pageCount * pageTokens, reason: reason))
    }

    /// Frees the slot of the page that was not used for the longest of those not needed now; or, where it
    /// cannot be written, of one that has a copy already. Precondition: there is such a page.
    private func sendOneAway() throws(SpillFault) {
        var oldest: PageID?
        book.forEachCold { page in
            oldest = page
            return false
        }
        guard let oldest else { preconditionFailure("there are as many as were counted") }
        if book.copy(of: oldest) == nil {
            do { try makeCopy(of: oldest) } catch {
                guard let other = coldWithCopy() else { throw error }
                return book.leaveMemory(other)
            }
        }
        book.leaveMemory(oldest)
    }

    private func coldWithCopy() -> PageID? {
        var found: PageID?
        book.forEachCold { page in
            if book.copy(of: page) != nil { found = page }
            return found == nil
        }
        return found
    }

    /// Writes a page to the file. Throws `size` where that has no slot left but those of pages which are
    /// nowhere else.
    private func makeCopy(of page: PageID) throws(SpillFault) {
        guard let slot = book.slot(of: page) else {
            preconditionFailure("a page that is copied is in memory")
        }
        var copy = book.takeCopy(for: page)
        // A page that is needed now is in memory for longer than the others: its copy is of the least use.
        if copy == nil, coldWithCopy() == nil, book.dropSpareCopy() { copy = book.takeCopy(for: page) }
        guard let copy else { throw fullness }
        do {
            try unsafe withStaging { (staging, file) throws(SpillFault) in
                try unsafe read(slot, into: staging)
                try unsafe file.write(UnsafeRawBufferPointer(staging), to: Int(copy))
            }
        } catch {
            book.dropCopy(of: page)
            throw error
        }
    }

    private var fullness: SpillFault {
        guard let fullness = spill?.file.fullness else { preconditionFailure("there is a file") }
        return fullness
    }

    /// Brings a page back to memory; the bytes are there once the backend has come so far. Throws what the
    /// file does; the page is then lost.
    ///
    /// Precondition: a slot is free; the page has a copy, and is not in memory.
    func bringBack(_ page: PageID) throws(SpillFault) {
        guard let copy = book.copy(of: page) else {
            preconditionFailure("a page is in memory or in the file")
        }
        do {
            try unsafe withStaging { (staging, file) throws(SpillFault) in
                try unsafe file.read(Int(copy), into: staging)
                unsafe write(UnsafeRawBufferPointer(staging), to: book.enterMemory(page))
            }
        } catch {
            book.lose(page)
            throw error
        }
    }

    private func withStaging(
        _ body: (UnsafeMutableRawBufferPointer, SpillFile) throws(SpillFault) -> Void
    ) throws(SpillFault) {
        guard let spill else { preconditionFailure("there is a file") }
        try unsafe body(spill.staging.bytes, spill.file)
    }

    // MARK: Bytes

    /// Reads all bytes of a slot, layer by layer. Throws `system` for a fault of the device.
    func read(_ slot: Int32, into buffer: UnsafeMutableRawBufferPointer) throws(SpillFault) {
        precondition(buffer.count == pageByteCount)
        var done = 0
        do {
            for plane in planes {
                try unsafe plane.backend.read(plane.memory, runs(of: slot, in: plane)) { bytes in
                    unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + bytes.count])
                        .copyMemory(from: bytes)
                    done += bytes.count
                }
            }
        } catch { throw .system(error.message) }
    }

    /// Writes all bytes of a slot, layer by layer, in the order of the backends' operations.
    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int32) {
        precondition(bytes.count == pageByteCount)
        var done = 0
        for plane in planes {
            for run in runs(of: slot, in: plane) {
                unsafe plane.backend.fill(plane.memory, run) {
                    unsafe $0.copyMemory(
                        from: UnsafeRawBufferPointer(rebasing: bytes[done..<done + run.count]))
                }
                done += run.count
            }
        }
    }
}
