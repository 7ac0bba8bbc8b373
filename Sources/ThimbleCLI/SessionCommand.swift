//! `thimble session`: the sessions that are saved.

import ArgumentParser
import HostSystem
import Thimble

struct SessionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "session",
        abstract: "List, remove, copy and bring back saved sessions.",
        discussion: """
            run, read and chat save a session with --session NAME, and go on with it when they are given \
            the same name again: nothing is read or computed twice.

            Examples:
              thimble read report.md -q "What is it about?" --session report
              thimble read -q "And who wrote it?" --session report
              thimble session ls
              thimble session save report report.session
              thimble session rm report
            """,
        subcommands: [ListSessions.self, RemoveSessions.self, SaveSession.self, RestoreSession.self])
}

/// Where the sessions are that a command is about.
struct SavedSessionFlags: ParsableArguments {
    @Option(
        help: "A budget whose [sessions] count: a TOML file, or a profile's name.",
        completion: .file(extensions: ["toml"]))
    var budget: String?

    @OptionGroup var place: SessionPlace

    func sessions() throws -> SavedSessions {
        guard let name = budget ?? Environment.budgetName else { return try place.sessions(Budget()) }
        do { return try place.sessions(Budget(named: name)) } catch let error as BudgetError {
            throw ThimbleError(error)
        }
    }
}

/// `thimble session ls`.
struct ListSessions: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls", abstract: "List the saved sessions, the one that was used last first.")

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var flags: SavedSessionFlags

    func run() throws {
        let sessions = try flags.sessions()
        let report = SessionReport(try sessions.list(), sessions.path)
        if json { return try JSONLine.write(report) }
        try StandardStream.output.write(report.lines.map { $0 + "\n" }.joined())
    }
}

/// `thimble session rm`.
struct RemoveSessions: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rm", abstract: "Remove saved sessions, by name or by age.")

    @Argument(help: "The sessions' names.")
    var names: [String] = []

    @Option(help: "Remove those that were not used for as many days.")
    var olderThan: Int?

    @OptionGroup var flags: SavedSessionFlags

    func validate() throws {
        if names.isEmpty && olderThan == nil { throw ValidationError("give names, or --older-than DAYS") }
        if let olderThan, !(0...36_500).contains(olderThan) {
            throw ValidationError("--older-than is \(olderThan); it must be 0 to 36500 days")
        }
    }

    func run() throws {
        let sessions = try flags.sessions()
        for name in names { try sessions.remove(name) }
        guard let olderThan else { return }
        for name in try sessions.prune(unusedForDays: olderThan) { StandardStream.note("removed \(name)") }
    }
}

/// `thimble session save`.
struct SaveSession: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "save", abstract: "Copy a saved session to a file, for another folder or machine.")

    @Argument(help: "The session's name.")
    var name: String

    @Argument(help: "The file, which is replaced.", completion: .file())
    var file: String

    @OptionGroup var flags: SavedSessionFlags

    func run() throws { try flags.sessions().copy(name, to: file) }
}

/// `thimble session restore`.
struct RestoreSession: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Make a file that save has made a saved session again.")

    @Argument(help: "The session's name; what it is the name of is replaced.")
    var name: String

    @Argument(help: "The file.", completion: .file())
    var file: String

    @OptionGroup var flags: SavedSessionFlags

    func run() throws { try flags.sessions().restore(name, from: file) }
}

/// What `ls` prints.
private struct SessionReport: Encodable {
    struct Entry: Encodable {
        var name: String
        var bytes: Int
        /// Seconds since 1970.
        var lastUse: Int
        var savedAt: Int?
        var model: String?
        var messages: Int?
        var images: Int?
        var tokens: Int?
        /// Why the file cannot be read; nil where it can.
        var fault: String?
    }

    var folder: String
    var sessions: [Entry]

    init(_ sessions: [SavedSession], _ folder: String) {
        self.folder = folder
        self.sessions = sessions.map {
            Entry(
                name: $0.name, bytes: $0.byteCount, lastUse: $0.lastUse, savedAt: $0.details?.savedAt,
                model: $0.details?.modelName, messages: $0.details?.messageCount,
                images: $0.details?.imageCount, tokens: $0.details?.tokenCount, fault: $0.fault)
        }
    }

    var lines: [String] {
        guard !sessions.isEmpty else { return ["no sessions in \(folder)"] }
        let width = (sessions.map(\.name.count).max() ?? 0) + 2
        let now = CalendarTime.now
        return sessions.map { entry in
            let start = entry.name + String(repeating: " ", count: width - entry.name.count)
            if let fault = entry.fault { return "\(start)\(entry.bytes.asBytes), cannot be read: \(fault)" }
            let counts = [
                (entry.messages ?? 0).of("message"), (entry.images ?? 0).of("image"),
                (entry.tokens ?? 0).of("token"), entry.bytes.asBytes,
                "used \(Self.age(now - entry.lastUse)) ago", (entry.model ?? "").printable,
            ]
            return start + counts.joined(separator: ", ")
        }
    }

    private static func age(_ seconds: Int) -> String {
        let seconds = max(0, seconds)
        for (unit, length) in [("day", 86_400), ("hour", 3600), ("minute", 60)] where seconds >= length {
            return (seconds / length).of(unit)
        }
        return seconds.of("second")
    }
}

extension String {
    /// Without what a terminal would take for a command: a file says it.
    fileprivate var printable: String {
        String(String.UnicodeScalarView(unicodeScalars.filter { $0.properties.generalCategory != .control }))
    }
}
