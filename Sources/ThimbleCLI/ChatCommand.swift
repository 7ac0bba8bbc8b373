//! `thimble chat`: a conversation at a terminal.

import ArgumentParser
import Thimble

struct ChatCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talk with a model at the terminal.",
        discussion: """
            Type a message, or /help. \"\"\" begins and ends a message of several lines. Ctrl-C stops an \
            answer, and leaves when pressed twice; Ctrl-D leaves. With --session, the conversation is \
            saved after each answer. In scripts, use run.

            Examples:
              thimble chat model.thimble
              thimble chat model.thimble --system "Answer in one sentence." --temp 0.7
            """)

    @Argument(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var model: String

    @Option(name: .shortAndLong, help: "What the model is told before the conversation.")
    var system: String?

    @Flag(help: "Print counts, speed and memory after each answer.")
    var stats = false

    @OptionGroup var engineFlags: EngineFlags
    @OptionGroup(title: "Generation") var generation: GenerationFlags
    @OptionGroup(title: "Session") var sessionFlags: SessionFlags

    func validate() throws {
        guard InputText.isTerminal && StandardStream.output.isTerminal else {
            throw ValidationError("chat needs a terminal; use thimble run in scripts")
        }
    }

    func run() throws {
        let budget = try engineFlags.merged()
        let slot = try sessionFlags.claim(budget)
        let engine = try engineFlags.load(model, within: budget)
        let session = try slot?.open(engine) ?? engine.makeSession()
        try session.refuseBeginning(with: system)
        StandardStream.note("\(engine.description.name); /help lists the commands")
        var chat = Chat(
            session, of: engine, savedTo: slot,
            options: generation.options(defaults: engine.defaultSampling), system: system, showsStats: stats)
        let end = Result { try chat.run() }
        // However the person leaves, what was said stays.
        try chat.saveRest()
        try end.get()
    }
}
