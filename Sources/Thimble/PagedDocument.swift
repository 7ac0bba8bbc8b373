//! Files to page images: what `read` shows the model.

public import Documents

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
        do {
            switch try DocumentSource.load(path: path) {
            case .text(let text): content = .text(text, try TextDocument(text: text, settings: settings))
            case .image(let image): content = .image(image)
            }
        } catch { throw ThimbleError(error) }
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
