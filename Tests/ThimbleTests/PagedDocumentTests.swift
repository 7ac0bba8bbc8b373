//! Holds what a document's faults say: the file, the fault and the mend in one line.

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
