//! Documents that are damaged or mean harm: each ends as it is said to, and within its limits.

import Foundation
import TestSupport
import Testing

@testable import Documents

/// An entry of Tests/Fixtures/broken/documents.json.
struct BrokenDocument: Decodable, CustomTestStringConvertible, Sendable {
    let name: String
    /// `opens`, a kind of error, or `ends` for either.
    let outcome: String
    /// Where it opens: all of its text.
    let text: String?
    /// Parts of notes that must be given.
    let notes: [String]?

    var testDescription: String { name }

    static let all = {
        let all = (try? TestSupport.Fixtures.json("broken/documents.json", as: [BrokenDocument].self)) ?? []
        return Array(all.prefix(caseCount(all.count)))
    }()
}

@Suite struct BrokenDocumentTests {
    /// Few seconds, for some would take all that they are given.
    private let limits = DocumentLimits(programSeconds: 3)

    private func read(_ path: String) throws(DocumentError) -> ExtractedText {
        switch try DocumentSource.load(path: path, limits: limits) {
        case .text(let text): return ExtractedText(text: text)
        case .image: return ExtractedText(text: "")
        case .extracted(let extracted): return extracted
        case .pdf(let bytes):
            let pdf = try PDFDocument(bytes: bytes, limits: limits)
            try pdf.require(pages: pdf.pageCount)
            _ = try pdf.page(0, dpi: 72)
            return try pdf.text(ofPages: Array(0..<pdf.pageCount))
        }
    }

    @Test(arguments: BrokenDocument.all) func everyOneEndsAsItMust(_ document: BrokenDocument) {
        do {
            let extracted = try read(TestSupport.Fixtures.url("broken/\(document.name)").path)
            #expect(["opens", "ends"].contains(document.outcome))
            if let text = document.text { #expect(squeezed(extracted.text) == squeezed(text)) }
            for note in document.notes ?? [] {
                #expect(extracted.notes.contains { $0.contains(note) }, "\(extracted.notes)")
            }
            // Nothing of another file.
            #expect(!extracted.text.contains("root:"))
        } catch {
            #expect(["ends", "\(error.kind)"].contains(document.outcome), "\(error)")
            #expect(error.message.contains(document.name) || document.name.hasSuffix(".pdf"))
            #expect(!error.message.contains("\n"))
        }
    }

    @Test func aPageOfALongPDFIsReadWithoutTheOthers() throws {
        let pdf = try PDFDocument(
            bytes: TestSupport.Fixtures.bytes("broken/ten-thousand-pages.pdf"), limits: limits)
        #expect(pdf.pageCount == 10_000)
        #expect(throws: DocumentError.self) { try pdf.require(pages: pdf.pageCount) }
        #expect(try pdf.text(ofPages: [9_000]).text == "Plain words are here.")
        #expect(try pdf.page(9_999, dpi: 36).width == 298)
    }

    @Test func hiddenWordsAreCountedByTheirPages() {
        #expect(listed([3]) == "page 3")
        #expect(listed([3, 5]) == "pages 3 and 5")
        #expect(listed([1, 2, 3, 9]) == "pages 1, 2, 3 and 9")
        #expect(listed([1, 2, 3, 9, 11]) == "pages 1, 2, 3 and 2 more")
    }

    @Test func moreThanALimitIsRefused() {
        let long = [UInt8](repeating: 0x20, count: DocumentLimits.maxMarkdownBytes + 1)
        var error = #expect(throws: DocumentError.self) {
            try DocumentSource.load(bytes: long, name: "a", isMarkdown: true)
        }
        #expect(error?.kind == .tooLarge)
        error = #expect(throws: DocumentError.self) {
            try ZipArchive([UInt8](repeating: 0, count: DocumentLimits.maxArchiveBytes + 1))
        }
        #expect(error?.kind == .tooLarge)
        error = #expect(throws: DocumentError.self) {
            try PDFDocument(bytes: [UInt8](repeating: 0, count: DocumentLimits.maxPDFBytes + 1))
        }
        #expect(error?.kind == .tooLarge)
    }

    @Test func aTextBeyondItsLimitIsRefusedWhereverItComesFrom() throws {
        let few = DocumentLimits(maxTextBytes: 100)
        for name in ["pandoc-01.docx", "markdown-01.md", "reportlab-01.pdf"] {
            let error = #expect(throws: DocumentError.self) {
                switch try DocumentSource.load(
                    path: TestSupport.Fixtures.url("produced/\(name)").path, limits: few)
                {
                case .pdf(let bytes): _ = try PDFDocument(bytes: bytes, limits: few).text(ofPages: [0])
                default: break
                }
            }
            #expect(error?.kind == .tooLarge, "\(name)")
        }
    }

    @Test func aMissingProgramSaysWhatToInstall() {
        let error = PopplerProgram.pdftotext.describe(.missing, "read", limits)
        #expect(error.kind == .unsupported && error.message.contains("poppler-utils"))
    }
}
