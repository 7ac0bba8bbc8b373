//! Flags that say which saved session a command goes on with, and where it is saved.

import ArgumentParser
import Thimble

struct SessionFlags: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Go on with this saved session, or begin it, and save it after the answer.", valueName: "name"))
    var session: String?

    @Option(
        help: ArgumentHelp("Save the session under this name instead; --session stays.", valueName: "name"))
    var saveSession: String?

    @OptionGroup var place: SessionPlace

    /// Whether a session is to be saved.
    var isUsed: Bool { session != nil || saveSession != nil }

    /// Takes the right to save the session, so that no answer is made which then cannot be; nil where none is
    /// to be saved.
    func claim(_ budget: Budget) throws -> SessionSlot? {
        guard let target = saveSession ?? session else { return nil }
        let sessions = try place.sessions(budget)
        if let session { _ = try sessions.contains(session) }
        return SessionSlot(
            sessions: sessions, source: session, target: target, limits: budget.sessions,
            claim: try sessions.claim(target))
    }
}

/// Where sessions are saved.
struct SessionPlace: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The folder of saved sessions (default: thimble/sessions in $XDG_STATE_HOME or ~/.local/state).",
            valueName: "folder"),
        completion: .directory)
    var sessionFolder: String?

    /// The flag wins over the budget.
    func sessions(_ budget: Budget) throws(ThimbleError) -> SavedSessions {
        try SavedSessions(folder: sessionFolder ?? budget.sessions.folder)
    }
}

/// A session to be saved after its answers, and the right to do so.
struct SessionSlot: ~Copyable {
    private let sessions: SavedSessions
    private let source: String?
    private let target: String
    private let limits: Budget.Sessions
    /// Nil for the moment in which it is made use of, and where another process was faster after that.
    private var claim: SessionClaim?

    init(
        sessions: SavedSessions, source: String?, target: String, limits: Budget.Sessions,
        claim: consuming SessionClaim
    ) {
        self.sessions = sessions
        self.source = source
        self.target = target
        self.limits = limits
        self.claim = consume claim
    }

    /// The session to go on with: the saved one, where there is one, or a new one.
    func open(_ engine: Engine) throws(ThimbleError) -> Session {
        guard let source, try sessions.contains(source) else { return engine.makeSession() }
        return try engine.restoreSession(from: sessions.path(of: source))
    }

    /// Saves the session, and removes others as far as the budget says so, which is told. Whatever comes of
    /// it, the right to save it again is taken anew.
    mutating func save(_ session: Session) throws(ThimbleError) {
        let right: SessionClaim
        if let held = claim.take() { right = held } else { right = try sessions.claim(target) }
        defer { claim = try? sessions.claim(target) }
        try session.save(
            to: right, byteLimit: limits.size?.bytes, writtenADay: limits.writtenADay?.bytes)
        let removed = try sessions.prune(
            unusedForDays: limits.days, byteLimit: limits.size?.bytes, keeping: target)
        for name in removed {
            StandardStream.note("note: the session \(name) was removed, as [sessions] of the budget asks")
        }
    }
}

extension Session {
    /// Throws `usage` where a conversation that has begun is to begin with something else.
    func refuseBeginning(with system: String?) throws(Failure) {
        guard system != nil, !messages.isEmpty else { return }
        throw .usage("--system begins a conversation, and this session has begun; leave it out")
    }
}
