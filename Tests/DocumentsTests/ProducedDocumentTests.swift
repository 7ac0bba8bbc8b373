//! Documents that other programs made: every one opens, and its text is what its producer was given.

import Foundation
import TestSupport
import Testing

@testable import Documents

/// An entry of Tests/Fixtures/produced/documents.json.
struct ProducedDocument: Decodable, CustomTestStringConvertible, Sendable {
    let name: String
    let producer: String
    /// What the producer was given, list marks and all.
    let text: String

    var testDescription: String { name }

    static func all(_ kind: String) -> [ProducedDocument] {
        let all = try? TestSupport.Fixtures.json("produced/documents.json", as: [ProducedDocument].self)
        let chosen = (all ?? []).filter { $0.name.hasSuffix(kind) }
        return Array(chosen.prefix(caseCount(chosen.count)))
    }

    var path: String { TestSupport.Fixtures.url("produced/\(name)").path }
}

/// Texts are compared without regard to white space: a line ends where its page does. Between Chinese
/// characters a line's end is no space at all.
func squeezed(_ text: String) -> String {
    let isChinese = text.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) }
    return text.split(whereSeparator: \.isWhitespace).joined(separator: isChinese ? "" : " ")
}

@Suite struct ProducedDocumentTests {
    @Test func everyProducerIsThere() throws {
        let all = try TestSupport.Fixtures.json("produced/documents.json", as: [ProducedDocument].self)
        let counts = Dictionary(grouping: all, by: \.producer).mapValues(\.count)
        for producer in ["reportlab", "pdflatex", "pandoc", "python-docx", "libreoffice", "markdown"] {
            #expect(counts[producer, default: 0] >= 8, "\(producer)")
        }
        let broken = try TestSupport.Fixtures.json("broken/documents.json", as: [BrokenDocument].self)
        #expect(all.count + broken.count >= 200)
    }

    @Test(arguments: ProducedDocument.all(".docx") + ProducedDocument.all(".md"))
    func theTextOfADOCXOrMarkdownIsItsSource(_ document: ProducedDocument) throws {
        guard case .extracted(let extracted) = try DocumentSource.load(path: document.path) else {
            Issue.record("\(document.name) is taken for something else")
            return
        }
        #expect(squeezed(extracted.text) == squeezed(document.text))
        #expect(extracted.notes.isEmpty)
        #expect(try TextDocument(text: extracted.text).pageCount > 0)
    }

    @Test(arguments: ProducedDocument.all(".pdf"))
    func theTextOfAPDFIsItsSource(_ document: ProducedDocument) throws {
        guard case .pdf(let bytes) = try DocumentSource.load(path: document.path) else {
            Issue.record("\(document.name) is taken for something else")
            return
        }
        let pdf = try PDFDocument(bytes: bytes)
        let extracted = try pdf.text(ofPages: Array(0..<pdf.pageCount))
        #expect(squeezed(extracted.text) == squeezed(document.text))
        #expect(extracted.notes.isEmpty)
        let page = try pdf.page(pdf.pageCount - 1, dpi: 36)
        #expect(page.pixels.contains { $0 < 128 }, "the last page is blank")
        #expect(pdf.notes.isEmpty)
    }

    @Test func aPageIsDrawnAtTheResolutionAskedFor() throws {
        let pdf = try PDFDocument(bytes: TestSupport.Fixtures.bytes("produced/libreoffice-01.pdf"))
        let (small, large) = (try pdf.page(0, dpi: 72), try pdf.page(0, dpi: 144))
        #expect(abs(large.width - 2 * small.width) <= 1 && abs(large.height - 2 * small.height) <= 1)
        #expect(small.width > 500 && small.height > 700)
    }

    @Test func someOfThePagesAreTheirTextAlone() throws {
        let pdf = try PDFDocument(bytes: TestSupport.Fixtures.bytes("produced/reportlab-12.pdf"))
        try #require(pdf.pageCount > 2)
        let parts = try (0..<pdf.pageCount).map { try pdf.text(ofPages: [$0]).text }
        let some = try pdf.text(ofPages: [0, pdf.pageCount - 1]).text
        #expect(squeezed(some) == squeezed(parts[0] + "\n" + parts[parts.count - 1]))
        #expect(
            squeezed(try pdf.text(ofPages: Array(0..<pdf.pageCount)).text)
                == squeezed(parts.joined(separator: "\n")))
    }
}
