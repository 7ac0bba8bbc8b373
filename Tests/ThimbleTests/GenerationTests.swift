//! Holds answers that come a token at a time against those that are run to their end, alone and in turns.

import Foundation
import Models
import TestSupport
import Testing

@testable import Thimble

/// What an answer brought, piece by piece.
private func pieces(of generation: Generation) throws -> [Generation.Piece] {
    var pieces: [Generation.Piece] = []
    while let piece = try generation.next() { pieces.append(piece) }
    return pieces
}

/// Runs answers a token of each in turn, until all have ended; their texts.
private func inTurns(_ generations: [Generation]) throws -> [String] {
    while generations.contains(where: { $0.finishReason == nil }) {
        for generation in generations { _ = try generation.next() }
    }
    return generations.map { $0.finish().text }
}

@Test func anAnswerByPiecesIsTheAnswer() throws {
    let reader = try RandomReader()
    for count in [nil, 0, 1, 2, 17] as [Int?] {
        // An answer to the end of the context leaves no room beside it.
        let whole = try reader.load().makeSession()
        whole.append(Message(.user, "Count"))
        let expected = try answer(whole, count)
        let session = reader.engine.makeSession()
        session.append(Message(.user, "Count"))
        let generation = try session.begin(options(count))
        #expect(session.messages.count == 1 && session.sequence.length == 0)
        let pieces = try pieces(of: generation)
        #expect(pieces.map(\.text).joined() == expected.text)
        #expect(pieces.count { $0.token != nil } == expected.generatedTokens)
        #expect(try generation.next() == nil && generation.finishReason == expected.finishReason)
        let result = generation.finish()
        #expect(result.text == expected.text && result.generatedTokens == expected.generatedTokens)
        #expect(session.messages.count == 2 && session.messages[1].text == expected.text)
        #expect(session.inputs.tokens == whole.inputs.tokens)
    }
}

@Test func anAnswerThatIsLetGoLeavesTheConversation() throws {
    let reader = try RandomReader()
    let session = reader.engine.makeSession()
    session.append(Message(.user, "Count"))
    let expected = try answer(session)
    session.rewind(to: 1)
    do {
        let generation = try session.begin(options(20))
        for _ in 0..<5 { _ = try generation.next() }
    }
    #expect(session.messages.count == 1)
    #expect(try answer(session).text == expected.text)
}

@Test func answersInTurnsAreThoseOfEachAlone() throws {
    let reader = try RandomReader()
    let questions = (0..<4).map { "Number \($0)" }
    let expected = try questions.map { try freshAnswer(reader, [Message(.user, $0)], 12).text }
    let generations = try questions.map { question in
        let session = reader.engine.makeSession()
        session.append(Message(.user, question))
        return try session.begin(options(12))
    }
    #expect(try inTurns(generations) == expected)
}

@Test func piecesJoinTheLastMessageOfTheirRole() throws {
    let session = try RandomReader().engine.makeSession()
    session.append(.text("One "), as: .user)
    session.append(.text("two"), as: .user)
    session.append(.image(picture(1)), as: .user)
    session.append(.text("Three"), as: .assistant)
    #expect(session.messages.map(\.text) == ["One two", "Three"])
    #expect(session.messages.map(\.imageCount) == [1, 0])
}

extension VulkanModelTests {
    /// Begins the transcription of a page, which rounding changes nothing of.
    private static func transcription(
        _ seed: Int, _ sampling: SamplingOptions, by engine: Engine
    ) throws -> Generation {
        var settings = try engine.pageSettings()
        settings.pageSize = (588, 84)
        let folder = try TemporaryDirectory()
        let text = NeedlePages(seed: UInt64(seed), charactersPerPage: 320).pages[0]
        let page = try PagedDocument(path: folder.write(text.utf8, to: "a.txt"), settings: settings)
        let session = engine.makeSession()
        session.append(Message(.user, [.image(try page.page(0)), .text("Transcribe the page.")]))
        var options = GenerationOptions()
        options.maximumTokens = 24
        options.sampling = sampling
        return try session.begin(options)
    }

    private static func engine() throws -> Engine {
        let path = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path
        let engine = try device.engine(path, contextLength: 512)
        #expect(engine.stepDecoder != nil)
        return engine
    }

    /// Where the device draws tokens ahead and knows one answer at a time, each goes on as if it were alone.
    @Test static func answersInTurnsOnADeviceAreThoseOfEachAlone() throws {
        let engine = try engine()
        var drawn = SamplingOptions()
        (drawn.temperature, drawn.topK, drawn.seed) = (0.6, 8, 5)
        var penalised = SamplingOptions()
        (penalised.repetitionPenalty, penalised.frequencyPenalty) = (1.05, 0.05)
        let ways = [(0, SamplingOptions()), (1, drawn), (3, penalised)]
        let alone = try ways.map { try inTurns([transcription($0, $1, by: engine)])[0] }
        #expect(alone.allSatisfy { $0.count > 40 } && Set(alone).count == 3)
        #expect(try inTurns(ways.map { try transcription($0, $1, by: engine) }) == alone)
    }

    /// Nine tokens are in the midst of a run.
    @Test static func aCancelIsHeardBeforeTokensThatWereDrawnAhead() throws {
        let generation = try transcription(0, SamplingOptions(), by: engine())
        var count = 0
        while let piece = try generation.next(shouldStop: { count == 9 }) {
            if piece.token != nil { count += 1 }
        }
        #expect(generation.finishReason == .cancelled && generation.finish().generatedTokens == 9)
    }
}
