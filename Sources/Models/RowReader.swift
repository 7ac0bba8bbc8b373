//! Rows of an embedding that is not held: read from the file, tile by tile, as they are looked up.

internal import Memory
internal import ModelFile
internal import Tensors

/// Tiles of the table, each in one of a few places.
final class RowReader {
    private let segment: Segment
    private let tensor: TensorEntry
    private let reader: RunReader
    private let scratch: RunReader.Scratch
    /// Whose threads read where there are many tiles to read; nil where the caller reads alone.
    private let store: WeightStore?
    /// The kept tiles as a matrix of their rows.
    private let kept: Matrix
    private let tileCount: Int
    /// By place: the tile that lies there, -1 for none, and when it was last used.
    private var tiles: [Int]
    private var uses: [Int]
    private var clock = 0
    /// By tile of the table: its place; -1 where it is not kept.
    private var places: [Int]
    /// Indices of the tokens that are looked up, those of a tile together.
    private var order: [Int] = []
    /// Tiles that have a place and are yet to be read, in rising order.
    private var missing: [Int] = []
    /// Rows of `kept` that are taken together, and where they go.
    private var sources: [Int32] = []
    private var targets: [Int32] = []

    /// Precondition: both counts are positive.
    init(
        _ segment: Segment, of file: ModelFile, tileCount: Int, tokenCount: Int, store: WeightStore?,
        on backend: any Backend
    ) throws(ModelError) {
        precondition(tileCount > 0 && tokenCount > 0)
        self.segment = segment
        guard let tensor = segment.entry.tensor(named: "embed_tokens") else {
            preconditionFailure("the schema was checked")
        }
        self.tensor = tensor
        self.tileCount = tileCount
        self.store = store
        reader = RunReader(file)
        do { scratch = try RunReader.Scratch(for: file.path) } catch { throw .file(error) }
        let layout = WeightLayout(
            rows: tileCount * WeightLayout.tileRows, columns: tensor.columns, format: tensor.format)
        do {
            let memory = try backend.makeMemory(
                byteCount: layout.codesByteCount + layout.scalesByteCount, label: "embedding rows")
            kept = Matrix(
                layout: layout, memory: memory, codesOffset: 0, scalesOffset: layout.codesByteCount)
        } catch { throw .backend(error) }
        tiles = [Int](repeating: -1, count: tileCount)
        uses = [Int](repeating: 0, count: tileCount)
        places = [Int](repeating: -1, count: tensor.layout.tileCount)
        order.reserveCapacity(tokenCount)
        missing.reserveCapacity(tileCount)
        sources.reserveCapacity(tokenCount)
        targets.reserveCapacity(tokenCount)
    }

    /// `y[i] = table[tokens[i]]`. Throws `file` for a fault of the file.
    ///
    /// Those of a tile are looked up together, and tiles in the order in which they lie in the file, so that
    /// what many tokens need of it is read once, and much of it at a time.
    func look(up tokens: Span<Int32>, into y: Activation, on backend: any Backend) throws(ModelError) {
        order.removeAll(keepingCapacity: true)
        clock += 1
        // First those that are there: the others come to lie in their places.
        for index in tokens.indices {
            let place = places[tile(of: tokens[index])]
            if place < 0 {
                order.append(index)
            } else {
                take(tokens[index], from: place, to: index)
            }
        }
        embedTaken(into: y, on: backend)
        order.sort { tokens[$0] < tokens[$1] }
        var first = 0
        while first < order.count {
            // As many tokens as have places for their tiles at once.
            clock += 1
            var end = first
            while end < order.count, takePlace(for: tile(of: tokens[order[end]])) { end += 1 }
            try readMissing(on: backend)
            for index in order[first..<end] {
                take(tokens[index], from: places[tile(of: tokens[index])], to: index)
            }
            embedTaken(into: y, on: backend)
            first = end
        }
    }

    private func tile(of token: Int32) -> Int { Int(token) / WeightLayout.tileRows }

