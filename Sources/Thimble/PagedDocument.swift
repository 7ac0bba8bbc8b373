//! Files to page images: what `read` shows the model.

public import Documents
internal import Glibc

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
        var input: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe read(STDIN_FILENO, &chunk, chunk.count)
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
