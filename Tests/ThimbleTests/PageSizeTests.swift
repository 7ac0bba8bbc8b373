//! Holds models whose pages of keys and values have other sizes to what they say in pages of 16 tokens.

import Memory
import Models
import SessionFiles
import TestSupport
import Testing

@testable import Thimble

/// What a session answers about a picture and then about another.
private func talk(_ engine: Engine) throws -> [String] {
    let session = engine.makeSession()
    session.append(Message(.user, [.image(picture(1)), .text("What is it?")]))
    let first = try answer(session, 40).text
    session.append(Message(.user, [.image(picture(2, width: 84)), .text("And this?")]))
    return [first, try answer(session, 40).text]
}

@Test func pagesOfEverySizeAnswerAlike() throws {
    let reader = try RandomReader(contextLength: 512)
    for type in [KVType.f16, .int5] {
        let expected = try talk(reader.load { $0.kvType = type })
        for pageTokens in Budget.KV.pageTokenChoices {
            let engine = try reader.load { ($0.pageTokens, $0.kvType) = (pageTokens, type) }
            #expect(engine.pool.pageTokens == pageTokens)
            #expect(try talk(engine) == expected, "\(type), \(pageTokens) tokens")
        }
    }
}

@Test func aBudgetSaysTheSizeOfPages() throws {
    #expect(Budget.KV.pageTokenChoices == [8, 16, 32, 64, 128, 256])
    var budget = Budget()
    #expect(try EngineOptions(budget).pageTokens == 16)
    budget.kv.pageTokens = 64
    #expect(try EngineOptions(budget).pageTokens == 64)
    let reader = try RandomReader(contextLength: 512)
    for pageTokens in [0, 4, 24, 512] {
        let error = #expect(throws: ThimbleError.self) { try reader.load { $0.pageTokens = pageTokens } }
        #expect(error?.code == .invalidArgument && error?.message.contains("8, 16, 32") == true)
    }
    let options = try EngineOptions(budget)
    let plans = try [options, EngineOptions()].map { options in
        var options = options
        options.contextLength = 500
        options.device = .cpu
        return try Engine.outlook(of: .file(reader.path), options: options)
    }
    #expect(plans.map(\.pageCount) == [8, 32])
}

/// Pages in a file have the size that they were computed in.
@Test func aSessionOfOtherPagesIsRefused() throws {
    let reader = try RandomReader(contextLength: 512)
    let folder = try TemporaryDirectory()
    let session = reader.engine.makeSession()
    session.append(Message(.user, "What is it?"))
    _ = try answer(session, 20)
    try session.save(to: folder.path("s"))
    let other = try reader.load { $0.pageTokens = 32 }
    let error = #expect(throws: ThimbleError.self) { try other.restoreSession(from: folder.path("s")) }
    #expect(error?.code == .unsupported && error?.message.contains("kv.page-tokens") == true)
    #expect(other.pool.freePageCount == other.pool.pageCount)
}

/// Forms of keys and values that are no more, and those that never were.
@Test func aSessionOfAnotherFormIsRefused() throws {
    let reader = try RandomReader(contextLength: 512)
    let folder = try TemporaryDirectory()
    for (form, code, word) in [(2, .unsupported, "int4"), (4, .corrupt, "form 4")]
        as [(UInt32, ThimbleError.Code, String)]
    {
        let pool = reader.engine.pool
        let head = SessionHead(
            form: form, model: reader.engine.savedIdentity, savedAt: 0, pageTokens: pool.pageTokens,
            positionCount: 0, pageByteCount: pool.pageByteCount)
        var writer = try SessionFileWriter(
            SessionClaim(path: folder.path("s")), head, SavedConversation(modelName: "m", messages: []))
        try writer.appendInputs([])
        _ = try writer.commit()
        let error = #expect(throws: ThimbleError.self) {
            try reader.engine.restoreSession(from: folder.path("s"))
        }
        #expect(error?.code == code && error?.message.contains(word) == true)
    }
}
