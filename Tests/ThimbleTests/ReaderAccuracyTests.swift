//! Measures how well the bundled model reads pages of our own making, at 4 bits and beside that at float16.
//!
//! What float16 answers is recorded in Fixtures/reader/float16-answers.json. With THIMBLE_READER_CHECKPOINT
//! naming the checkpoint's folder, float16 is run anew and held to the record (with THIMBLE_RECORD=1 as well,
//! the record is made), and an evaluation over more pages, one and three to a question, is printed.

import Foundation
import TestSupport
import Testing
import Thimble

private let environment = ProcessInfo.processInfo.environment
private let checkpoint = environment["THIMBLE_READER_CHECKPOINT"]

/// Questions about documents of some pages each: `seed` gives document and question.
private struct Evaluation {
    let seeds: Range<Int>
    let pagesPerQuestion: Int

    func document(_ seed: Int) -> (pages: [String], needle: Needle) {
        let made = NeedlePages(
            seed: UInt64(seed), pageCount: pagesPerQuestion, needleCount: 1 + seed % 8)
        return (made.pages, made.needles[seed % made.needles.count])
    }

    /// What the model answers to each question, its pages drawn with the settings given.
    func answers(_ engine: Engine, settings: PageSettings) throws -> [String] {
        let folder = try TemporaryDirectory()
        return try seeds.map { seed in
            let (pages, needle) = document(seed)
            var items: [Message.Item] = []
            for text in pages {
                let path = try folder.write(text.utf8, to: "page.txt")
                let document = try PagedDocument(path: path, settings: settings)
                try #require(document.pageCount == 1)
                items.append(.image(try document.page(0)))
            }
            let session = engine.makeSession()
            session.append(Message(.user, items + [.text(needle.question)]))
            var options = GenerationOptions()
            options.maximumTokens = 16
            return try session.generate(options, receive: { _ in }).text
        }
    }

    func exactCount(_ answers: [String]) -> Int {
        zip(seeds, answers).count {
            document($0).needle.answer == $1.trimmingCharacters(in: .whitespacesAndNewlines)
        }
    }
}

private func bundledEngine() throws -> Engine {
    try Engine(modelPath: Fixtures.packageRoot.appending(path: "Models/reader.thimble").path)
}

/// The checkpoint at float16.
private func float16Engine(_ checkpoint: String) throws -> Engine {
    let folder = try TemporaryDirectory()
    var options = ConversionOptions()
    options.weights = .f16
    _ = try convert(.folder(checkpoint), to: folder.path("f16.thimble"), options)
    return try Engine(modelPath: folder.path("f16.thimble"))
}

@Test func fourBitsReadAsWellAsFloat16() throws {
    let count = exampleCount(50)
    let evaluation = Evaluation(seeds: 0..<count, pagesPerQuestion: 1)
    let engine = try bundledEngine()
    let settings = try engine.pageSettings()
    let record = Fixtures.url("reader/float16-answers.json")
    func recorded() throws -> [String] {
        Array(try JSONDecoder().decode([String].self, from: Data(contentsOf: record)).prefix(count))
    }
    if let checkpoint {
        let anew = try evaluation.answers(try float16Engine(checkpoint), settings: settings)
        if environment["THIMBLE_RECORD"] != nil { try JSONEncoder().encode(anew).write(to: record) }
        #expect(anew == (try recorded()))
    }
    let float16 = try recorded()
    try #require(float16.count == count)
    let exact4 = evaluation.exactCount(try evaluation.answers(engine, settings: settings))
    let exact16 = evaluation.exactCount(float16)
    print("exact answers of \(count): \(exact4) at 4 bits, \(exact16) at float16")
    #expect(exact16 * 10 >= count * 9)
    #expect(abs(exact4 - exact16) * 100 <= 4 * count)
}

@Test(.enabled(if: checkpoint != nil, "THIMBLE_READER_CHECKPOINT names no checkpoint"))
func theWholeEvaluationIsPrinted() throws {
    let (bundled, float16) = (try bundledEngine(), try float16Engine(try #require(checkpoint)))
    let settings = try bundled.pageSettings()
    for (pages, questions) in [(1, 100), (3, 50)] {
        let evaluation = Evaluation(seeds: 1000..<1000 + questions, pagesPerQuestion: pages)
        let exact4 = evaluation.exactCount(try evaluation.answers(bundled, settings: settings))
        let exact16 = evaluation.exactCount(try evaluation.answers(float16, settings: settings))
        print("\(pages) page(s), \(questions) questions: \(exact4) exact at 4 bits, \(exact16) at float16")
        #expect(exact4 * 10 >= questions * 9)
    }
}
