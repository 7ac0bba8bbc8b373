//! Layers of one part that another part computes when there are many rows: their weights pass through its
//! memory.

internal import Memory
internal import ModelFile
internal import Tensors

/// The way of the first part's layers to the last part, for prompts: a processor takes so much longer for
/// many rows than a GPU does that bringing it the weights is worth it.
///
/// Weights and keys and values come layer by layer into two places in turn: one is filled, beside what is
/// computed, while the other is computed with, and nothing of it makes the host wait for the GPU but the room
/// that bytes take on their way. Where the GPU reaches the host's memory, it fetches weights that are held by
/// itself; those that pass go on to it as the disk brings them. What is new of keys and values goes back once
/// all layers are done: they stay where decoding reads them.
final class LayerPassage {
    /// The fewest rows that are computed in this way.
    let leastRows: Int
    private let source: ModelPart
    private let target: ModelPart
    private let places: [Place]
    /// Each as it lies in the place that it is brought to.
    private let layers: [ModelPart.DecoderLayer]
    private let origins: [Origin]
    private let pool: KVPool
    private let plane: KVPlane
    /// Pages that a chunk has written to: `[layers, chunkPages]`.
    private let fresh: any BackendMemory
    private let chunkPages: Int
    /// `[hidden]`: the norm of what a layer has computed and has yet to join, which the next one does. The
    /// layer's own may be overwritten by then.
    private let exitNorm: Activation
    /// Behind the layers that were brought last.
    private var end = BackendMark(0)

    /// Where a layer is computed with, in the target's memory.
    private struct Place {
        /// The raw image of the layer's segment.
        let weights: any BackendMemory
        /// The pages of the layer.
        let keys: any BackendMemory
    }

    /// Where a layer's weights come from.
    private enum Origin {
        /// The host's memory, which the target reaches.
        case reached(any BackendMemory)
        case pieces([LoadedSegment.Piece])
    }

    /// Layers that are on their way, or computed with.
    static let placeCount = 2
    /// Bytes of keys and values that go at once.
    private static let mostAtOnce = 1 << 18

    /// Pages that a chunk of so many tokens writes to, at most.
    static func pageCount(ofChunk tokens: Int, pageTokens: Int) -> Int { tokens / pageTokens + 2 }

    /// Throws `backend` where memory is refused. Precondition: `pool` is that of both parts; the memory of
    /// `source` is the host's.
    init(
        from source: ModelPart, to target: ModelPart, of file: ModelFile, _ pool: KVPool, leastRows: Int
    ) throws(ModelError) {
        self.leastRows = leastRows
        self.source = source
        self.target = target
        self.pool = pool
        plane = pool.planes[0]
        precondition(plane.layers == source.share.layers)
        let segments = source.layerSegments
        chunkPages = Self.pageCount(
            ofChunk: target.activations.limits.chunkTokens, pageTokens: pool.pageTokens)
        let (imageBytes, pageBytes) = (
            segments.map(\.entry.imageByteCount).max() ?? 0, pool.layerPageByteCount
        )
        let places: [Place]
        do {
            let backend = target.backend
            places = try (0..<Self.placeCount).map { (_) throws(BackendError) in
                Place(
                    weights: try backend.makeMemory(
                        byteCount: imageBytes, label: "layers on their way", use: .weights),
                    keys: try backend.makeMemory(
                        byteCount: pool.pageCount * pageBytes, label: "keys and values on their way"))
            }
            let hidden = file.configuration.text.hiddenSize
            exitNorm = Activation(
                try backend.makeMemory(
                    byteCount: hidden * 4, label: "layers on their way", use: .weights),
                rows: 1, columns: hidden)
            fresh = try backend.makeMemory(
                byteCount: plane.layers.count * chunkPages * pageBytes,
                label: "keys and values on their way")
            origins = try segments.map { (segment) throws(BackendError) in
                try Self.origin(of: segment, on: source.backend, reachedBy: backend)
            }
        } catch { throw .backend(error) }
        self.places = places
        let text = file.configuration.text
        layers = try segments.enumerated().map { (index, segment) throws(ModelError) in
            try ModelPart.DecoderLayer(
                LoadedSegment(segment.entry, in: places[index % places.count].weights), text)
        }
    }

