//! Holds a conversation over its turns: what is reused changes nothing, and what failed leaves nothing
//! behind.

import Foundation
import TestSupport
import Testing

@testable import Thimble

@Test(arguments: [false, true])
func aSecondTurnEqualsAFreshSession(hasImages: Bool) throws {
    let reader = try RandomReader()
    let session = reader.engine.makeSession()
    session.append(
        Message(.user, (hasImages ? [.image(picture(1)), .image(picture(2))] : []) + [.text("What is it?")]))
    let first = try answer(session)
    #expect(first.cachedTokens == 0 && (first.imageTokens > 0) == hasImages && first.generatedTokens == 8)
    session.append(
        Message(.user, (hasImages ? [.image(picture(3, width: 56, height: 140))] : []) + [.text("And now?")]))
    let messages = session.messages
    #expect(messages.count == 3)
    let second = try answer(session)
    // At least the first prompt is reused.
    #expect(second.cachedTokens >= first.promptTokens - 1)
    let fresh = try freshAnswer(reader, messages)
    #expect(second.text == fresh.text && second.promptTokens == fresh.promptTokens)
    #expect(second.imageTokens == fresh.imageTokens && !second.text.isEmpty)
}

@Test func aMessageTakenBackLeavesNothingOfItsImage() throws {
    let reader = try RandomReader()
    let session = reader.engine.makeSession()
    session.append(Message(.user, [.image(picture(1)), .text("Look")]))
    try answer(session)
    session.removeLastMessage()
    session.removeLastMessage()
    session.append(Message(.user, [.image(picture(9)), .text("Look")]))
    let result = try answer(session)
    // The start of the prompt is reused, the other image is not.
    #expect(result.cachedTokens < result.promptTokens - result.imageTokens)
    #expect(result.text == (try freshAnswer(reader, [session.messages[0]])).text)
}

@Test func aRawPromptSeesItsOwnImages() throws {
    let reader = try RandomReader()
    let session = reader.engine.makeSession()
    func complete(_ session: Session, _ image: RGBImage) throws -> String {
        try session.complete(raw: "See <|image|>: it is", images: [image], options(8)) { _ in }.text
    }
    let first = try complete(session, picture(1))
    let second = try complete(session, picture(5))
    #expect(second == (try complete(reader.load().makeSession(), picture(5))) && second != first)
    #expect(session.messages.isEmpty)
}

@Test func anEmptyRawPromptAndMissingImagesAreErrors() throws {
    let session = try RandomReader().engine.makeSession()
    for (text, images) in [("", []), ("<|image|>", []), ("text", [picture(1)])] as [(String, [RGBImage])] {
        let error = #expect(throws: ThimbleError.self) {
            try session.complete(raw: text, images: images, options(4)) { _ in }
        }
        #expect(error?.code == .invalidArgument)
    }
}

@Test func aCancelledAnswerIsKeptAndTheConversationGoesOn() throws {
    let reader = try RandomReader()
    let session = reader.engine.makeSession()
    session.append(Message(.user, [.image(picture(1)), .text("Tell")]))
    // Asked once for the image, then twice for each token.
    var asked = 0
    let cancelled = try session.generate(
        options(50),
        shouldStop: {
            asked += 1; return asked > 9
        }
    ) { _ in }
    #expect(cancelled.finishReason == .cancelled && (1..<10).contains(cancelled.generatedTokens))
    #expect(session.messages.count == 2)
    session.append(Message(.user, "Go on"))
    let messages = session.messages
    let result = try answer(session)
    #expect(result.cachedTokens > 0)
    #expect(result.text == (try freshAnswer(reader, messages)).text)
}

@Test func anAnswerCancelledAtTheImageComputesNothing() throws {
    let session = try RandomReader().engine.makeSession()
    session.append(Message(.user, [.image(picture(1)), .text("Tell")]))
    let result = try session.generate(options(5), shouldStop: { true }) { _ in
        Issue.record("text after a cancel")
    }
    #expect(result.finishReason == .cancelled && result.generatedTokens == 0 && result.text.isEmpty)
    #expect(result.prefillTokensPerSecond == nil && result.promptTokens > 12)
}

@Test func promptAndAnswerTogetherFillTheContext() throws {
    let session = try RandomReader(contextLength: 64).engine.makeSession()
    session.append(Message(.user, "Count to a million"))
    let result = try answer(session, nil)
    #expect(result.finishReason == .length && result.promptTokens + result.generatedTokens == 64)
}

@Test func aPromptThatFillsTheContextIsRefusedWithBothCounts() throws {
    let reader = try RandomReader(contextLength: 64)
    let session = reader.engine.makeSession()
    session.append(Message(.user, "Hi"))
    let before = try answer(session)
    session.append(Message(.user, String(repeating: "x ", count: 80)))
    let error = #expect(throws: ThimbleError.self) { try answer(session) }
    #expect(error?.code == .contextFull && error?.message.contains("holds 64;") == true)
    session.removeLastMessage()
    session.append(Message(.user, "Yes"))
    let messages = session.messages
    let result = try answer(session, 4)
    #expect(result.cachedTokens >= before.promptTokens - 1)
    #expect(result.text == (try freshAnswer(reader, messages, 4)).text)
}

@Test func anEndOfSequenceEndsTheAnswerUnseen() throws {
    let everyToken = Array(0..<64)
    let size = try RandomReader().engine.file.configuration.text.vocabularySize
    // 64 ids can end an answer; the likeliest token of all is one of them in one of these models.
    var stopped = 0
    for start in stride(from: 0, to: size, by: 64) {
        let engine = try RandomReader(endsWith: everyToken.map { min(start + $0, size - 1) }).engine
        let session = engine.makeSession()
        session.append(Message(.user, "Stop soon"))
        let result = try answer(session, 1)
        if result.finishReason == .stop {
            stopped += 1
            #expect(result.text.isEmpty && result.generatedTokens == 1)
        } else {
            #expect(result.finishReason == .length)
        }
    }
    #expect(stopped == 1)
}

@Test func aContextBeyondTheModelIsRefusedBeforeItIsRead() throws {
    for length in [0, -1, 4096] {
        var options = EngineOptions()
        options.contextLength = length
        let folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        _ = try convert(
            .random(configuration: Fixtures.url("reference/text-head64/config.json").path, seed: 1), to: path)
        var progress = 0
        let error = #expect(throws: ThimbleError.self) {
            try Engine(modelPath: path, options: options) { _ in progress += 1 }
        }
        #expect(error?.code == .invalidArgument && progress == 0)
    }
}

@Test func aBenchmarkLongerThanAnyContextIsAnError() throws {
    let engine = try RandomReader().engine
    for (prompt, generated) in [(Int.max, Int.max), (513, 0), (1, 512)] {
        var options = BenchmarkOptions()
        (options.promptTokens, options.generatedTokens) = (prompt, generated)
        let error = #expect(throws: ThimbleError.self) { try engine.benchmark(options) }
        #expect(error?.code == .contextFull)
    }
}
