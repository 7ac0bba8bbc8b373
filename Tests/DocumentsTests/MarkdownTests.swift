//! Markdown as text: marks gone, structure kept, and nothing that a reader would not see.

import Foundation
import TestSupport
import Testing

@testable import Documents

private func text(_ markdown: String) throws -> String { try MarkdownDocument.text(of: markdown).text }

@Suite struct MarkdownTests {
    @Test(
        arguments: [
            ("# One\n\nTwo *three* **four** `five` ~~six~~\nseven", "One\n\nTwo three four five six seven"),
            ("a  \nb\\\nc", "a\nb\nc"),
            ("[link](http://x.org 'title') and <http://y.org>", "link and http://y.org"),
            ("- a\n- b\n  - c\n    1. d\n\nend", "\u{2022} a\n\u{2022} b\n  \u{2022} c\n    1. d\n\nend"),
            ("3. a\n4. b\n\n   more\n5. c", "3. a\n4. b\n  more\n5. c"),
            ("- [ ] open\n- [x] done", "\u{2022} [ ] open\n\u{2022} [x] done"),
            ("| a | *b* |\n|---|--:|\n| c \\| d | e |\n| f |", "a | b\nc | d | e\nf | "),
            ("```swift\nlet x = 1\n\n  y\n```\nafter", "let x = 1\n\n  y\n\nafter"),
            ("    indented *code*", "indented *code*"),
            ("> quoted\n> > twice\n\nplain", "> quoted\n\n> > twice\n\nplain"),
            ("Title\n===\ntext\n***\nmore", "Title\n\ntext\n\nmore"),
            ("a &amp; b &#65; &#x42; &eacute; &unknown; &#0;", "a & b A B \u{E9} &unknown; \u{FFFD}"),
            ("[ref]: http://x.org 'hidden'\n[ref] text", "ref text"),
            ("a\0b", "a\u{FFFD}b"),
        ] as [(String, String)])
    func marksBecomeText(_ markdown: String, _ expected: String) throws {
        #expect(try text(markdown) == expected)
    }

    @Test func commentsAndScriptsAreLeftOutAndCounted() throws {
        let extracted = try MarkdownDocument.text(
            of:
                "Seen <!-- not --> here<br>below.\n\n<!-- a -->\n\n"
                + "<div>In <b>a</b> box&amp;c<SCRIPT>x()</Script >y</div>\n"
        )
        #expect(extracted.text == "Seen  here\nbelow.\n\nIn a box&cy")
        #expect(extracted.notes == ["3 hidden parts are left out (comments, scripts and styles of HTML)"])
    }

    @Test func aPictureIsItsDescription() throws {
        let extracted = try MarkdownDocument.text(of: "![A *boat*](x.png)\n")
        #expect(extracted.text == "A boat")
        #expect(extracted.notes == ["1 picture is left out, but for what describes it"])
    }

    @Test(arguments: ["<!-- only this -->", "[a]: b", "***", "<script>x</script>"])
    func whatShowsNothingIsEmpty(_ markdown: String) {
        let error = #expect(throws: DocumentError.self) { try text(markdown) }
        #expect(error?.kind == .empty)
    }

    @Test(
        arguments: [
            ("<!-- a -- > b --->c", "c", 1), ("a<!-- no end", "a", 1), ("<style>x</STYLE>y<br/>z", "y\nz", 1),
            ("a < b", "a ", 0), ("<scripture>a", "a", 0), ("&lt;b&gt; &copy", "<b> &copy", 0),
        ] as [(String, String, Int)])
    func htmlIsItsText(_ html: String, _ expected: String, _ hidden: Int) {
        let plain = HTMLText(html)
        #expect(plain.text == expected)
        #expect(plain.hiddenPieces == hidden)
    }

    /// Inputs that have cost other parsers the square of their size.
    @Test(
        arguments: [
            "[", "![", "*a ", "`a", "<!--", "- ", "> ", "a](", "<a ", "&a", "|a", "[a]: b\n", "**a _b ", "\\",
            "~~a",
        ])
    func repetitionsEnd(_ unit: String) {
        let count = caseCount(200_000) / unit.utf8.count
        _ = try? text(String(repeating: unit, count: count))
        _ = try? text(String(repeating: unit, count: count / 2) + String(repeating: "]", count: count / 2))
    }

    @Test func aWideTableOfShortRowsStopsAtTheLimit() {
        let width = 100
        let head =
            String(repeating: "|a", count: width) + "\n" + String(repeating: "|---", count: width) + "\n"
        let table = head + String(repeating: "|b\n", count: 20_000)
        let error = #expect(throws: DocumentError.self) {
            try MarkdownDocument.text(of: table, limits: DocumentLimits(maxTextBytes: 1 << 20))
        }
        #expect(error?.kind == .tooLarge)
    }
}
