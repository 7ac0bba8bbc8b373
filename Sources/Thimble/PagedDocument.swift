//! Files to page images: what `read` shows the model.

public import Documents
internal import Glibc

/// One document, ready to be drawn page by page. Not to be shared between threads.
public struct PagedDocument {
    /// The file's name, for messages.
    public let name: String
    /// How it is read; `text` has no pages to draw.
    public let mode: ReadingMode
    /// The text of the document, as far as it was chosen; nil for an image, for a PDF that draws its own
    /// pages, and for some pages of a text.
    public let text: String?
    private let content: Content
    private let openingNotes: [String]

    private enum Content {
        case text
        case laidOut(TextDocument, chosen: [Int])
        case image(RGBImage)
        case pdf(PDFDocument, chosen: [Int], dpi: Double)
    }

    /// Reads a PDF, DOCX, text, Markdown or image file; `-` is standard input.
    ///
    /// - Parameters:
    ///   - mode: how it is read; a mode that the document does not have throws `invalidArgument`. By default
    ///     an image and a PDF draw their own pages, and text is set on pages.
    ///   - prefersGlyph: whether by default a PDF's text is set on pages, too, where it has any: for models
    ///     that were trained on such pages.
    ///   - choose: which pages of so many are wanted, by ascending indexes from 0. These are a PDF's own
    ///     pages, also where its text is set anew, else those that are drawn. By default all; more than 500
    ///     of a PDF throw `corrupt`. A document that is read as text has no pages but a PDF's; 1 stands for
    ///     it.
    public init(
        path: String, settings: PageSettings, mode: ReadingMode? = nil, prefersGlyph: Bool = false,
        choosing choose: (_ pageCount: Int) -> [Int] = { Array(0..<$0) }
    ) throws(ThimbleError) {
        do {
            try self.init(Self.source(path), path, settings, mode, prefersGlyph, choose)
        } catch { throw error.ours }
    }

    /// Reads a document of which all bytes are in memory. `name` is what messages call it, and says whether a
    /// text is Markdown, as that of a file does. The rest is as for a file.
    public init(
        bytes: [UInt8], name: String, settings: PageSettings, mode: ReadingMode? = nil,
        prefersGlyph: Bool = false, choosing choose: (_ pageCount: Int) -> [Int] = { Array(0..<$0) }
    ) throws(ThimbleError) {
        do {
            try self.init(Self.source(bytes, name), name, settings, mode, prefersGlyph, choose)
        } catch { throw error.ours }
    }

    /// Tells faults of documents, whose messages may not say which one, from those that do.
    private enum Fault: Error {
        case loading(DocumentError)
        case ofDocument(String, DocumentError)
        case ready(ThimbleError)

        var ours: ThimbleError {
            switch self {
            case .loading(let error): ThimbleError(error)
            case .ofDocument(let name, let error):
                ThimbleError(DocumentError(error.kind, "\(name): \(error.message)"))
            case .ready(let error): error
            }
        }
    }

    private init(
        _ source: DocumentSource, _ path: String, _ settings: PageSettings, _ wanted: ReadingMode?,
        _ prefersGlyph: Bool, _ choose: (Int) -> [Int]
    ) throws(Fault) {
        name = path
        do {
            switch source {
            case .text(let text):
                mode = try Self.mode(wanted ?? .glyph, of: path, "text", [.glyph, .text])
                (content, self.text) = try Self.set(text, mode, settings, choose)
                openingNotes = []
            case .extracted(let extracted):
                mode = try Self.mode(wanted ?? .glyph, of: path, "text", [.glyph, .text])
                (content, text) = try Self.set(extracted.text, mode, settings, choose)
                openingNotes = extracted.notes
            case .image(let image):
                mode = try Self.mode(wanted ?? .page, of: path, "an image", [.page])
                (content, text, openingNotes) = (choose(1).isEmpty ? .text : .image(image), nil, [])
            case .pdf(let bytes):
                let document = try PDFDocument(bytes: bytes)
                let chosen = choose(document.pageCount)
                try document.require(pages: chosen.count)
                (mode, content, text, openingNotes) = try Self.read(
                    document, chosen, wanted, prefersGlyph, settings)
            }
        } catch let error as DocumentError { throw .ofDocument(path, error) } catch let error as Fault {
            throw error
        } catch { throw .ready(ThimbleError(.internal, "\(path): \(error)")) }
    }

    /// The chosen pages of a PDF: drawn as they are, or their text. Where its text is only preferred, a PDF
    /// without any - a scan - shows its pages.
    private static func read(
        _ document: PDFDocument, _ chosen: [Int], _ wanted: ReadingMode?, _ prefersGlyph: Bool,
        _ settings: PageSettings
    ) throws(DocumentError) -> (ReadingMode, Content, String?, [String]) {
        let notes = PDFDocument.missingConfinement
        let mode = wanted ?? (prefersGlyph ? .glyph : .page)
        if mode != .page {
            if chosen.isEmpty { return (mode, .text, nil, []) }
            do {
                let extracted = try document.text(ofPages: chosen)
                let (content, text) = try set(extracted.text, mode, settings) { Array(0..<$0) }
                return (mode, content, text, notes + extracted.notes)
            } catch {
                guard error.kind == .empty && wanted == nil else { throw error }
            }
        }
        try settings.validate()
        return (.page, .pdf(document, chosen: chosen, dpi: settings.dpi), nil, notes)
    }

