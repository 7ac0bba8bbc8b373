//! Measures how well the bundled model reads: 50 pages of our own making at 4 bits, beside the same at
//! float16.
//!
//! What float16 answers is recorded in Fixtures/reader/float16-answers.json. With THIMBLE_READER_CHECKPOINT
//! naming the checkpoint's folder, float16 is run anew and held to the record; with THIMBLE_RECORD=1 as well,
//! the record is made.

import Foundation
import TestSupport
import Testing
import Thimble

private let pageCount = 50

/// One page, one question: `seed` gives both.
private func page(_ seed: Int) -> (text: String, needle: Needle) {
    let pages = NeedlePages(seed: UInt64(seed), needleCount: 1 + seed % 8)
    return (pages.pages[0], pages.needles[seed % pages.needles.count])
}

/// What the model answers about each page, drawn with the settings in its file.
private func answers(_ engine: Engine, settings: PageSettings) throws -> [String] {
    let folder = try TemporaryDirectory()
    return try (0..<pageCount).map { seed in
        let (text, needle) = page(seed)
        let document = try PagedDocument(
            path: try folder.write(text.utf8, to: "page.txt"), settings: settings)
        try #require(document.pageCount == 1)
        let session = engine.makeSession()
        session.append(Message(.user, [.image(try document.page(0)), .text(needle.question)]))
        var options = GenerationOptions()
        options.maximumTokens = 16
        return try session.generate(options, receive: { _ in }).text
    }
}

private func exact(_ answers: [String]) -> Int {
    answers.enumerated().count {
        page($0).needle.answer == $1.trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

@Test func fourBitsReadAsWellAsFloat16() throws {
    let engine = try Engine(modelPath: Fixtures.packageRoot.appending(path: "Models/reader.thimble").path)
    let settings = try engine.pageSettings()
    let record = Fixtures.url("reader/float16-answers.json")
    let environment = ProcessInfo.processInfo.environment
    if let checkpoint = environment["THIMBLE_READER_CHECKPOINT"] {
        let folder = try TemporaryDirectory()
        var options = ConversionOptions()
        options.weights = .f16
        _ = try convert(.folder(checkpoint), to: folder.path("f16.thimble"), options)
        let anew = try answers(try Engine(modelPath: folder.path("f16.thimble")), settings: settings)
        if environment["THIMBLE_RECORD"] != nil { try JSONEncoder().encode(anew).write(to: record) }
        #expect(anew == (try JSONDecoder().decode([String].self, from: Data(contentsOf: record))))
    }
    let float16 = try JSONDecoder().decode([String].self, from: Data(contentsOf: record))
    try #require(float16.count == pageCount)
    let fourBit = try answers(engine, settings: settings)
    print("exact answers of \(pageCount): \(exact(fourBit)) at 4 bits, \(exact(float16)) at float16")
    #expect(exact(float16) >= pageCount * 9 / 10)
    #expect(abs(exact(fourBit) - exact(float16)) * 100 <= 4 * pageCount)
}
