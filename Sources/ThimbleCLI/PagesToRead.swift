//! The documents of one `read`, and which of their pages are wanted.

import Thimble

/// The pages of several documents as one sequence, or a selection of it.
struct PagesToRead {
    let documents: [PagedDocument]
    private let places: [(document: Int, page: Int)]

    /// Opens the documents in order; only what is selected of a PDF is read.
    init(
        _ paths: [String], _ settings: PageSettings, _ mode: ReadingMode?, prefersGlyph: Bool,
        _ selection: PageSelection?
    ) throws {
        var documents: [PagedDocument] = []
        // Pages of the documents so far, chosen or not: they are counted over all.
        var count = 0
        for path in paths {
            documents.append(
                try PagedDocument(path: path, settings: settings, mode: mode, prefersGlyph: prefersGlyph) {
                    own in
                    defer { count += own }
                    return selection.map { $0.indexes(in: count..<count + own) } ?? Array(0..<own)
                })
        }
        try selection?.check(against: count)
        self.documents = documents
        places = documents.indices.flatMap { document in
            (0..<documents[document].pageCount).map { (document, $0) }
        }
    }

    /// Pages to draw.
    var count: Int { places.count }

    func page(_ index: Int) throws(ThimbleError) -> RGBImage {
        try documents[places[index].document].page(places[index].page)
    }

    /// Tokens of the documents' text; nil where it is not all on the pages, or not text.
    func textTokens(_ engine: Engine) throws(ThimbleError) -> Int? {
        var count = 0
        for document in documents {
            guard let text = document.text else { return nil }
            count += try engine.tokenize(text).count
        }
        return count
    }

    /// Says on standard error what was left out of the documents, or is damaged.
    func printNotes() {
        for document in documents {
            for note in document.notes { StandardStream.note("note: \(document.name): \(note)") }
        }
    }
}
