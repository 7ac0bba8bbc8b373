//! Holds what a document's faults say: the file, the fault and the mend in one line.

import FoundationEssentials
import TestSupport
import Testing
import Thimble

private func fault(of path: String, _ change: (inout PageSettings) -> Void = { _ in }) throws -> ThimbleError?
{
    var settings = PageSettings()
    change(&settings)
    return #expect(throws: ThimbleError.self) { try PagedDocument(path: path, settings: settings) }
}

@Test func aTextOfTooManyPagesNamesItsFile() throws {
    let folder = try TemporaryDirectory()
    let path = try folder.write(String(repeating: "a\n", count: 60_000).utf8, to: "long.txt")
    let error = try #require(try fault(of: path))
    #expect(error.code == .corrupt)
    #expect(error.message == "\(path): the text needs more than 500 pages; shorten it or split it")
}

@Test func aMissingFontNamesTheDocumentAndTheFont() throws {
    let folder = try TemporaryDirectory()
    let path = try folder.write("text".utf8, to: "a.txt")
    let error = try #require(try fault(of: path) { $0.fontPath = "NoSuchFont.ttf" })
    #expect(error.code == .inputMissing)
    #expect(error.message.contains(path) && error.message.contains("NoSuchFont.ttf"))
    #expect(!error.message.contains("\n"))
}

@Test func aMissingFileIsMissing() throws {
    #expect(try fault(of: "no/such/file.txt")?.code == .inputMissing)
}

private func fixture(_ name: String) -> String { Fixtures.url(name).path }

@Test func aPDFIsDrawnUnlessItsTextIsWanted() throws {
    let path = fixture("produced/reportlab-12.pdf")
    let own = try PagedDocument(path: path, settings: PageSettings())
    #expect(own.mode == .page && own.pageCount > 2 && own.text == nil)
    #expect(try own.page(0).width == 400)
    let set = try PagedDocument(path: path, settings: PageSettings(), prefersGlyph: true)
    #expect(set.mode == .glyph && set.pageCount == 1 && set.text?.isEmpty == false)
    #expect(try set.page(0) != own.page(0))
    let text = try PagedDocument(path: path, settings: PageSettings(), mode: .text)
    #expect(text.mode == .text && text.pageCount == 0 && text.text == set.text)
}

@Test func aPDFWithoutTextIsDrawnWhereTextIsOnlyPreferred() throws {
    let path = fixture("broken/blank.pdf")
    #expect(try PagedDocument(path: path, settings: PageSettings(), prefersGlyph: true).mode == .page)
    let error = #expect(throws: ThimbleError.self) {
        try PagedDocument(path: path, settings: PageSettings(), mode: .glyph)
    }
    #expect(error?.code == .corrupt && error?.message.hasPrefix(path) == true)
}

@Test func onlyTheChosenPagesAreRead() throws {
    let path = fixture("broken/ten-thousand-pages.pdf")
    var counts: [Int] = []
    for mode in [ReadingMode.page, .glyph, .text] {
        let document = try PagedDocument(path: path, settings: PageSettings(), mode: mode) { count in
            counts.append(count)
            return [7, 8_000]
        }
        #expect(document.pageCount == [.page: 2, .glyph: 1, .text: 0][mode])
        if let text = document.text { #expect(text.split(separator: "\n").count == 2) }
    }
    #expect(counts == [10_000, 10_000, 10_000])
    let error = #expect(throws: ThimbleError.self) { try PagedDocument(path: path, settings: PageSettings()) }
    #expect(error?.code == .corrupt && error?.message.contains("10000 pages") == true)
    let none = try PagedDocument(path: path, settings: PageSettings(), choosing: { _ in [] })
    #expect(none.pageCount == 0)
}

@Test func someOfTheLaidOutPagesHaveNoTextOfTheirOwn() throws {
    let folder = try TemporaryDirectory()
    let path = try folder.write(String(repeating: "line\n", count: 300).utf8, to: "a.txt")
    let all = try PagedDocument(path: path, settings: PageSettings())
    try #require(all.pageCount > 2)
    let some = try PagedDocument(path: path, settings: PageSettings()) { Array(1..<$0) }
    #expect(some.pageCount == all.pageCount - 1 && some.text == nil)
    #expect(try some.page(0) == all.page(1))
}

@Test func hiddenTextIsNotedAndMissing() throws {
    let document = try PagedDocument(path: fixture("broken/hidden.docx"), settings: PageSettings())
    #expect(document.mode == .glyph && document.text == "Seen\n\nShaded")
    #expect(document.notes.count == 1 && document.notes[0].hasPrefix("7 hidden words are left out"))
}

@Test(arguments: [("broken/hidden.docx", ReadingMode.page), ("produced/markdown-01.md", .page)])
func aModeThatIsNotThereNamesThoseThatAre(_ name: String, _ mode: ReadingMode) {
    let error = #expect(throws: ThimbleError.self) {
        try PagedDocument(path: fixture(name), settings: PageSettings(), mode: mode)
    }
    #expect(error?.code == .invalidArgument && error?.message.contains("--mode glyph") == true)
}
