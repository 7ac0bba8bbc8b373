//! Holds what the conversations of one engine share: pages once, and answers as if each had its own.

import Models
import TestSupport
import Testing

@testable import Thimble

/// A text of more than 600 tokens of the random reader's.
private let document = (0..<60).map { "Line \($0) says \($0 * 7919 % 1000)." }.joined(separator: "\n")

private func asked(_ engine: Engine, _ question: Int) -> Session {
    let session = engine.makeSession()
    session.append(Message(.user, document + "\nWhat is on line \(question)?"))
    return session
}

@Test func manySessionsOfOneDocumentHoldItOnce() throws {
    let engine = try RandomReader(contextLength: 2048).engine
    var sessions: [Session] = []
    var (document, used) = (0, 0)
    for question in 0..<32 {
        let session = asked(engine, question)
        let result = try answer(session, 2)
        if question == 0 {
            document = result.promptTokens
            #expect(result.cachedTokens == 0 && document > 600)
        } else {
            #expect(result.cachedTokens > document - 48)
        }
        sessions.append(session)
        if question == 0 { used = engine.pool.pageCount - engine.pool.freePageCount }
    }
    let all = engine.pool.pageCount - engine.pool.freePageCount
    // Each further session has the pages of its own question and answer.
    #expect(used >= document / 16 && all - used <= 31 * 3)
}

@Test(arguments: [false, true])
func answersFromSharedPagesAreThoseOfAnEngineOfItsOwn(hasImage: Bool) throws {
    let reader = try RandomReader(contextLength: 2048)
    var sessions: [Session] = []
    for question in 0..<4 {
        let session = asked(reader.engine, question)
        if hasImage { session.append(Message(.user, [.image(picture(question % 2)), .text("And this?")])) }
        sessions.append(session)
    }
    // In turns, so that what one has computed is in use by another one when it goes on.
    for turn in 0..<2 {
        for (index, session) in sessions.enumerated() {
            let messages = session.messages
            let result = try answer(session, 12)
            #expect(index == 0 || result.cachedTokens > 600)
            let fresh = try freshAnswer(reader, messages, 12)
            #expect(result.text == fresh.text, "turn \(turn), session \(index)")
            session.append(Message(.user, "Go on"))
        }
    }
}

@Test func whatASessionHasComputedServesTheNextOne() throws {
    let reader = try RandomReader()
    let prompt = Message(.user, "A question that is long enough to fill some pages of keys and values")
    func ask() throws -> GenerationResult {
        let session = reader.engine.makeSession()
        session.append(prompt)
        return try answer(session)
    }
    let (first, second) = (try ask(), try ask())
    #expect(first.cachedTokens == 0 && second.cachedTokens >= first.promptTokens - 17)
    #expect(first.text == second.text)
    #expect(reader.engine.pool.freePageCount == reader.engine.pool.pageCount)
}
