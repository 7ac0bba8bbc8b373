//! Sessions on many threads, calls that meet, cancels from anywhere.

import CThimble
import Foundation
import Synchronization
import TestSupport
import Testing
import Threads

/// Prompts are shorter than a page of keys and values: what is shared of longer ones depends on who comes
/// first, and roundings on what is shared.
@Test func eightThreadsAnswerAsOne() throws {
    let model = try OpenModel(context: 1024)
    let questions = (0..<8).map { "Number \($0)?" }
    @Sendable func ask(_ index: Int) -> Ask { Ask(tokens: 12, seed: index % 2 == 0 ? nil : UInt64(index)) }
    // With an engine of its own for each: nothing is shared.
    let expected = try questions.indices.map { index in
        let own = try OpenModel(context: 1024)
        return try answer(own.session(questions[index]), ask(index)).text
    }
    let answers = Monitor<[Int: [String]]>([:])
    var threads = JoinedThreads()
    for index in 0..<8 {
        let loaded = model.model
        let isStarted = threads.start {
            var texts: [String] = []
            for round in 0..<4 {
                do {
                    var session: OpaquePointer?
                    try unsafe check { unsafe thimble_session_create(loaded.pointer, &session, $0) }
                    let opened = unsafe Handle(session)
                    try say(questions[index], in: opened)
                    let isPulled = round % 2 == index % 2
                    texts.append(
                        isPulled ? try pull(opened, ask(index)).text : try answer(opened, ask(index)).text)
                    try unsafe check { unsafe thimble_session_close(opened.pointer, $0) }
                } catch { texts.append("\(error)") }
            }
            let made = texts
            answers.withLock { $0[index] = made }
        }
        #expect(isStarted)
    }
    threads.join()
    let all = answers.withLock { $0 }
    for index in 0..<8 { #expect(all[index] == Array(repeating: expected[index], count: 4)) }
}

/// Two sessions of one thread, a token of each in turn: their answers are as if each were alone.
@Test func answersTakeTurnsTokenByToken() throws {
    let model = try OpenModel(context: 128)
    let texts = try ["One?", "Two?"].map { try answer(model.session($0), Ask(tokens: 10)).text }
    let sessions = try ["One?", "Two?"].map { try model.session($0) }
    var pulled = ["", ""]
    for session in sessions { try begin(session, Ask(tokens: 10)) }
    var isOpen = [true, true]
    while isOpen.contains(true) {
        for (index, session) in sessions.enumerated() where isOpen[index] {
            let piece = try next(session)
            pulled[index] += piece.text
            if piece.finish != THIMBLE_FINISH_NONE { isOpen[index] = false }
        }
    }
    #expect(pulled == texts)
}

@Test func aCancelIsHeardWithinAToken() throws {
    let model = try OpenModel(context: 512)
    for after in [1, 2, 5] {
        let session = try model.session("Go on and on.")
        let asked = Atomic<Bool>(false)
        // The callback asks another thread, and waits until it has.
        let listener = Listener { listener in
            guard listener.calls == after else { return true }
            var thread = JoinedThreads()
            _ = thread.start { _ = unsafe thimble_session_cancel(session.pointer) }
            thread.join()
            asked.store(true, ordering: .relaxed)
            return true
        }
        var result = sized(thimble_result.self)
        let error = Ask(tokens: 200).withOptions { options in
            unsafe failure {
                unsafe thimble_session_generate(
                    session.pointer, options, Listener.receive, listener.context, &result, $0)
            }
        }
        #expect(error?.status == THIMBLE_E_CANCELLED && asked.load(ordering: .relaxed))
        // Not one token more is heard of.
        #expect(listener.calls == after && result.finish == THIMBLE_FINISH_CANCELLED)
        #expect(try message(1, of: session) == listener.text)
        // It is over with: the next answer is whole.
        try say("And?", in: session)
        #expect(try answer(session, Ask(tokens: 4)).result.generated_tokens > 0)
    }
}

@Test func aCancelEndsAPromptBeforeItsFirstToken() throws {
    let model = try OpenModel(context: 2048)
    let session = try model.session()
    try show(voyagePath, in: session)
    try say("What is the code of copper-kettle?", in: session)
    try begin(session, Ask(tokens: 4))
    #expect(unsafe thimble_session_cancel(session.pointer) == THIMBLE_OK)
    let piece = try next(session)
    #expect(piece.finish == THIMBLE_FINISH_CANCELLED && piece.token == -1 && piece.text.isEmpty)
    let result = try finish(session)
    #expect(result.generated_tokens == 0 && result.images_encoded == 0)
    // What was asked before an answer was begun is none of it.
    try unsafe check { unsafe thimble_session_rewind(session.pointer, 1, $0) }
    #expect(unsafe thimble_session_cancel(session.pointer) == THIMBLE_OK)
    #expect(try answer(session, Ask(tokens: 16)).text == "48213")
}

@Test func aCallbackStopsItsAnswer() throws {
    let model = try OpenModel()
    let session = try model.session("Go on.")
    let listener = Listener { $0.calls < 3 }
    var result = sized(thimble_result.self)
    let error = Ask(tokens: 50).withOptions { options in
        unsafe failure {
            unsafe thimble_session_generate(
                session.pointer, options, Listener.receive, listener.context, &result, $0)
        }
    }
    #expect(error?.status == THIMBLE_E_STOPPED && listener.calls == 3)
    #expect(result.finish == THIMBLE_FINISH_CANCELLED && result.generated_tokens >= 3)
    #expect(try message(1, of: session) == listener.text)
}

/// Every function that takes a session, from the callback of a call of its own.
@Test func aSessionIsNotEnteredTwice() throws {
    let model = try OpenModel()
    let session = try model.session("Hello.")
    let other = try model.session("Other.")
    var (info, count): (thimble_session_info, Int) = (sized(), 0)
    var fork: OpaquePointer?
    let refusals = Monitor<[thimble_status]>([])
    let listener = Listener { _ in
        let statuses = unsafe [
            thimble_session_append_text(session.pointer, THIMBLE_ROLE_USER, "a", 1, nil),
            thimble_session_generate(session.pointer, nil, nil, nil, nil, nil),
            thimble_session_begin(session.pointer, nil, nil),
            thimble_session_finish(session.pointer, nil, nil),
            thimble_session_rewind(session.pointer, 0, nil),
            thimble_session_fork(session.pointer, &fork, nil),
            thimble_session_save(session.pointer, "a", nil),
            thimble_session_describe(session.pointer, &info, nil),
            thimble_session_message(session.pointer, 0, nil, nil, &count, nil),
            thimble_session_close(session.pointer, nil),
            thimble_model_close(model.model.pointer, nil),
            thimble_runtime_close(model.runtime.pointer, nil),
        ]
        let error = unsafe failure { unsafe thimble_session_describe(session.pointer, &info, $0) }
        #expect(error?.detail == THIMBLE_DETAIL_REENTERED)
        refusals.withLock { $0 += statuses }
        // Another session of the model is no business of this call.
        #expect(throws: Never.self) { try answer(other, Ask(tokens: 2)) }
        return false
    }
    Ask().withOptions { options in
        _ = unsafe thimble_session_generate(
            session.pointer, options, Listener.receive, listener.context, nil, nil)
    }
    let statuses = refusals.withLock { $0 }
    #expect(statuses.count == 12 && statuses.allSatisfy { $0 == THIMBLE_E_BUSY })
    #expect(try describe(session).message_count == 2)
}

@Test func aSessionServesOneThreadAtATime() throws {
    let model = try OpenModel()
    let session = try model.session("Hello.")
    let listener = Listener { listener in
        guard listener.calls == 1 else { return true }
        var thread = JoinedThreads()
        _ = thread.start {
            var info = sized(thimble_session_info.self)
            unsafe expectFailure(THIMBLE_E_BUSY, THIMBLE_DETAIL_IN_USE) {
                unsafe thimble_session_describe(session.pointer, &info, $0)
            }
            unsafe expectFailure(THIMBLE_E_BUSY, THIMBLE_DETAIL_IN_USE) {
                unsafe thimble_session_close(session.pointer, $0)
            }
        }
        thread.join()
        return true
    }
    try Ask().withOptions { options in
        try unsafe check {
            unsafe thimble_session_generate(
                session.pointer, options, Listener.receive, listener.context, nil, $0)
        }
    }
    #expect(listener.calls > 0)
}

@Test func whileAnAnswerIsPulledTheSessionTakesNothingElse() throws {
    let model = try OpenModel()
    let session = try model.session("Hello.")
    var (count, fork): (Int, OpaquePointer?) = (0, nil)
    try begin(session)
    _ = try next(session)
    typealias Call = (UnsafeMutablePointer<thimble_error>?) -> thimble_status
    let calls: [Call] = unsafe [
        { unsafe thimble_session_append_text(session.pointer, THIMBLE_ROLE_USER, "a", 1, $0) },
        { unsafe thimble_session_generate(session.pointer, nil, nil, nil, nil, $0) },
        { unsafe thimble_session_begin(session.pointer, nil, $0) },
        { unsafe thimble_session_rewind(session.pointer, 0, $0) },
        { unsafe thimble_session_fork(session.pointer, &fork, $0) },
        { unsafe thimble_session_save(session.pointer, "a", $0) },
        { unsafe thimble_session_message(session.pointer, 0, nil, nil, &count, $0) },
    ]
    for unsafe(index, call) in unsafe calls.enumerated() {
        unsafe expectFailure(THIMBLE_E_BUSY, THIMBLE_DETAIL_ANSWERING, "number \(index)", call)
    }
    #expect(try describe(session).is_answering == 1)
    // Closing ends the answer, too.
    try unsafe check { unsafe thimble_session_close(session.pointer, $0) }
}

/// Threads that close what others use: whoever comes late hears so, and nobody crashes.
@Test func closingMeetsUse() throws {
    for _ in 0..<caseCount(20) {
        let model = try OpenModel(context: 128)
        let session = try model.session("Hello.")
        let statuses = Monitor<[thimble_status]>([])
        var threads = JoinedThreads()
        for index in 0..<4 {
            _ = threads.start {
                for _ in 0..<20 {
                    var info = sized(thimble_session_info.self)
                    let status =
                        index == 3
                        ? unsafe thimble_session_close(session.pointer, nil)
                        : unsafe thimble_session_describe(session.pointer, &info, nil)
                    _ = unsafe thimble_session_cancel(session.pointer)
                    statuses.withLock { $0.append(status) }
                }
            }
        }
        threads.join()
        let allowed = [THIMBLE_OK, THIMBLE_E_BUSY, THIMBLE_E_INVALID_ARGUMENT]
        #expect(statuses.withLock { $0 }.allSatisfy { allowed.contains($0) })
    }
}