    private static func origin(
        of segment: LoadedSegment, on backend: any Backend, reachedBy target: any Backend
    ) throws(BackendError) -> Origin {
        guard let image = segment.image else { return .pieces(segment.pieces) }
        var reached: (any BackendMemory)?
        try unsafe backend.read(image, [0..<image.byteCount]) {
            reached = unsafe target.reach($0, of: image)
        }
        return reached.map { .reached($0) } ?? .pieces(segment.pieces)
    }

    /// The rows of `entered`, in the source's memory, through the source's layers as those of `stream`, in
    /// the target's. False when the caller asked to stop.
    func run(
        _ entered: Activation, _ stream: inout ResidualStream, _ sequence: KVSequence, start: Int,
        _ shouldStop: () -> Bool
    ) throws(ModelError) -> Bool {
        precondition(sequence.pool === pool)
        let backend = target.backend
        // Whatever becomes of it, what comes next waits for what is on its way.
        defer { backend.joinAside() }
        // By place: behind what has computed with it last.
        var marks = [BackendMark](repeating: backend.mark(), count: places.count)
        let residual = stream.residual
        try carry(
            entered.memory, at: entered.offset, to: residual.memory,
            residual.offset..<residual.offset + entered.rows * entered.columns * 4, after: marks[0])
        var deltaNorm: Vector?
        for (index, layer) in layers.enumerated() {
            if shouldStop() { return false }
            let place = places[index % places.count]
            try bringWeights(index, to: place, after: marks[index % places.count])
            try bringKeys(index, sequence, before: start, to: place, after: marks[index % places.count])
            backend.joinAside()
            let kv = PagedKV(
                memory: place.keys, offset: 0, type: pool.type, kvHeads: pool.kvHeads,
                headSize: pool.headSize, pageTokens: pool.pageTokens, blockTable: sequence.blockTable)
            try target.run(layer, &stream, joining: deltaNorm, kv, start: start)
            keepKeys(index, sequence, start..<start + stream.delta.rows, from: place)
            let norm = layer.postMLPNorm
            backend.copy(
                Activation(norm.memory, offset: norm.offset, rows: 1, columns: norm.count), to: exitNorm)
            deltaNorm = Vector(exitNorm.memory, offset: 0, count: norm.count)
            marks[index % places.count] = backend.mark()
        }
        source.store?.end()
        end = backend.mark()
        return true
    }

    private func bringWeights(
        _ index: Int, to place: Place, after mark: BackendMark
    ) throws(ModelError) {
        switch origins[index] {
        case .reached(let image): target.backend.copyAside(image, to: place.weights, after: mark)
        case .pieces(let pieces):
            for piece in pieces {
                switch piece.place {
                case .held(let memory, let offset):
                    try carry(memory, at: offset, to: place.weights, piece.bytes, after: mark)
                case .unit(let unit, let offset):
                    guard let store = source.store else {
                        preconditionFailure("what is in units comes by a store")
                    }
                    let base = try store.unit(unit)
                    try carry(store.arena, at: base + offset, to: place.weights, piece.bytes, after: mark)
                }
            }
        }
    }

    /// Brings bytes of the source's memory, the first at `offset`, to some of the target's.
    private func carry(
        _ memory: any BackendMemory, at offset: Int, to place: any BackendMemory, _ bytes: Range<Int>,
        after mark: BackendMark
    ) throws(ModelError) {
        do throws(BackendError) {
            try unsafe target.backend.fillAside(place, bytes, after: mark) {
                (within, piece) throws(BackendError) in
                try unsafe source.backend.read(
                    memory, offset + within.lowerBound..<offset + within.upperBound, into: piece)
            }
        } catch { throw .backend(error) }
    }

