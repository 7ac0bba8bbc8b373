//! `thimble read`: pages drawn, counted, and asked about.

import Foundation
import TestSupport
import Testing

private let prose = String(repeating: "The boat went out at dawn and came home at dusk. ", count: 300)

@Test func renderOnlyWritesPagesInOrder() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.write(prose.utf8, to: "a.txt")
    let run = try ProgramRun.of("read", text, "--render-only", "-o", directory.path("pages"))
    #expect(run.status == 0 && run.output.isEmpty, "\(run)")
    let names = try FileManager.default.contentsOfDirectory(atPath: directory.path("pages")).sorted()
    #expect(names.count > 1)
    #expect(names == (1...names.count).map { "page_00\($0).png" })
    for name in names {
        let png = try Data(contentsOf: URL(filePath: directory.path("pages/\(name)")))
        #expect(png.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    }
}

@Test func aSelectionOfPagesIsDrawnAsAsked() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.write(prose.utf8, to: "a.txt")
    #expect(try ProgramRun.of("read", text, "--render-only", "-o", directory.path("all")).status == 0)
    let run = try ProgramRun.of("read", text, "--render-only", "-o", directory.path("one"), "--pages", "2")
    #expect(run.status == 0, "\(run)")
    let second = try Data(contentsOf: URL(filePath: directory.path("all/page_002.png")))
    #expect(try Data(contentsOf: URL(filePath: directory.path("one/page_001.png"))) == second)
    try ProgramRun.of("read", text, "--render-only", "-o", directory.path("none"), "--pages", "2-99")
        .expectError(64, "99")
    #expect(!FileManager.default.fileExists(atPath: directory.path("none")))
}

@Test func pageSettingsChangeThePages() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.write(prose.utf8, to: "a.txt")
    let settings = try directory.write(#"{"page-size": "300,200", "dpi": 72}"#.utf8, to: "small.json")
    let run = try ProgramRun.of(
        "read", text, "--render-only", "-o", directory.path("small"), "--page-settings", settings)
    #expect(run.status == 0, "\(run)")
    #expect(try ProgramRun.of("read", text, "--render-only", "-o", directory.path("large")).status == 0)
    func count(_ folder: String) throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: directory.path(folder)).count
    }
    #expect(try count("small") > count("large"))
}

@Test func pagesOfAnEarlierRunStayWhereALaterDocumentFails() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.write(prose.utf8, to: "a.txt")
    let bad = try directory.write([0xFF, 0xC0, 0x41], to: "bad.txt")
    #expect(try ProgramRun.of("read", text, "--render-only", "-o", directory.path("pages")).status == 0)
    let first = URL(filePath: directory.path("pages/page_001.png"))
    let (before, names) = (
        try Data(contentsOf: first),
        try FileManager.default.contentsOfDirectory(atPath: directory.path("pages"))
    )
    let run = try ProgramRun.of("read", text, bad, "--render-only", "-o", directory.path("pages"))
    run.expectError(65, "bad.txt")
    #expect(try Data(contentsOf: first) == before)
    #expect(
        try FileManager.default.contentsOfDirectory(atPath: directory.path("pages")).sorted()
            == names.sorted())
}

@Test func aFileInPlaceOfTheFolderIsRefused() throws {
    let directory = try TemporaryDirectory()
    let text = try directory.write(prose.utf8, to: "a.txt")
    try ProgramRun.of("read", text, "--render-only", "-o", text).expectError(73, "a.txt")
}

@Test func onlyTheAnswerGoesToStandardOutput() throws {
    let model = try TinyModel()
    let text = try model.directory.write("The code of copper-kettle is 48213.".utf8, to: "a.txt")
    let run = try ProgramRun.of("read", text, "-q", "What is the code?", "--model", model.path, "-n", "8")
    #expect(run.status == 0, "\(run)")
    let same = try ProgramRun.of(
        "read", text, "-q", "What is the code?", "--model", model.path, "-n", "8", "--json", "--no-stats")
    #expect(same.errors.isEmpty, "\(same)")
    let answer = try #require(try same.json()["text"] as? String)
    #expect(run.output == (answer.hasSuffix("\n") ? answer : answer + "\n"), "greedy answers repeat")
    for figure in ["pages", "image token", "text token", "first token", "tokens/s", "peak memory"] {
        #expect(run.errors.contains(figure), "\(run)")
    }
    #expect(!run.output.contains("\u{1B}") && !run.errors.contains("\u{1B}") && !run.errors.contains("\r"))
}

@Test func theJSONOfAnAnswerHasItsFigures() throws {
    let model = try TinyModel()
    let text = try model.directory.write("The code of copper-kettle is 48213.".utf8, to: "a.txt")
    let json = try ProgramRun.of("read", text, "-q", "Code?", "--model", model.path, "-n", "4", "--json")
        .json()
    #expect(json["finish_reason"] as? String == "length")
    let usage = try #require(json["usage"] as? [String: Int])
    #expect(usage["completion_tokens"] == 4)
    #expect(try #require(usage["image_tokens"]) > 0)
    #expect(try #require(usage["prompt_tokens"]) > #require(usage["image_tokens"]))
    #expect((json["pages"] as? [String: Int])?["count"] == 1)
    #expect((json["pages"] as? [String: Int])?["text_tokens"] ?? 0 > 0)
    let timings = try #require(json["timings"] as? [String: Double])
    for key in ["load_seconds", "vision_seconds", "first_token_seconds", "decode_seconds"] {
        #expect(timings[key] != nil, "\(key)")
    }
}

@Test func standardInputIsADocumentToo() throws {
    let model = try TinyModel()
    let run = try ProgramRun.of(
        "read", "-", "-q", "Code?", "--model", model.path, "-n", "2", input: "The code is 12345.")
    #expect(run.status == 0, "\(run)")
    #expect(!run.output.isEmpty)
}

@Test func tokensAreCountedWithoutAnAnswer() throws {
    let model = try TinyModel()
    let text = try model.directory.write(prose.utf8, to: "a.txt")
    let json = try ProgramRun.of("read", text, "--show-tokens", "--model", model.path, "--json").json()
    let (images, words) = (json["image_tokens"] as? Int, json["text_tokens"] as? Int)
    #expect(try #require(images) > 0 && #require(words) > #require(images), "\(json)")
}

@Test func moreImageTokensThanTheContextHoldsAreRefusedWithBothCounts() throws {
    let model = try TinyModel()
    let text = try model.directory.write(prose.utf8, to: "a.txt")
    let run = try ProgramRun.of("read", text, "-q", "Who?", "--model", model.path, "--context", "200")
    run.expectError(1, "200", "image tokens", "--pages")
}
