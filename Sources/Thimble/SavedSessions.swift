//! The sessions that a user has saved, by name.

internal import HostSystem
public import SessionFiles

/// A saved session, as a look into the folder shows it.
public struct SavedSession: Sendable, Equatable {
    public var name: String
    /// Bytes of its file.
    public var byteCount: Int
    /// When it was last saved or restored, in seconds since 1970.
    public var lastUse: Int
    /// What it is of; nil where the file cannot be read.
    public var details: Details?
    /// Why it cannot.
    public var fault: String?

    /// What a file says of itself.
    public struct Details: Sendable, Equatable {
        public var modelName: String
        public var messageCount: Int
        public var imageCount: Int
        /// Tokens whose keys and values it has.
        public var tokenCount: Int
        /// When it was saved, in seconds since 1970.
        public var savedAt: Int
    }
}

/// A folder of saved sessions, which are the user's alone.
public struct SavedSessions: Sendable {
    private let folder: SessionFolder

    /// The folder at that path, or by default `thimble/sessions` in the user's folder of state:
    /// `$XDG_STATE_HOME` or `~/.local/state`. It need not be there.
    ///
    /// Throws `invalidArgument` where there is no home either.
    public init(folder: String? = nil) throws(ThimbleError) {
        guard let path = folder ?? Self.usualFolder() else {
            throw ThimbleError(
                .invalidArgument, "there is no home for sessions; set HOME, or give --session-folder")
        }
        self.folder = SessionFolder(path)
    }

    static func usualFolder(
        environment: [String: String] = ProcessEnvironment.variables
    ) -> String? {
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") {
            return "\(state)/thimble/sessions"
        }
        guard let home = environment["HOME"], home.hasPrefix("/") else { return nil }
        return "\(home)/.local/state/thimble/sessions"
    }

    /// Where the sessions lie.
    public var path: String { folder.path }

    /// The file of a session, there or not. Throws `invalidArgument` where none can be called so.
    public func path(of name: String) throws(ThimbleError) -> String {
        do { return try folder.file(of: name) } catch { throw ThimbleError(error) }
    }

    /// Whether there is a session of that name. Throws `invalidArgument` where none can be called so.
    public func contains(_ name: String) throws(ThimbleError) -> Bool {
        do { return try folder.has(name) } catch { throw ThimbleError(error) }
    }

    /// The right to save a session under that name, which nobody else has as long as it lives. Makes the
    /// folder.
    ///
    /// Throws `cannotCreate` where another process has it, or where the folder cannot be made or is not the
    /// user's alone to write to.
    public func claim(_ name: String) throws(ThimbleError) -> SessionClaim {
        do {
            let file = try folder.file(of: name)
            try folder.make()
            return try SessionClaim(path: file)
        } catch { throw ThimbleError(error) }
    }

    /// All sessions, the one that was used last first. Throws `io`.
    public func list() throws(ThimbleError) -> [SavedSession] {
        let entries: [SessionFolder.Entry]
        do { entries = try folder.list() } catch { throw ThimbleError(error) }
        return entries.map { entry in
            var session = SavedSession(name: entry.name, byteCount: entry.byteCount, lastUse: entry.lastUse)
            do throws(SessionFileError) {
                let reader = try SessionFileReader(path: folder.file(of: entry.name))
                session.details = SavedSession.Details(
                    modelName: try reader.conversation().modelName, messageCount: reader.head.messageCount,
                    imageCount: reader.head.imageCount, tokenCount: reader.head.positionCount,
                    savedAt: Int(clamping: reader.head.savedAt))
            } catch { session.fault = error.detail }
            return session
        }
    }

    /// Removes a session. Throws `inputMissing` where there is none, `cannotCreate` where another process
    /// uses it, `io`.
    public func remove(_ name: String) throws(ThimbleError) {
        do { try folder.remove(name) } catch { throw ThimbleError(error) }
    }

    /// Removes the sessions that were not used for `days`, and of the others those that were not used for the
    /// longest, until they have no more than `byteLimit` bytes; never that of `keeping`, nor one that another
    /// process uses. Returns the names of those that are gone. Throws `io`.
    public func prune(
        unusedForDays days: Int? = nil, byteLimit: Int? = nil, keeping: String? = nil
    ) throws(ThimbleError) -> [String] {
        do {
            return try folder.prune(
                unusedFor: days.map { $0 * 86_400 }, byteLimit: byteLimit, keeping: keeping)
        } catch { throw ThimbleError(error) }
    }

    /// Copies a session to a file of any place, checked. Throws as reading and saving do.
    public func copy(_ name: String, to file: String) throws(ThimbleError) {
        do { try SessionFileReader(path: folder.file(of: name)).copy(to: SessionClaim(path: file)) } catch {
            throw ThimbleError(error)
        }
    }

    /// Makes a copy of a file of any place the session of that name, checked. Throws as reading and saving
    /// do.
    public func restore(_ name: String, from file: String) throws(ThimbleError) {
        let claim = try claim(name)
        do { try SessionFileReader(path: file).copy(to: claim) } catch { throw ThimbleError(error) }
    }
}
