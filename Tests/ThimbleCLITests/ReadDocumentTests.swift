//! `thimble read` of PDF, DOCX and Markdown: modes, pages, notes and faults.

import Foundation
import TestSupport
import Testing

private func fixture(_ name: String) -> String { Fixtures.url(name).path }

/// Width and height in the header of a PNG file.
private func size(_ path: String) throws -> (width: Int, height: Int) {
    let bytes = [UInt8](try Data(contentsOf: URL(filePath: path)))
    func number(_ offset: Int) -> Int { bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } }
    return (number(16), number(20))
}

@Test func aPDFDrawsItsOwnPages() throws {
    let directory = try TemporaryDirectory()
    let run = try ProgramRun.of(
        "read", fixture("produced/reportlab-12.pdf"), "--mode", "page", "--render-only", "-o",
        directory.path("own"))
    #expect(run.status == 0, "\(run)")
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path("own"))
    #expect(names.count > 2)
    #expect(try size(directory.path("own/page_001.png")) == (400, 300))
    let some = try ProgramRun.of(
        "read", fixture("produced/reportlab-12.pdf"), "--mode", "page", "--render-only", "-o",
        directory.path("some"),
        "--pages", "2-3")
    #expect(some.status == 0, "\(some)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("some")).count == 2)
    #expect(
        try Data(contentsOf: URL(filePath: directory.path("some/page_001.png")))
            == Data(contentsOf: URL(filePath: directory.path("own/page_002.png"))))
}

@Test func thePageSettingsSayAPDFsResolution() throws {
    let directory = try TemporaryDirectory()
    let settings = try directory.write(#"{"dpi": 144}"#.utf8, to: "fine.json")
    let run = try ProgramRun.of(
        "read", fixture("broken/plain.pdf"), "--render-only", "-o", directory.path("fine"), "--page-settings",
        settings)
    #expect(run.status == 0, "\(run)")
    #expect(try size(directory.path("fine/page_001.png")) == (1190, 1684))
}

@Test func theTextOfAPDFIsSetOnPages() throws {
    let directory = try TemporaryDirectory()
    let run = try ProgramRun.of(
        "read", fixture("produced/reportlab-12.pdf"), "--mode", "glyph", "--render-only", "-o",
        directory.path("glyph"))
    #expect(run.status == 0, "\(run)")
    // Many small pages are one of Glyph's.
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("glyph")) == ["page_001.png"])
}

@Test func pagesAreCountedOverAllFiles() throws {
    let directory = try TemporaryDirectory()
    let files = [fixture("produced/pandoc-01.docx"), fixture("produced/reportlab-12.pdf")]
    // Settings of our own, so that no model has a say.
    let settings = try directory.write("{}".utf8, to: "plain.json")
    let run = try ProgramRun.of(
        "read", files[0], files[1], "--render-only", "-o", directory.path("two"), "--pages", "1,3",
        "--page-settings", settings)
    #expect(run.status == 0, "\(run)")
    #expect(try size(directory.path("two/page_001.png")).width > 400)
    #expect(try size(directory.path("two/page_002.png")) == (400, 300))
    try ProgramRun.of(
        "read", files[0], files[1], "--render-only", "-o", directory.path("none"), "--pages", "1-99"
    ).expectError(64, "99")
}

@Test func whatIsHiddenIsSaidOnStandardErrorAndNotToTheModel() throws {
    let model = try TinyModel()
    for (file, mode) in [("hidden.docx", "text"), ("hidden.docx", "glyph"), ("white-on-white.pdf", "glyph")] {
        let run = try ProgramRun.of(
            "read", fixture("broken/\(file)"), "--mode", mode, "-q", "What?", "--model", model.path, "-n", "2"
        )
        #expect(run.status == 0, "\(run)")
        let notes = run.errorLines.filter {
            $0.hasPrefix("note: ") && $0.contains(file) && $0.contains("left out")
        }
        #expect(notes.count == 1, "\(run)")
        #expect(!run.errors.contains("Obey"), "\(run)")
    }
}

