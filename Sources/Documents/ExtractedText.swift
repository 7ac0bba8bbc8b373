//! What a document of another kind than plain text says, as plain text.

/// Text that was taken out of a document, and what a reader of it must know.
public struct ExtractedText: Sendable, Equatable {
    /// Lines, with empty ones between paragraphs.
    public var text: String
    /// What was left out, or stands in the text and could not be seen: each a sentence without its end.
    public var notes: [String]

    /// A text with its notes.
    public init(text: String, notes: [String] = []) {
        self.text = text
        self.notes = notes
    }
}

/// Puts blocks one after the other as plain text does: items of a list and rows of a table on lines that
/// follow each other, an empty line between all else.
struct BlockText {
    /// What a block is in its document.
    enum Kind: Equatable {
        case paragraph, heading, item, row
    }

    private(set) var text = ""
    private var last: Kind?
    private let maxBytes: Int

    /// - Parameter maxBytes: of the text in all; what passes it is refused.
    init(maxBytes: Int) { self.maxBytes = maxBytes }

    /// Adds a block; one without visible characters is passed over.
    mutating func append(_ kind: Kind, _ block: some StringProtocol) throws(DocumentError) {
        guard block.unicodeScalars.contains(where: { !isWhiteSpace($0.value) }) else { return }
        if let last {
            text += last == kind && (kind == .item || kind == .row) ? "\n" : "\n\n"
        }
        text += block
        last = kind
        guard text.utf8.count <= maxBytes else {
            throw DocumentError(.tooLarge, "the document has more than \(maxBytes) bytes of text")
        }
    }
}

/// `3 words`, `1 word`: a number with what it counts.
func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

/// `3 pictures are left out`.
func leftOut(_ count: Int, _ noun: String) -> String {
    "\(counted(count, noun)) \(count == 1 ? "is" : "are") left out"
}

/// Words of a text: runs without white space.
func wordCount(_ text: some StringProtocol) -> Int {
    text.split(whereSeparator: \.isWhitespace).count
}
