//! Where keys and values live: a pool of pages, which sequences take, share and give back.

public import ModelFile
public import Tensors

/// Pages of keys and values of all layers, layer by layer: page `p` of a layer holds the same tokens in every
/// layer.
///
/// Sequences whose inputs begin alike hold the same pages, each full page being known by what it holds. Pages
/// that nobody holds any more stay findable until their room is needed. The books of that are a `PageBook`,
/// which knows pages by number; here are their bytes.
public final class KVPool {
    /// Tokens in a page, unless a pool is asked for others.
    public static let pageTokens = 16

    /// How keys and values are stored.
    public let type: KVType
    /// Tokens in a page.
    public let pageTokens: Int
    public let pageCount: Int
    let layerCount: Int
    let kvHeads: Int
    let headSize: Int
    let backend: any Backend
    let memory: any BackendMemory
    var book: PageBook
    /// Where pages go that memory has no room for; nil where they stay.
    var spill: PageSpill?
    /// The sequence that ran last: what it holds stays in memory.
    private(set) var running: ObjectIdentifier?

    /// Room for at least `tokenCapacity` tokens. Throws `outOfMemory` where there is none, sizes that no
    /// memory has included.
    ///
    /// Precondition: all counts are positive.
    public init(
        type: KVType = .f16, layerCount: Int, kvHeads: Int, headSize: Int, tokenCapacity: Int,
        pageTokens: Int = KVPool.pageTokens, on backend: any Backend
    ) throws(BackendError) {
        precondition(layerCount > 0 && kvHeads > 0 && headSize > 0 && tokenCapacity > 0 && pageTokens > 0)
        self.type = type
        self.layerCount = layerCount
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.pageTokens = pageTokens
        self.backend = backend
        let pageCount = Self.pageCount(tokenCapacity, pageTokens)
        self.pageCount = pageCount
        let label = "keys and values of \(tokenCapacity) tokens"
        let byteCount = Self.byteCount(
            type: type, layerCount: layerCount, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens,
            pageCount: pageCount)
        guard let byteCount, pageCount <= Int32.max else {
            throw BackendError(.outOfMemory, "no memory is large enough for \(label)")
        }
        do { memory = try backend.makeMemory(byteCount: byteCount, label: "keys and values") } catch {
            throw BackendError(error.code, "\(error.message): \(tokenCapacity) tokens")
        }
        book = PageBook(slotCount: pageCount)
    }

    private static func byteCount(
        type: KVType, layerCount: Int, kvHeads: Int, headSize: Int, pageTokens: Int, pageCount: Int
    ) -> Int? {
        let row = type.byteCount(headSize: headSize)
        return [2, kvHeads, pageTokens, row, pageCount].reduce(layerCount as Int?) { size, factor in
            guard let (product, overflows) = size?.multipliedReportingOverflow(by: factor), !overflows else {
                return nil
            }
            return product
        }
    }

    /// Bytes of a pool for `tokenCapacity` tokens of a decoder; nil where no number is large enough.
    public static func byteCount(for text: TextConfiguration, type: KVType, tokenCapacity: Int) -> Int? {
        byteCount(
            type: type, layerCount: text.layerCount, kvHeads: text.kvHeadCount, headSize: text.headSize,
            pageTokens: pageTokens, pageCount: pageCount(tokenCapacity, pageTokens))
    }

    private static func pageCount(_ tokenCapacity: Int, _ pageTokens: Int) -> Int {
        tokenCapacity / pageTokens + (tokenCapacity % pageTokens == 0 ? 0 : 1)
    }

    /// Room for at least `tokenCapacity` tokens of a decoder.
    public convenience init(
        for text: TextConfiguration, type: KVType = .f16, tokenCapacity: Int, on backend: any Backend
    ) throws(ModelError) {
        do {
            try self.init(
                type: type, layerCount: text.layerCount, kvHeads: text.kvHeadCount, headSize: text.headSize,
                tokenCapacity: tokenCapacity, on: backend)
        } catch { throw .backend(error) }
    }

    /// Pages that no sequence holds; some of them may still be found.
    public var freePageCount: Int { book.freeCount + book.cachedCount }
    /// Bytes of one page over all layers.
    public var pageByteCount: Int { layerCount * layerPageByteCount }

    /// Bytes of one page of one layer.
    private var layerPageByteCount: Int {
        PagedKV.pageByteCount(type: type, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
    }

    /// Bytes from one layer's page 0 to the next one's.
    var layerByteCount: Int { pageCount * layerPageByteCount }

    /// The pages of the first layer, read through a block table; the others are `layerByteCount` apart.
    func firstLayer(blockTable: BlockTable) -> PagedKV {
        PagedKV(
            memory: memory, offset: 0, type: type, kvHeads: kvHeads, headSize: headSize,
            pageTokens: pageTokens, blockTable: blockTable)
    }

    /// Where the bytes of a slot lie in the memory, layer by layer.
    func runs(of slot: Int32) -> [Range<Int>] {
        (0..<layerCount).map { layer in
            let start = layer * layerByteCount + Int(slot) * layerPageByteCount
            return start..<start + layerPageByteCount
        }
    }

    /// Copies all bytes of one slot to another, in the order of the backend's operations.
    func copy(_ slot: Int32, to other: Int32) {
        // As numbers of four bytes, which a page of any form is made of.
        let columns = layerPageByteCount / 4
        precondition(columns * 4 == layerPageByteCount)
        for (source, target) in zip(runs(of: slot), runs(of: other)) {
            backend.copy(
                Activation(memory, offset: source.lowerBound, rows: 1, columns: columns),
                to: Activation(memory, offset: target.lowerBound, rows: 1, columns: columns))
        }
    }

    // MARK: Turns

    /// A sequence runs, and needs those pages: they stay in memory until another one runs.
    func beginTurn(_ sequence: KVSequence, _ pages: [PageID]) {
        running = ObjectIdentifier(sequence)
        book.beginTurn(pages)
    }

    /// The sequence is no more.
    func endTurn(_ sequence: KVSequence) {
        if running == ObjectIdentifier(sequence) { running = nil }
    }
}