    /// Notes that a token's row lies in `place`, and goes to row `index`.
    private func take(_ token: Int32, from place: Int, to index: Int) {
        uses[place] = clock
        sources.append(Int32(place * WeightLayout.tileRows + Int(token) % WeightLayout.tileRows))
        targets.append(Int32(index))
    }

    /// All rows that were noted, together: what comes next may take their places.
    private func embedTaken(into y: Activation, on backend: any Backend) {
        if sources.isEmpty { return }
        backend.embed(sources.span, table: kept, into: y, at: targets.span)
        sources.removeAll(keepingCapacity: true)
        targets.removeAll(keepingCapacity: true)
    }

    /// Gives a tile a place, that of the one used longest ago, unless it has one; false where every place
    /// holds a tile of this turn. One that is new there is among `missing`.
    private func takePlace(for tile: Int) -> Bool {
        if places[tile] >= 0 { return true }
        guard let place = uses.indices.min(by: { uses[$0] < uses[$1] }), uses[place] < clock else {
            return false
        }
        if tiles[place] >= 0 { places[tiles[place]] = -1 }
        tiles[place] = tile
        places[tile] = place
        uses[place] = clock
        missing.append(tile)
        return true
    }

    /// Reads the tiles that are missing to their places. After a fault they have none.
    private func readMissing(on backend: any Backend) throws(ModelError) {
        if missing.isEmpty { return }
        defer { missing.removeAll(keepingCapacity: true) }
        do throws(ModelFileError) {
            try unsafe backend.fill(kept.memory, 0..<kept.memory.byteCount) {
                (bytes) throws(ModelFileError) in
                if missing.count == 1 { return try unsafe read(missing[0], into: bytes) }
                try unsafe readTogether(into: bytes)
            }
        } catch {
            for tile in missing {
                uses[places[tile]] = 0
                tiles[places[tile]] = -1
                places[tile] = -1
            }
            throw .file(error)
        }
    }

    private func codes(of tile: Int) -> Range<Int> {
        let start = tensor.codesOffset + tile * kept.layout.tileByteCount
        return start..<start + kept.layout.tileByteCount
    }

    /// Nil where the format has no scales.
    private func scales(of tile: Int) -> Range<Int>? {
        tensor.scalesOffset.map { plane in
            let start = plane + tile * kept.layout.tileScalesByteCount
            return start..<start + kept.layout.tileScalesByteCount
        }
    }

    /// Where a place's codes and its scales begin in `kept`.
    private func codesOffset(_ place: Int) -> Int { kept.codesOffset + place * kept.layout.tileByteCount }
    private func scalesOffset(_ place: Int) -> Int {
        kept.scalesOffset + place * kept.layout.tileScalesByteCount
    }

    /// One tile, as a token that is decoded needs it: nothing is asked of the heap.
    private func read(_ tile: Int, into bytes: UnsafeMutableRawBufferPointer) throws(ModelFileError) {
        func read(_ part: ImagePart, to offset: Int) throws(ModelFileError) {
            let room = unsafe UnsafeMutableRawBufferPointer(
                rebasing: bytes[offset..<offset + part.byteCount])
            try unsafe reader.read(part, of: segment, into: room, scratch)
        }
        try read(ImagePart(codes: codes(of: tile), scales: 0..<0), to: codesOffset(places[tile]))
        if let scales = scales(of: tile) {
            try read(ImagePart(codes: 0..<0, scales: scales), to: scalesOffset(places[tile]))
        }
    }

    /// All that are missing, each block of the file once.
    private func readTogether(into bytes: UnsafeMutableRawBufferPointer) throws(ModelFileError) {
        var pieces = missing.map { ImagePiece(bytes: codes(of: $0), offset: codesOffset(places[$0])) }
        for tile in missing {
            guard let scales = scales(of: tile) else { break }
            pieces.append(ImagePiece(bytes: scales, offset: scalesOffset(places[tile])))
        }
        if let store { return try unsafe store.gather(pieces, of: segment, by: reader, into: bytes) }
        for run in RunReader.runs(of: segment, holding: pieces) {
            try unsafe reader.read(run, of: segment, pieces, into: bytes, scratch)
        }
    }
}
