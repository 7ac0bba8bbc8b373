//! Fuzzes the reading of Markdown, and of the HTML in it.

@testable import Documents

/// Input: the file.
struct MarkdownTarget: FuzzTarget {
    private let limits = DocumentLimits(maxTextBytes: 1 << 16)

    func run(_ input: [UInt8]) -> Bool {
        guard let markdown = String(validating: input, as: UTF8.self) else { return false }
        // Of all that HTML holds, no more than itself comes out.
        let plain = HTMLText(markdown)
        expect(plain.text.utf8.count <= 4 * markdown.utf8.count, "HTML has grown")
        guard let extracted = try? MarkdownDocument.text(of: markdown, limits: limits) else { return false }
        expect(extracted.text.utf8.count <= limits.maxTextBytes, "the text is beyond the limit")
        expect(
            extracted.text.unicodeScalars.contains { !isWhiteSpace($0.value) }, "an empty text was accepted")
        let again = try? MarkdownDocument.text(of: markdown, limits: limits)
        expect(again == extracted, "a document gives another text when it is read again")
        return true
    }
}
