//! Files to page images: what `read` shows the model.

public import Documents
internal import Foundation

/// One document, ready to be drawn page by page.
public struct PagedDocument {
    /// The file's name, for messages.
    public let name: String
    private let content: Content

    private enum Content {
        case text(String, TextDocument)
        case image(RGBImage)
    }

    /// Reads a text, Markdown or image file; `-` is standard input.
    public init(path: String, settings: PageSettings) throws(ThimbleError) {
        name = path
        let source: DocumentSource
        do { source = try Self.load(path) } catch { throw ThimbleError(error) }
        switch source {
        case .text(let text):
            // The layout knows the text but not the file it came from.
            do { content = .text(text, try TextDocument(text: text, settings: settings)) } catch {
                throw ThimbleError(DocumentError(error.kind, "\(path): \(error.message)"))
            }
        case .image(let image): content = .image(image)
        }
    }

    private static func load(_ path: String) throws(DocumentError) -> DocumentSource {
        guard path == "-" else { return try DocumentSource.load(path: path) }
        let limit = DocumentLimits().maxFileBytes
        guard let input = try? FileHandle.standardInput.read(upToCount: limit + 1) else {
            throw DocumentError(.unreadable, "standard input cannot be read")
        }
        guard input.count <= limit else {
            throw DocumentError(.tooLarge, "standard input has more than \(limit) bytes")
        }
        return try DocumentSource.load(bytes: Array(input), name: "standard input")
    }

    public var pageCount: Int {
        switch content {
        case .text(_, let document): document.pageCount
        case .image: 1
        }
    }

    /// The text of a text document; nil for an image.
    public var text: String? {
        if case .text(let text, _) = content { text } else { nil }
    }

    /// Draws page `index`, counted from 0.
    public func page(_ index: Int) throws(ThimbleError) -> RGBImage {
        switch content {
        case .text(_, let document):
            do { return try document.page(index) } catch { throw ThimbleError(error) }
        case .image(let image): return image
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
