//! `thimble run`: one prompt, one answer.

import ArgumentParser
import Thimble

struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Answer one prompt.",
        discussion: """
            Examples:
              thimble run model.thimble "What is in the picture?" --image photo.jpg
              thimble run model.thimble - < question.txt
              thimble run model.thimble "One." --temp 0.7 --seed 3 --json
              thimble run model.thimble "And two?" --session count
            """)

    @Argument(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var model: String

    @Argument(help: "The prompt; - or nothing reads it from standard input.")
    var prompt: String?

    @Option(help: "An image for the model to see, before the prompt; can be repeated.", completion: .file())
    var image: [String] = []

    @Option(name: .shortAndLong, help: "What the model is told before the prompt.")
    var system: String?

    @Flag(
        help: "The prompt is the model's whole text, special tokens written out; no chat format is applied.")
    var raw = false

    @OptionGroup var engineFlags: EngineFlags
    @OptionGroup(title: "Generation") var generation: GenerationFlags
    @OptionGroup(title: "Session") var sessionFlags: SessionFlags
    @OptionGroup(title: "Report") var report: ReportFlags

    func validate() throws {
        if raw && sessionFlags.isUsed { throw ValidationError("--session and --raw exclude each other") }
        if raw && system != nil { throw ValidationError("--system and --raw exclude each other") }
        if prompt == nil && InputText.isTerminal { throw ValidationError("a prompt is missing") }
    }

    func run() throws {
        let prompt = try promptText()
        var images: [RGBImage] = []
        for path in image { images.append(try loadImage(path: path)) }
        let budget = try engineFlags.merged()
        var slot = try sessionFlags.claim(budget)
        let engine = try engineFlags.load(model, within: budget)
        let session = try slot?.open(engine) ?? engine.makeSession()
        try session.refuseBeginning(with: system)
        let options = generation.options(defaults: engine.defaultSampling)
        try Answer.deliver(from: engine, report: report, showsStats: report.stats ?? false) {
            (shouldStop, receive) throws(ThimbleError) in
            if raw {
                return try session.complete(
                    raw: prompt, images: images, options, shouldStop: shouldStop, receive: receive)
            }
            if let system { session.append(Message(.system, system)) }
            session.append(Message(.user, images.map { .image($0) } + [.text(prompt)]))
            return try session.generate(options, shouldStop: shouldStop, receive: receive)
        }
        try slot?.save(session)
    }

    /// The prompt as given, else standard input without its last line end.
    private func promptText() throws -> String {
        if let prompt, prompt != "-" { return prompt }
        let text = try InputText.readStandardInput()
        guard !text.isEmpty else { throw Failure(.inputMissing, "standard input: empty; give a prompt") }
        return !raw && text.last?.isNewline == true ? String(text.dropLast()) : text
    }
}
