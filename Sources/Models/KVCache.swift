//! Where keys and values live: a pool of pages, which sequences take, share and give back.

internal import Memory
public import ModelFile
public import Tensors

/// Pages of keys and values of all layers, layer by layer: page `p` of a layer holds the same tokens in every
/// layer, whichever backend has the layer in its memory.
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
    let kvHeads: Int
    let headSize: Int
    /// The layers by who computes them, in order.
    let planes: [KVPlane]
    var book: PageBook
    /// Where pages go that memory has no room for; nil where they stay.
    var spill: PageSpill?
    /// The sequence that ran last: what it holds stays in memory.
    private(set) var running: ObjectIdentifier?

    /// Room for at least `tokenCapacity` tokens: of runs of layers, each in memory of its backend. Throws
    /// `outOfMemory` where there is none, sizes that no memory has included.
    ///
    /// Precondition: all counts are positive; there are layers.
    public init(
        type: KVType = .f16, layers: [(count: Int, backend: any Backend)], kvHeads: Int, headSize: Int,
        tokenCapacity: Int, pageTokens: Int = KVPool.pageTokens
    ) throws(BackendError) {
        precondition(!layers.isEmpty && layers.allSatisfy { $0.count > 0 })
        precondition(kvHeads > 0 && headSize > 0 && tokenCapacity > 0 && pageTokens > 0)
        self.type = type
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.pageTokens = pageTokens
        let pageCount = Self.pageCount(tokenCapacity, pageTokens)
        self.pageCount = pageCount
        let label = "keys and values of \(tokenCapacity) tokens"
        var planes: [KVPlane] = []
        for (layerCount, backend) in layers {
            let byteCount = Self.byteCount(
                type: type, layerCount: layerCount, kvHeads: kvHeads, headSize: headSize,
                pageTokens: pageTokens, pageCount: pageCount)
            guard let byteCount, pageCount <= Int32.max else {
                throw BackendError(.outOfMemory, "no memory is large enough for \(label)")
            }
            let memory: any BackendMemory
            do { memory = try backend.makeMemory(byteCount: byteCount, label: "keys and values") } catch {
                throw BackendError(error.code, "\(error.message): \(tokenCapacity) tokens")
            }
            let first = planes.last?.layers.upperBound ?? 0
            planes.append(KVPlane(backend: backend, memory: memory, layers: first..<first + layerCount))
        }
        self.planes = planes
        book = PageBook(slotCount: pageCount)
    }

    /// The same of layers that one backend computes.
    public convenience init(
        type: KVType = .f16, layerCount: Int, kvHeads: Int, headSize: Int, tokenCapacity: Int,
        pageTokens: Int = KVPool.pageTokens, on backend: any Backend
    ) throws(BackendError) {
        try self.init(
            type: type, layers: [(layerCount, backend)], kvHeads: kvHeads, headSize: headSize,
            tokenCapacity: tokenCapacity, pageTokens: pageTokens)
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

    /// Bytes of a pool for `tokenCapacity` tokens of a decoder, or of so many of its layers; nil where no
    /// number is large enough.
    public static func byteCount(
        for text: TextConfiguration, type: KVType, layerCount: Int? = nil, tokenCapacity: Int,
        pageTokens: Int = KVPool.pageTokens
    ) -> Int? {
        byteCount(
            type: type, layerCount: layerCount ?? text.layerCount, kvHeads: text.kvHeadCount,
            headSize: text.headSize,
            pageTokens: pageTokens, pageCount: pageCount(tokenCapacity, pageTokens))
    }

    private static func pageCount(_ tokenCapacity: Int, _ pageTokens: Int) -> Int {
        tokenCapacity / pageTokens + (tokenCapacity % pageTokens == 0 ? 0 : 1)
    }

    /// Room for at least `tokenCapacity` tokens of a decoder, its layers where they are computed.
    public convenience init(
        for text: TextConfiguration, type: KVType = .f16, parts: [PartPlan], tokenCapacity: Int,
        pageTokens: Int = KVPool.pageTokens
    ) throws(ModelError) {
        do {
            try self.init(
                type: type,
                layers: parts.filter { !$0.share.layers.isEmpty }.map { ($0.share.layers.count, $0.backend) },
                kvHeads: text.kvHeadCount, headSize: text.headSize, tokenCapacity: tokenCapacity,
                pageTokens: pageTokens)
        } catch { throw .backend(error) }
    }

    /// Room for at least `tokenCapacity` tokens of a decoder that one backend computes.
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

    /// Layers of all planes.
    var layerCount: Int { planes.reduce(0) { $0 + $1.layers.count } }

    /// Bytes of one page of one layer.
    var layerPageByteCount: Int {
        PagedKV.pageByteCount(type: type, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
    }

    /// The pages of a layer, read through a block table. Precondition: there is such a layer.
    func layer(_ index: Int, blockTable: BlockTable) -> PagedKV {
        guard let plane = planes.first(where: { $0.layers.contains(index) }) else {
            preconditionFailure("no layer \(index)")
        }
        return PagedKV(
            memory: plane.memory,
            offset: (index - plane.layers.lowerBound) * pageCount * layerPageByteCount, type: type,
            kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens, blockTable: blockTable)
    }

    /// Where the bytes of a slot lie in the memory of a plane, layer by layer.
    func runs(of slot: Int32, in plane: KVPlane) -> [Range<Int>] {
        plane.layers.indices.map { layer in
            let page = (layer - plane.layers.lowerBound) * pageCount + Int(slot)
            return page * layerPageByteCount..<(page + 1) * layerPageByteCount
        }
    }

    /// Copies all bytes of one slot to another, in the order of the backends' operations.
    func copy(_ slot: Int32, to other: Int32) {
        // As numbers of four bytes, which a page of any form is made of.
        let columns = layerPageByteCount / 4
        precondition(columns * 4 == layerPageByteCount)
        for plane in planes {
            for (source, target) in zip(runs(of: slot, in: plane), runs(of: other, in: plane)) {
                plane.backend.copy(
                    Activation(plane.memory, offset: source.lowerBound, rows: 1, columns: columns),
                    to: Activation(plane.memory, offset: target.lowerBound, rows: 1, columns: columns))
            }
        }
    }

    /// Waits until everything asked of the backends has happened.
    func synchronize() throws(BackendError) {
        for plane in planes { try plane.backend.synchronize() }
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

/// The keys and values of a run of layers, in the memory of the backend that computes these.
struct KVPlane {
    let backend: any Backend
    let memory: any BackendMemory
    let layers: Range<Int>
}
