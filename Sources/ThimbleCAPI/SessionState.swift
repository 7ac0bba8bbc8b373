//! What stands behind a session's handle: one conversation, which one call at a time is at work on.

internal import CThimble
internal import Glibc
internal import Thimble
internal import Threads

/// A session.
///
/// Its conversation belongs to the call that occupies it, and is touched in the model's turns only.
@safe final class SessionState: HandleObject, @unchecked Sendable {
    static let kind = CAPI_KIND_SESSION
    static let name = "session"

    let handle: UInt
    let model: ModelState
    private let occupancy = Monitor(Occupancy.free)
    private var conversation: Session?
    /// The answer that was begun and is not finished.
    private var generation: Generation?
    /// Whether that has ended.
    private var hasEnded = false
    /// The last piece's text, with its zero byte.
    private var piece: UnsafeMutableBufferPointer<CChar>

    private enum Occupancy: Equatable {
        case free, closed
        /// By that thread.
        case taken(pthread_t)
    }

    /// Precondition: the model has counted it.
    init(_ handle: UInt, _ session: Session, of model: ModelState) {
        self.handle = handle
        self.model = model
        conversation = session
        unsafe piece = .allocate(capacity: 64)
    }

    deinit { unsafe piece.deallocate() }

    /// Runs `body` with the conversation while no other call has it.
    func occupy<Result>(
        _ body: (Session) throws(CallFault) -> Result
    ) throws(CallFault) -> Result {
        let thread = pthread_self()
        let before = occupancy.withLock { occupancy in
            let before = occupancy
            if before == .free { occupancy = .taken(thread) }
            return before
        }
        switch before {
        case .closed: throw .argument(THIMBLE_DETAIL_HANDLE, "the session was closed")
        case .taken(thread):
            throw CallFault(
                THIMBLE_E_BUSY, THIMBLE_DETAIL_REENTERED,
                "the call comes from a callback of the session's own call; make it after that")
        case .taken:
            throw CallFault(
                THIMBLE_E_BUSY, THIMBLE_DETAIL_IN_USE, "another thread is using the session; wait for it")
        case .free: break
        }
        defer { occupancy.withLock { if $0 != .closed { $0 = .free } } }
        guard let conversation else { preconditionFailure("a session that is not closed has one") }
        return try body(conversation)
    }

    /// The same for what cannot be while an answer has been begun.
    func change<Result>(_ body: (Session) throws(CallFault) -> Result) throws(CallFault) -> Result {
        try occupy { session throws(CallFault) in
            if generation != nil {
                throw CallFault(
                    THIMBLE_E_BUSY, THIMBLE_DETAIL_ANSWERING,
                    "an answer has been begun; end it with thimble_session_finish")
            }
            return try body(session)
        }
    }

    /// Whether somebody asked the call at work to stop.
    var isCancelled: Bool { capi_handle_is_cancelled(handle) }

    /// Lets go of the conversation, and of the answer that may have been begun.
    func close() throws(CallFault) {
        try occupy { _ throws(CallFault) in
            try model.compute { () throws(ThimbleError) in
                generation = nil
                conversation = nil
            }
            occupancy.withLock { $0 = .closed }
            Handles.end(self)
            model.sessions.leave()
        }
    }

    // MARK: Answers

    /// Begins an answer. A cancel from before is none of it.
    func begin(_ session: Session, _ request: AnswerRequest) throws(CallFault) {
        capi_handle_clear(handle)
        generation = try model.compute { () throws(ThimbleError) in
            guard let prompt = request.rawPrompt else { return try session.begin(request.options) }
            return try session.begin(
                raw: prompt, images: session.messages.flatMap(\.images), request.options)
        }
        hasEnded = false
    }

    /// The next piece of the answer that was begun, and why it is the last one.
    func next() throws(CallFault) -> (piece: Generation.Piece?, finish: thimble_finish) {
        guard let generation, !hasEnded else { throw Self.notAnswering }
        do throws(CallFault) {
            let piece = try model.compute { () throws(ThimbleError) in
                try generation.next { isCancelled }
            }
            hasEnded = generation.finishReason != nil
            return (piece, thimble_finish(generation.finishReason))
        } catch {
            self.generation = nil
            throw error
        }
    }

    /// Ends the answer that was begun.
    func finish() throws(CallFault) -> GenerationResult {
        guard let generation else { throw Self.notAnswering }
        let result = try model.compute { () throws(ThimbleError) in generation.finish() }
        self.generation = nil
        return result
    }

    var isAnswering: Bool { generation != nil }

    private static var notAnswering: CallFault {
        .argument(THIMBLE_DETAIL_NOT_ANSWERING, "no answer is on its way; begin one")
    }

    /// Keeps a piece's text until the next one; returns where it lies, and its bytes without the zero.
    func keep(_ text: String) -> (text: UnsafePointer<CChar>, length: Int) {
        let units = text.utf8
        if unsafe piece.count <= units.count {
            unsafe piece.deallocate()
            unsafe piece = .allocate(capacity: 2 * (units.count + 1))
        }
        var count = 0
        for unit in units {
            unsafe piece[count] = CChar(bitPattern: unit)
            count += 1
        }
        unsafe piece[count] = 0
        return unsafe (UnsafePointer(piece.baseAddress!), count)
    }
}

extension thimble_finish {
    init(_ reason: FinishReason?) {
        self =
            switch reason {
            case nil: THIMBLE_FINISH_NONE
            case .stop: THIMBLE_FINISH_STOP
            case .length: THIMBLE_FINISH_LENGTH
            case .cancelled: THIMBLE_FINISH_CANCELLED
            }
    }
}
