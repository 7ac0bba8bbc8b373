//! Where keys and values live: a pool of pages, and the table of pages that one sequence reads through.

public import ModelFile
public import Tensors

/// Pages of keys and values of all layers, layer by layer: page `p` of a layer holds the same tokens in every
/// layer.
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
    private let memory: any BackendMemory
    private var free: [Int32]

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
        free = (0..<Int32(pageCount)).reversed()
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

    /// Pages that no sequence holds.
    public var freePageCount: Int { free.count }
    /// Bytes of one page over all layers.
    public var pageByteCount: Int {
        layerCount * layerPageByteCount
    }

    /// Bytes of one page of one layer.
    private var layerPageByteCount: Int {
        PagedKV.pageByteCount(type: type, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
    }

    func take() -> Int32? { free.popLast() }
    func put(_ page: Int32) { free.append(page) }

    /// Bytes from one layer's page 0 to the next one's.
    var layerByteCount: Int { pageCount * layerPageByteCount }

    /// The pages of the first layer, read through a block table; the others are `layerByteCount` apart.
    func firstLayer(blockTable: BlockTable) -> PagedKV {
        PagedKV(
            memory: memory, offset: 0, type: type, kvHeads: kvHeads, headSize: headSize,
            pageTokens: pageTokens, blockTable: blockTable)
    }
}

/// The keys and values of one sequence: how many positions are filled, and in which pages.
public final class KVSequence {
    let pool: KVPool
    /// The longest this sequence may grow, in tokens.
    public let capacity: Int
    /// Positions that hold keys and values.
    public private(set) var length = 0
    private(set) var blockTable: BlockTable

    /// Precondition: `capacity` is positive.
    public init(pool: KVPool, capacity: Int) {
        precondition(capacity > 0)
        self.pool = pool
        self.capacity = capacity
        // Sized at once: a page that is added later allocates nothing.
        blockTable = BlockTable(capacity: (capacity + pool.pageTokens - 1) / pool.pageTokens)
    }

    deinit { for page in blockTable.pages { pool.put(page) } }

    /// Takes the pages that `count` more positions need. On error nothing has changed.
    ///
    /// Precondition: `count` is not negative.
    func reserve(_ count: Int) throws(ModelError) {
        precondition(count >= 0)
        let needed = length + count
        guard needed <= capacity else { throw .contextFull(needed: needed, capacity: capacity) }
        let pages = (needed + pool.pageTokens - 1) / pool.pageTokens
        guard pages - blockTable.count <= pool.freePageCount else {
            let available = (blockTable.count + pool.freePageCount) * pool.pageTokens
            throw .contextFull(needed: needed, capacity: available)
        }
        while blockTable.count < pages {
            guard let page = pool.take() else { preconditionFailure("the pool has the pages it counted") }
            blockTable.append(page)
        }
    }

    /// States that the next `count` positions now hold keys and values in every layer.
    func commit(_ count: Int) {
        precondition(length + count <= blockTable.count * pool.pageTokens)
        length += count
    }

    /// Forgets all positions from `newLength` on, and gives their pages back.
    public func truncate(to newLength: Int) {
        precondition(newLength >= 0 && newLength <= length)
        length = newLength
        let pages = (newLength + pool.pageTokens - 1) / pool.pageTokens
        while blockTable.count > pages { pool.put(blockTable.removeLast()) }
    }

    /// Gives back the pages that were taken for positions that never came.
    func releaseReserve() { truncate(to: length) }

    /// The pages of the first layer; `pool.layerByteCount` leads on to the others.
    var firstLayer: PagedKV { pool.firstLayer(blockTable: blockTable) }
}