    /// Throws where the document is not read in this mode.
    private static func mode(
        _ mode: ReadingMode, of name: String, _ kind: String, _ possible: [ReadingMode]
    ) throws(Fault) -> ReadingMode {
        guard possible.contains(mode) else {
            let names = possible.map { "--mode \($0.rawValue)" }.joined(separator: " or ")
            throw .ready(
                ThimbleError(
                    .invalidArgument,
                    "\(name) is \(kind), which \(mode == .page ? "has no pages of its own" : "has no text"): "
                        + "read it with \(names)"))
        }
        return mode
    }

    /// A text as its mode wants it, and as much of it as was chosen.
    private static func set(
        _ text: String, _ mode: ReadingMode, _ settings: PageSettings, _ choose: (Int) -> [Int]
    ) throws(DocumentError) -> (Content, String?) {
        guard mode == .glyph else {
            return choose(1).isEmpty ? (.text, nil) : (.text, text)
        }
        let document = try TextDocument(text: text, settings: settings)
        let chosen = choose(document.pageCount)
        return (.laidOut(document, chosen: chosen), chosen.count == document.pageCount ? text : nil)
    }

    private static func source(_ path: String) throws(Fault) -> DocumentSource {
        do { return try load(path) } catch { throw .loading(error) }
    }

    private static func source(_ bytes: [UInt8], _ name: String) throws(Fault) -> DocumentSource {
        do {
            return try DocumentSource.load(
                bytes: bytes, name: name, isMarkdown: DocumentSource.isMarkdown(name))
        } catch { throw .loading(error) }
    }

    private static func load(_ path: String) throws(DocumentError) -> DocumentSource {
        guard path == "-" else { return try DocumentSource.load(path: path) }
        let limit = DocumentLimits().maxFileBytes
        var input: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe Glibc.read(STDIN_FILENO, &chunk, chunk.count)
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                throw DocumentError(.unreadable, "standard input cannot be read")
            }
            input += chunk[..<count]
            guard input.count <= limit else {
                throw DocumentError(.tooLarge, "standard input has more than \(limit) bytes")
            }
        }
        return try DocumentSource.load(bytes: input, name: "standard input")
    }

    /// Pages to draw, of those that were chosen; none in the mode `text`.
    public var pageCount: Int {
        switch content {
        case .text: 0
        case .laidOut(_, let chosen): chosen.count
        case .image: 1
        case .pdf(_, let chosen, _): chosen.count
        }
    }

    /// What a reader of the document must know: what was left out of it, because it is hidden or is no
    /// text, and which of the pages drawn so far were damaged. Sentences without their ends; facts, not
    /// text of the document.
    public var notes: [String] {
        guard case .pdf(let document, _, _) = content else { return openingNotes }
        return openingNotes + document.notes
    }

    /// Draws page `index` of the chosen ones, counted from 0.
    public func page(_ index: Int) throws(ThimbleError) -> RGBImage {
        switch content {
        case .text: preconditionFailure("a document that is read as text has no pages")
        case .laidOut(let document, let chosen):
            do { return try document.page(chosen[index]) } catch { throw ThimbleError(error) }
        case .image(let image): return image
        case .pdf(let document, let chosen, let dpi):
            do { return try document.page(chosen[index], dpi: dpi) } catch {
                throw ThimbleError(DocumentError(error.kind, "\(name): \(error.message)"))
            }
        }
    }
}

/// Decodes an image file: PNG, JPEG or WebP, whatever its name says.
public func loadImage(path: String) throws(ThimbleError) -> RGBImage {
    do {
        guard case .image(let image) = try DocumentSource.load(path: path) else {
            throw ThimbleError(.unsupported, "\(path) is no image; images are PNG, JPEG or WebP files")
        }
        return image
    } catch let error as DocumentError { throw ThimbleError(error) } catch let error as ThimbleError {
        throw error
    } catch {
        throw ThimbleError(.internal, "\(path): \(error)")
    }
}

/// Decodes the bytes of an image file; `name` is what messages call it.
public func decodeImage(_ bytes: [UInt8], name: String) throws(ThimbleError) -> RGBImage {
    let source: DocumentSource
    do { source = try DocumentSource.load(bytes: bytes, name: name) } catch { throw ThimbleError(error) }
    guard case .image(let image) = source else {
        throw ThimbleError(.unsupported, "\(name) is no image; images are PNG, JPEG or WebP files")
    }
    return image
}

/// Throws `corrupt` where an image of that size in pixels is larger than is read from files.
public func checkImageSize(_ width: Int, _ height: Int, name: String) throws(ThimbleError) {
    let limits = ImageLimits()
    guard width <= limits.maxWidth, height <= limits.maxHeight,
        width.multipliedReportingOverflow(by: height).partialValue <= limits.maxPixels
    else {
        throw ThimbleError(
            .corrupt,
            "\(name) has \(width) x \(height) pixels; the limits are \(limits.maxWidth) a side and "
                + "\(limits.maxPixels) in all")
    }
}
