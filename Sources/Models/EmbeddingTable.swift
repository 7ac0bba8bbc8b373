//! Token embeddings, held whole or read from the file row by row.

internal import Memory
internal import ModelFile
internal import Tensors

/// The table of token embeddings.
final class EmbeddingTable {
    /// The whole table; nil where rows are read from the file.
    let matrix: Matrix?
    private let rows: RowReader?
    private let backend: any Backend

    /// A table that is held whole.
    init(_ matrix: Matrix, on backend: any Backend) {
        self.matrix = matrix
        self.backend = backend
        rows = nil
    }

    /// The table of a model as `residency` has it; at most `tokenCount` tokens are looked up at once.
    convenience init(
        _ loaded: LoadedSegment, of file: ModelFile, _ inventory: WeightInventory, _ residency: Residency,
        tokenCount: Int, on backend: any Backend
    ) throws(ModelError) {
        if let tiles = residency.embeddingTiles {
            try self.init(
                file.segments[inventory.embedding], of: file, tileCount: tiles, tokenCount: tokenCount,
                on: backend)
        } else {
            let text = file.configuration.text
            self.init(
                try loaded.residentMatrix(
                    "embed_tokens", rows: text.vocabularySize, columns: text.hiddenSize), on: backend)
        }
    }

    /// A table of which `tileCount` tiles of 16 rows are kept, those that were looked up last; at most
    /// `tokenCount` tokens are looked up at once.
    ///
    /// Precondition: the backend's memory is the host's, and its operations are done when they return.
    init(
        _ segment: Segment, of file: ModelFile, tileCount: Int, tokenCount: Int, on backend: any Backend
    ) throws(ModelError) {
        matrix = nil
        self.backend = backend
        rows = try RowReader(segment, of: file, tileCount: tileCount, tokenCount: tokenCount, on: backend)
    }

    /// `y[i] = table[tokens[i]]`. Throws `file` for a fault of the file.
    func look(up tokens: Span<Int32>, into y: Activation) throws(ModelError) {
        if let matrix { return backend.embed(tokens, table: matrix, into: y) }
        try rows?.look(up: tokens, into: y, on: backend)
    }
}

/// Tiles of the table, each in one of a few places.
private final class RowReader {
    private let segment: Segment
    private let tensor: TensorEntry
    private let reader: RunReader
    private let scratch: RunReader.Scratch
    /// The kept tiles as a matrix of their rows.
    private let kept: Matrix
    private let tileCount: Int
    /// By place: the tile that lies there, -1 for none, and when it was last used.
    private var tiles: [Int]
    private var uses: [Int]
    private var clock = 0
    /// By tile of the table: its place; -1 where it is not kept.
    private var places: [Int]
    /// Rows of `kept`, of the tokens that are looked up together.
    private var found: [Int32] = []

    init(
        _ segment: Segment, of file: ModelFile, tileCount: Int, tokenCount: Int, on backend: any Backend
    ) throws(ModelError) {
        precondition(tileCount > 0 && tokenCount > 0)
        self.segment = segment
        guard let tensor = segment.entry.tensor(named: "embed_tokens") else {
            preconditionFailure("the schema was checked")
        }
        self.tensor = tensor
        self.tileCount = tileCount
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
        found.reserveCapacity(tokenCount)
    }

    func look(up tokens: Span<Int32>, into y: Activation, on backend: any Backend) throws(ModelError) {
        var first = 0
        while first < tokens.count {
            // As many tokens as have places for their tiles at once.
            clock += 1
            found.removeAll(keepingCapacity: true)
            while first + found.count < tokens.count {
                let token = Int(tokens[first + found.count])
                guard let place = try place(of: token / WeightLayout.tileRows, on: backend) else { break }
                uses[place] = clock
                found.append(Int32(place * WeightLayout.tileRows + token % WeightLayout.tileRows))
            }
            let rows = first..<first + found.count
            backend.embed(found.span, table: kept, into: y.rows(rows))
            first = rows.upperBound
        }
    }

    /// Where a tile lies, read if need be; nil where every place holds a tile of this turn.
    private func place(of tile: Int, on backend: any Backend) throws(ModelError) -> Int? {
        if places[tile] >= 0 { return places[tile] }
        guard let place = uses.indices.min(by: { uses[$0] < uses[$1] }), uses[place] < clock else {
            return nil
        }
        if tiles[place] >= 0 { places[tiles[place]] = -1 }
        tiles[place] = -1
        let (codes, scales) = (kept.layout.tileByteCount, kept.layout.tileScalesByteCount)
        let codesStart = tensor.codesOffset + tile * codes
        try read(
            ImagePart(codes: codesStart..<codesStart + codes, scales: 0..<0),
            to: kept.codesOffset + place * codes, on: backend)
        if let plane = tensor.scalesOffset {
            let start = plane + tile * scales
            try read(
                ImagePart(codes: 0..<0, scales: start..<start + scales),
                to: kept.scalesOffset + place * scales, on: backend)
        }
        tiles[place] = tile
        places[tile] = place
        return place
    }

    private func read(_ part: ImagePart, to offset: Int, on backend: any Backend) throws(ModelError) {
        do {
            try unsafe backend.fill(kept.memory, offset..<offset + part.byteCount) {
                (bytes) throws(ModelFileError) in
                try unsafe reader.read(part, of: segment, into: bytes, scratch)
            }
        } catch { throw .file(error) }
    }
}
