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

    /// The table of a model as `residency` has it; at most `tokenCount` tokens are looked up at once, many of
    /// them with the threads of `store` where there is one.
    convenience init(
        _ loaded: LoadedSegment, of file: ModelFile, _ inventory: WeightInventory, _ residency: Residency,
        tokenCount: Int, store: WeightStore?, on backend: any Backend
    ) throws(ModelError) {
        if let tiles = residency.embeddingTiles {
            try self.init(
                file.segments[inventory.embedding], of: file, tileCount: tiles, tokenCount: tokenCount,
                store: store, on: backend)
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
        _ segment: Segment, of file: ModelFile, tileCount: Int, tokenCount: Int, store: WeightStore? = nil,
        on backend: any Backend
    ) throws(ModelError) {
        matrix = nil
        self.backend = backend
        rows = try RowReader(
            segment, of: file, tileCount: tileCount, tokenCount: tokenCount, store: store, on: backend)
    }

    /// `y[i] = table[tokens[i]]`. Throws `file` for a fault of the file.
    func look(up tokens: Span<Int32>, into y: Activation) throws(ModelError) {
        if let matrix { return backend.embed(tokens, table: matrix, into: y) }
        try rows?.look(up: tokens, into: y, on: backend)
    }
}
