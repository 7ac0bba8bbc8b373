//! The state of a conversation at the terminal, and its commands.

import Thimble

/// Reads messages and commands until the person leaves.
struct Chat: ~Copyable {
    private let engine: Engine
    private let session: Session
    /// Where the conversation is saved; nil where it is not.
    private var slot: SessionSlot?
    /// Whether all that was said is saved.
    private var isSaved = false
    /// Whether the person knows that saving fails.
    private var isFaultTold = false
    private let options: GenerationOptions
    private let showsStats: Bool
    private var system: String?
    private var input = TerminalInput()
    /// Images that the next message shows.
    private var images: [RGBImage] = []
    private var last: GenerationResult?

    private static let help = [
        "/image FILE    show the model an image with the next message",
        "/system TEXT   start anew, with TEXT told to the model first; without TEXT, with nothing",
        "/clear         start anew",
        "/stats         figures of the last answer",
        "/exit, /bye    leave",
        "\"\"\"            begins and ends a message of several lines",
    ]

    /// Goes on with `session`, or begins it, and saves it to `slot` where there is one.
    init(
        _ session: Session, of engine: Engine, savedTo slot: consuming SessionSlot?,
        options: GenerationOptions, system: String?, showsStats: Bool
    ) {
        self.engine = engine
        self.session = session
        self.slot = slot
        self.options = options
        self.system = system
        self.showsStats = showsStats
        if session.messages.isEmpty { restart() }
    }

    /// Talks until the person leaves; Ctrl-C twice in a row throws `interrupted`.
    mutating func run() throws {
        var wasInterrupted = false
        while true {
            switch try nextLine(">>> ") {
            case .end:
                return try StandardStream.output.write("\n")
            case .interrupted:
                try StandardStream.output.write("\n")
                let failure = Interrupt.take()
                if let failure, wasInterrupted || failure.status == .terminated { throw failure }
                wasInterrupted = true
                StandardStream.note("Ctrl-C again or Ctrl-D leaves")
            case .text(let line):
                wasInterrupted = false
                guard let message = try wholeMessage(line) else { continue }
                if message.hasPrefix("/") {
                    if try obey(message) { return }
                } else if !message.allSatisfy(\.isWhitespace) {
                    try answer(message)
                }
            }
        }
    }

    private mutating func nextLine(_ prompt: String) throws(Failure) -> TerminalInput.Line {
        try Interrupt.awaited { () throws(Failure) in try input.readLine(prompt: prompt) }
    }

    /// The message that begins with `line`, up to the closing `"""` where it opens with one; nil where it is
    /// given up.
    private mutating func wholeMessage(_ line: String) throws -> String? {
        let quotes = "\"\"\""
        guard line.hasPrefix(quotes) else { return line }
        var message = String(line.dropFirst(quotes.count))
        while !message.hasSuffix(quotes) {
            switch try nextLine("... ") {
            case .text(let next): message += "\n" + next
            case .interrupted:
                _ = Interrupt.take()
                try StandardStream.output.write("\n")
                return nil
            case .end: return nil
            }
        }
        return String(message.dropLast(quotes.count))
    }

    /// Obeys a command; returns whether it was to leave.
    private mutating func obey(_ line: String) throws -> Bool {
        let words = line.split(separator: " ", maxSplits: 1)
        let rest = words.count > 1 ? String(words[1]) : ""
        switch words[0] {
        case "/exit", "/bye": return true
        case "/help", "/?": StandardStream.note(Self.help)
        case "/clear": restart()
        case "/system":
            system = rest.isEmpty ? nil : rest
            restart()
        case "/image": show(rest)
        case "/stats":
            guard let last else { return false }
            StandardStream.note(AnswerReport(last, engine: engine, pages: nil).lines)
        default: StandardStream.note("no command \(words[0]); /help lists them")
        }
        return false
    }

    private mutating func show(_ path: String) {
        guard engine.seesImages else { return StandardStream.note("this model takes no images") }
        do throws(ThimbleError) {
            let image = try loadImage(path: path)
            images.append(image)
            StandardStream.note("\(path): \(image.width)x\(image.height), goes with the next message")
        } catch { StandardStream.note(error.message) }
    }

    private mutating func restart() {
        session.clear()
        isSaved = false
        images = []
        if let system { session.append(Message(.system, system)) }
    }

    /// Sends a message and prints the answer. An error of the engine's leaves the conversation as before.
    private mutating func answer(_ text: String) throws {
        session.append(Message(.user, images.map { .image($0) } + [.text(text)]))
        isSaved = false
        do {
            let result = try Answer.stream(isShown: true) { (shouldStop, receive) throws(ThimbleError) in
                try session.generate(options, shouldStop: shouldStop, receive: receive)
            }
            images = []
            last = result
            if showsStats {
                StandardStream.note(AnswerReport(result, engine: engine, pages: nil).lines)
            }
            save()
            if let failure = Interrupt.take(), failure.status == .terminated { throw failure }
        } catch let error as ThimbleError {
            session.removeLastMessage()
            StandardStream.note(error.message)
        }
    }

    // MARK: Saving

    /// Saves the conversation after an answer. Where that fails, the person is told once, and it is tried
    /// again after the next answer.
    private mutating func save() {
        do {
            try saveRest()
            isFaultTold = false
        } catch {
            if isFaultTold { return }
            isFaultTold = true
            StandardStream.note([
                "note: this answer is not saved: \(error.message)",
                "note: what was saved before stays; saving is tried again after each answer",
            ])
        }
    }

    /// Saves the conversation unless all of it is saved. Throws what saving may throw.
    mutating func saveRest() throws(ThimbleError) {
        if isSaved { return }
        try slot?.save(session)
        isSaved = true
    }
}
