//! Layers of one part that another part computes when there are many rows: their weights pass through its
//! memory.

internal import Memory
internal import ModelFile
internal import Tensors

/// The way of the first part's layers to the last part, for prompts: a processor takes so much longer for
/// many rows than a GPU does that bringing it the weights is worth it.
///
/// Weights come layer by layer into two places in turn, so that one is filled while the other is computed
/// with. Keys and values of the layer come along, and what is new of them goes back once all layers are done:
/// they stay where decoding reads them.
final class LayerPassage {
    /// The fewest rows that are computed in this way.
    let leastRows: Int
    private let source: ModelPart
    private let target: ModelPart
    private let places: [any BackendMemory]
    /// Each as it lies in the place that it is brought to.
    private let layers: [ModelPart.DecoderLayer]
    /// The raw images of the layers' segments, in the source's memory.
    private let images: [any BackendMemory]
    private let pool: KVPool
    private let plane: KVPlane
    /// The pages of the layer at hand.
    private let visiting: any BackendMemory
    /// Pages that a chunk has written to: `[layers, chunkPages]`.
    private let fresh: any BackendMemory
    private let chunkPages: Int
    /// The most bytes of weights that go at once: a whole layer, unless the way is to take little memory.
    private let mostFill: Int

    /// Layers that are on their way, or computed with.
    static let placeCount = 2
    /// Bytes that go at once, few enough for a GPU's staging memory.
    private static let mostAtOnce = 1 << 18

    /// Pages that a chunk of so many tokens writes to, at most.
    static func pageCount(ofChunk tokens: Int, pageTokens: Int) -> Int { tokens / pageTokens + 2 }

    /// Throws `backend` where memory is refused. Precondition: all layers of `source` are resident, and
    /// `pool` is that of both parts.
    init(
        from source: ModelPart, to target: ModelPart, of file: ModelFile, _ pool: KVPool, leastRows: Int
    ) throws(ModelError) {
        self.leastRows = leastRows
        self.source = source
        self.target = target
        self.pool = pool
        plane = pool.planes[0]
        precondition(plane.layers == source.share.layers)
        images = source.layers.map { layer in
            guard case .resident(let memory, _, _) = layer.qkv.place else {
                preconditionFailure("only layers that are held are brought")
            }
            return memory
        }
        mostFill = target.mostFill ?? .max
        chunkPages = Self.pageCount(
            ofChunk: target.activations.limits.chunkTokens, pageTokens: pool.pageTokens)
        let (placeBytes, pageBytes) = (images.map(\.byteCount).max() ?? 0, pool.layerPageByteCount)
        let places: [any BackendMemory]
        do {
            let backend = target.backend
            places = try (0..<Self.placeCount).map { (_) throws(BackendError) in
                try backend.makeMemory(byteCount: placeBytes, label: "layers on their way", use: .weights)
            }
            visiting = try backend.makeMemory(
                byteCount: pool.pageCount * pageBytes, label: "keys and values on their way")
            fresh = try backend.makeMemory(
                byteCount: plane.layers.count * chunkPages * pageBytes,
                label: "keys and values on their way")
        } catch { throw .backend(error) }
        self.places = places
        var layers: [ModelPart.DecoderLayer] = []
        for index in source.share.layers {
            guard let segment = file.segments.first(where: { $0.entry.name == "layers.\(index)" }) else {
                preconditionFailure("the schema was checked")
            }
            layers.append(
                try ModelPart.DecoderLayer(
                    LoadedSegment(segment.entry, in: places[index % places.count]), file.configuration.text))
        }
        self.layers = layers
    }

    /// The rows of `stream`, in the target's memory, through the source's layers. False when the caller asked
    /// to stop.
    func run(
        _ stream: inout ResidualStream, _ sequence: KVSequence, start: Int, _ shouldStop: () -> Bool
    ) throws(ModelError) -> Bool {
        precondition(sequence.pool === pool)
        var deltaNorm: Vector?
        for (index, layer) in layers.enumerated() {
            if shouldStop() { return false }
            try bringWeights(index)
            try bringKeys(index, sequence, before: start)
            let kv = PagedKV(
                memory: visiting, offset: 0, type: pool.type, kvHeads: pool.kvHeads, headSize: pool.headSize,
                pageTokens: pool.pageTokens, blockTable: sequence.blockTable)
            try target.run(layer, &stream, joining: deltaNorm, kv, start: start)
            keepKeys(index, sequence, start..<start + stream.delta.rows)
            deltaNorm = layer.postMLPNorm
        }
        return true
    }

    private func bringWeights(_ index: Int) throws(ModelError) {
        let (image, place) = (images[index], places[index % places.count])
        for start in stride(from: 0, to: image.byteCount, by: mostFill) {
            let piece = start..<min(start + mostFill, image.byteCount)
            do throws(BackendError) {
                try unsafe source.backend.read(image, [piece]) { bytes in
                    unsafe target.backend.fill(place, piece) { unsafe $0.copyMemory(from: bytes) }
                }
            } catch { throw .backend(error) }
        }
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
    private func bringKeys(_ index: Int, _ sequence: KVSequence, before start: Int) throws(ModelError) {
        let offset = planeOffset(index)
        try forEachRun(pages(of: 0..<start), sequence.blockTable) { (_, slots) throws(ModelError) in
            let bytes = bytes(slots)
            do throws(BackendError) {
                try unsafe source.backend.read(
                    plane.memory, [offset + bytes.lowerBound..<offset + bytes.upperBound]
                ) { found in
                    unsafe target.backend.fill(visiting, bytes) { unsafe $0.copyMemory(from: found) }
                }
            } catch { throw .backend(error) }
        }
    }

    /// Keeps the pages that a layer has written to until they are taken back.
    private func keepKeys(_ index: Int, _ sequence: KVSequence, _ positions: Range<Int>) {
        let pages = pages(of: positions)
        do throws(ModelError) {
            try forEachRun(pages, sequence.blockTable) { (first, slots) throws(ModelError) in
                let kept = index * chunkPages + first - pages.lowerBound
                let columns = bytes(slots).count / 4
                target.backend.copy(
                    Activation(visiting, offset: bytes(slots).lowerBound, rows: 1, columns: columns),
                    to: Activation(
                        fresh, offset: kept * pool.layerPageByteCount, rows: 1, columns: columns))
            }
        } catch { preconditionFailure("copies are only asked for") }
    }

    /// Takes the keys and values of all layers for `positions` back to the source's memory. Waits for
    /// everything asked of the target.
    func takeBackKeys(_ sequence: KVSequence, _ positions: Range<Int>) throws(ModelError) {
        let (pages, pageBytes) = (pages(of: positions), pool.layerPageByteCount)
        let runs = layers.indices.map { index in
            let start = index * chunkPages * pageBytes
            return start..<start + pages.count * pageBytes
        }
        var done = 0
        do {
            try unsafe target.backend.read(fresh, runs) { bytes in
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
