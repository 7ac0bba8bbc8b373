//! Files and bytes to documents: which kind they are, and their content.

/// What a file or stream holds.
public enum DocumentSource: Sendable, Equatable {
    /// Text, to be laid out on pages.
    case text(String)
    /// An image, which is one page as it is.
    case image(RGBImage)
    /// The bytes of a PDF, which has pages of its own and, mostly, text.
    case pdf([UInt8])
    /// What a DOCX or Markdown file says, to be laid out on pages.
    case extracted(ExtractedText)

    /// Reads a file; its kind is known by its content, not its name. But Markdown is text like any other, and
    /// is known by a name that ends so.
    /// - Throws: `unreadable`, `tooLarge`, `outOfMemory`, and what `init(bytes:name:limits:)` throws.
    public static func load(
        path: String, limits: DocumentLimits = DocumentLimits()
    ) throws(DocumentError) -> DocumentSource {
        let most = limits.maxFileBytes
        let bytes: [UInt8]
        do {
            bytes = try RegularFile.contents(of: path, atMost: most)
        } catch {
            let (kind, message): (DocumentError.Kind, String) =
                switch error {
                case .unreadable where error.isMissing: (.unreadable, "there is no file \(path)")
                case .unreadable: (.unreadable, "\(path) cannot be opened as a file")
                case .notARegularFile: (.unreadable, "\(path) is not a regular file")
                case .outOfMemory: (.outOfMemory, "\(path): no memory for its bytes")
                case .tooLarge: (.tooLarge, "\(path) has more than \(most) bytes")
                case .failed: (.unreadable, "\(path) cannot be read, or changed while it was read")
                }
            throw DocumentError(kind, message, systemError: error.systemError)
        }
        return try load(bytes: bytes, name: path, isMarkdown: isMarkdown(path), limits: limits)
    }

    /// Whether the name of a file says that it is Markdown.
    public static func isMarkdown(_ name: String) -> Bool {
        [".md", ".markdown"].contains { name.lowercased().hasSuffix($0) }
    }

    /// Takes bytes that are already in memory, as from standard input.
    /// - Parameters:
    ///   - name: what messages call them.
    ///   - isMarkdown: whether text is Markdown.
    /// - Throws: `empty`, `malformed` (with the offset of the first byte that is not UTF-8), `tooLarge`,
    ///   `unsupported`.
    public static func load(
        bytes: [UInt8], name: String, isMarkdown: Bool = false, limits: DocumentLimits = DocumentLimits()
    ) throws(DocumentError) -> DocumentSource {
        guard !bytes.isEmpty else { throw DocumentError(.empty, "\(name) is empty") }
        do {
            if ImageFormat(sniffing: bytes) != nil {
                return .image(try RGBImage(decoding: bytes, limits: limits.image))
            }
            if isPDF(bytes) { return .pdf(bytes) }
            if bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) {
                try DocumentLibrary.require(.zip, .xml, for: "DOCX")
                return .extracted(try DOCXDocument.text(of: bytes, limits: limits))
            }
        } catch {
            throw DocumentError(error.kind, "\(name): \(error.message)")
        }
        if let format = foreignFormat(bytes) {
            throw DocumentError(.unsupported, "\(name) is \(format); \(supported)")
        }
        guard bytes.count <= limits.maxTextBytes else {
            throw DocumentError(
                .tooLarge, "\(name) has \(bytes.count) bytes of text; the limit is \(limits.maxTextBytes)")
        }
        var content = bytes[...]
        if content.starts(with: [0xEF, 0xBB, 0xBF]) { content = content.dropFirst(3) }
        guard let text = String(validating: content, as: UTF8.self) else {
            throw DocumentError(
                .malformed,
                "\(name) is not UTF-8 text: the byte at offset \(firstInvalidByte(content)) does not belong; "
                    + supported)
        }
        guard !text.isEmpty else { throw DocumentError(.empty, "\(name) is empty") }
        guard isMarkdown else { return .text(text) }
        do {
            try DocumentLibrary.require(.markdown, for: "Markdown")
            return .extracted(try MarkdownDocument.text(of: text, limits: limits))
        } catch {
            throw DocumentError(error.kind, "\(name): \(error.message)")
        }
    }

    /// Whether it is a PDF: some writers put a few bytes before its first line, in which case it is taken for
    /// one unless it is text.
    private static func isPDF(_ bytes: [UInt8]) -> Bool {
        let mark = Array("%PDF-".utf8)
        if bytes.starts(with: mark) { return true }
        let head = bytes.prefix(1024)
        return head.indices.dropLast(mark.count).contains { head[$0...].starts(with: mark) }
            && (bytes.contains(0) || String(validating: bytes, as: UTF8.self) == nil)
    }

    private static let supported =
        "supported are PDF, DOCX, UTF-8 text (plain or Markdown) and PNG, JPEG and WebP images"

    /// The name of a known format that is not read.
    private static func foreignFormat(_ bytes: [UInt8]) -> String? {
        let signatures: [(String, [UInt8])] = [
            ("an empty ZIP archive", [0x50, 0x4B, 0x05, 0x06]),
            (
                "an older Office file (DOC, XLS, PPT), or one with a password",
                [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]
            ),
            ("PostScript", Array("%!PS".utf8)),
            ("a GIF image", Array("GIF8".utf8)), ("a TIFF image", [0x49, 0x49, 0x2A, 0x00]),
            ("a TIFF image", [0x4D, 0x4D, 0x00, 0x2A]), ("a gzip file", [0x1F, 0x8B]),
            ("an RTF file", Array("{\\rtf".utf8)), ("UTF-16 text", [0xFF, 0xFE]),
            ("UTF-16 text", [0xFE, 0xFF]),
        ]
        return signatures.first { bytes.starts(with: $0.1) }?.0
    }

    /// The offset in the file of the first byte that is no part of well-formed UTF-8.
    private static func firstInvalidByte(_ bytes: ArraySlice<UInt8>) -> Int {
        var position = bytes.startIndex
        while position < bytes.endIndex {
            let length =
                switch bytes[position] {
                case 0x00...0x7F: 1
                case 0xC2...0xDF: 2
                case 0xE0...0xEF: 3
                case 0xF0...0xF4: 4
                default: 0
                }
            guard length > 0, position + length <= bytes.endIndex,
                String(validating: bytes[position..<position + length], as: UTF8.self) != nil
            else { break }
            position += length
        }
        return position
    }
}