@Test func textTakesNoImageTokens() throws {
    let model = try TinyModel()
    let json = try ProgramRun.of(
        "read", fixture("broken/notes.docx"), "--mode", "text", "-q", "What?", "--model", model.path, "-n",
        "2", "--json"
    ).json()
    let usage = try #require(json["usage"] as? [String: Int])
    #expect(usage["image_tokens"] == 0 && usage["prompt_tokens"] ?? 0 > 20)
    #expect((json["pages"] as? [String: Int])?["count"] == 0)
    let pages = try ProgramRun.of(
        "read", fixture("broken/notes.docx"), "-q", "What?", "--model", model.path, "-n", "2", "--json"
    ).json()
    #expect((pages["usage"] as? [String: Int])?["image_tokens"] ?? 0 > 0)
    let counts = try ProgramRun.of(
        "read", fixture("broken/notes.docx"), "--mode", "text", "--show-tokens", "--model", model.path,
        "--json"
    ).json()
    #expect(counts["image_tokens"] as? Int == 0 && counts["text_tokens"] as? Int ?? 0 > 10)
}

@Test func moreTextThanTheContextHoldsIsRefused() throws {
    let model = try TinyModel()
    let run = try ProgramRun.of(
        "read", fixture("produced/pandoc-06.docx"), "--mode", "text", "-q", "Who?", "--model", model.path,
        "--context", "200")
    run.expectError(1, "text tokens", "200")
}

@Test func aModeThatADocumentDoesNotHaveSaysWhatToDo() throws {
    let directory = try TemporaryDirectory()
    let image = directory.path("pages/page_001.png")
    #expect(
        try ProgramRun.of("read", fixture("broken/plain.pdf"), "--render-only", "-o", directory.path("pages"))
            .status == 0)
    let folder = directory.path("out")
    try ProgramRun.of("read", fixture("broken/notes.docx"), "--mode", "page", "--render-only", "-o", folder)
        .expectError(64, "notes.docx", "--mode glyph")
    try ProgramRun.of("read", image, "--mode", "glyph", "--render-only", "-o", folder).expectError(
        64, "--mode page")
    try ProgramRun.of("read", fixture("broken/blank.pdf"), "--mode", "glyph", "--render-only", "-o", folder)
        .expectError(65, "blank.pdf", "--mode page")
    try ProgramRun.of("read", image, "--mode", "picture", "--render-only", "-o", folder).expectUsage(
        "picture")
    try ProgramRun.of("read", image, "--mode", "text", "--render-only", "-o", folder).expectUsage(
        "--mode text")
}

@Test(
    arguments: [
        ("password.pdf", "password"), ("ten-thousand-pages.pdf", "--pages"), ("header-only.pdf", "damaged"),
        ("page-of-a-mile.pdf", "lower dpi"),
        ("bomb.docx", "unfolds"), ("entity-of-a-file.docx", "document type"), ("workbook.docx", "Excel"),
        ("name-climbs.docx", "leads out"),
    ])
func aBrokenDocumentIsALineThatNamesIt(_ name: String, _ fragment: String) throws {
    let directory = try TemporaryDirectory()
    let run = try ProgramRun.of(
        "read", fixture("broken/\(name)"), "--render-only", "-o", directory.path("out"))
    run.expectError(65, name, fragment)
    #expect(!FileManager.default.fileExists(atPath: directory.path("out")))
}

@Test func aPageOfALongPDFIsDrawn() throws {
    let directory = try TemporaryDirectory()
    let run = try ProgramRun.of(
        "read", fixture("broken/ten-thousand-pages.pdf"), "--mode", "page", "--render-only", "-o",
        directory.path("out"),
        "--pages", "9999-")
    #expect(run.status == 0, "\(run)")
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path("out")).count == 2)
}

extension ProgramRun {
    /// Expects the end of a command line that cannot be.
    fileprivate func expectUsage(_ fragment: String) {
        #expect(status == 64 && errors.contains(fragment), "\(self)")
    }
}