    // MARK: Keys and values

    /// Runs of pages that follow each other in memory, as few as there are: where each begins among `indices`
    /// of the block table, and its slots.
    private func forEachRun(
        _ indices: Range<Int>, _ table: BlockTable,
        _ body: (_ first: Int, _ slots: Range<Int>) throws(ModelError) -> Void
    ) throws(ModelError) {
        let most = max(1, Self.mostAtOnce / pool.layerPageByteCount)
        var index = indices.lowerBound
        while index < indices.upperBound {
            let slot = Int(table[index])
            var count = 1
            while index + count < indices.upperBound, count < most,
                Int(table[index + count]) == slot + count
            { count += 1 }
            try body(index, slot..<slot + count)
            index += count
        }
    }

    private func pages(of positions: Range<Int>) -> Range<Int> {
        let size = pool.pageTokens
        return positions.lowerBound / size..<(positions.upperBound + size - 1) / size
    }

    private func bytes(_ slots: Range<Int>) -> Range<Int> {
        slots.lowerBound * pool.layerPageByteCount..<slots.upperBound * pool.layerPageByteCount
    }

    /// Where the pages of a layer begin in the source's memory.
    private func planeOffset(_ index: Int) -> Int { index * pool.pageCount * pool.layerPageByteCount }

    /// Brings what a layer holds of the positions before `start`.
    private func bringKeys(
        _ index: Int, _ sequence: KVSequence, before start: Int, to place: Place, after mark: BackendMark
    ) throws(ModelError) {
        let offset = planeOffset(index)
        try forEachRun(pages(of: 0..<start), sequence.blockTable) { (_, slots) throws(ModelError) in
            let bytes = bytes(slots)
            try carry(plane.memory, at: offset + bytes.lowerBound, to: place.keys, bytes, after: mark)
        }
    }

    /// Keeps the pages that a layer has written to until they are taken back.
    private func keepKeys(
        _ index: Int, _ sequence: KVSequence, _ positions: Range<Int>, from place: Place
    ) {
        let pages = pages(of: positions)
        do throws(ModelError) {
            try forEachRun(pages, sequence.blockTable) { (first, slots) throws(ModelError) in
                let kept = index * chunkPages + first - pages.lowerBound
                let columns = bytes(slots).count / 4
                target.backend.copy(
                    Activation(place.keys, offset: bytes(slots).lowerBound, rows: 1, columns: columns),
                    to: Activation(
                        fresh, offset: kept * pool.layerPageByteCount, rows: 1, columns: columns))
            }
        } catch { preconditionFailure("copies are only asked for") }
    }

    /// Takes the keys and values of all layers for `positions` back to the source's memory, while the target
    /// goes on with what it was asked for since.
    func takeBackKeys(_ sequence: KVSequence, _ positions: Range<Int>) throws(ModelError) {
        let (pages, pageBytes) = (pages(of: positions), pool.layerPageByteCount)
        let runs = layers.indices.map { index in
            let start = index * chunkPages * pageBytes
            return start..<start + pages.count * pageBytes
        }
        var done = 0
        do {
            try unsafe target.backend.readAside(fresh, runs, after: end) { bytes in
                var taken = 0
                // Pieces end anywhere.
                while taken < bytes.count {
                    let (page, within) = (done / pageBytes, done % pageBytes)
                    let count = min(pageBytes - within, bytes.count - taken)
                    let slot = Int(sequence.blockTable[pages.lowerBound + page % pages.count])
                    let start = planeOffset(page / pages.count) + slot * pageBytes + within
                    unsafe source.backend.fill(plane.memory, start..<start + count) {
                        unsafe $0.copyMemory(
                            from: UnsafeRawBufferPointer(rebasing: bytes[taken..<taken + count]))
                    }
                    taken += count
                    done += count
                }
            }
        } catch { throw .backend(error) }
    }
}
