//! `thimble read`: documents in, an answer or page images out.

import ArgumentParser
import Thimble

struct ReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read",
        abstract: "Answer a question about documents, or draw their pages.",
        discussion: """
            Text is drawn as page images, which the model reads: they take fewer tokens than the text \
            would. So is what a DOCX or Markdown file says. A PDF shows its own pages (--mode page), or \
            its text is set on pages (--mode glyph, and the default where the model was trained on such); \
            --mode text gives the model a document's text as text. Images are pages as they are. Without \
            --model, THIMBLE_MODEL names the model, else the bundled reader is taken.

            Examples:
              thimble read Examples/voyage.txt -q "What is the code of copper-kettle?"
              thimble read scan-1.png scan-2.png -q "Who signed?" --model glyph.thimble
              thimble read report.pdf -q "What was the revenue?" --pages 10-20
              thimble read report.docx --render-only -o pages
              thimble read report.md -q "What is it about?" --session report
              thimble read -q "And who wrote it?" --session report
            """)

    @Argument(
        help: "PDF, DOCX, text, Markdown, PNG, JPEG or WebP files; - is standard input.",
        completion: .file())
    var files: [String] = []

    @Option(name: .shortAndLong, help: "The question.")
    var question: String?

    @Option(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var model: String?

    @Option(
        help: "A document's own pages (page), its text on pages (glyph), or its text (text).",
        completion: .list(ReadingMode.allCases.map(\.rawValue)),
        transform: { name in
            guard let mode = ReadingMode(rawValue: name) else {
                throw ValidationError("\(name) is no mode: there are page, glyph and text")
            }
            return mode
        })
    var mode: ReadingMode?

    @Option(
        help: "Only these pages, counted over all files: 1-10, or 2,5-7, or 4-.",
        transform: { pages in
            guard let selection = PageSelection(argument: pages) else {
                throw ValidationError("it must be pages counted from 1, as 3, 1-10, 2,5-7 or 4-")
            }
            return selection
        })
    var pages: PageSelection?

    @Flag(help: "Draw the pages into the folder that -o names, and answer nothing.")
    var renderOnly = false

    @Option(name: .shortAndLong, help: "The folder for page_001.png and so on.", completion: .directory)
    var output: String?

    @Option(
        help: "Page settings as Glyph's JSON, instead of the model's.",
        completion: .file(extensions: ["json"]))
    var pageSettings: String?

    @Option(
        help: "The font file that pages are drawn with.",
        completion: .file(extensions: ["ttf", "otf", "ttc"]))
    var font: String?

    @Flag(help: "Print pages, image tokens and text tokens, and answer nothing.")
    var showTokens = false

    @OptionGroup var engineFlags: EngineFlags
    @OptionGroup(title: "Generation") var generation: GenerationFlags
    @OptionGroup(title: "Session") var sessionFlags: SessionFlags
    @OptionGroup(title: "Report") var report: ReportFlags

    func validate() throws {
        if files.isEmpty && (sessionFlags.session == nil || question == nil) {
            throw ValidationError("files are missing; only a question about a saved --session needs none")
        }
        if sessionFlags.isUsed && question == nil {
            throw ValidationError("--session and --save-session are for a --question")
        }
        if files.count(where: { $0 == "-" }) > 1 {
            throw ValidationError("- stands for standard input only once")
        }
        if mode == .text && renderOnly { throw ValidationError("--mode text draws no pages") }
        if renderOnly != (output != nil) { throw ValidationError("--render-only and -o FOLDER go together") }
        if [renderOnly, showTokens, question != nil].count(where: { $0 }) > 1 {
            throw ValidationError("--question, --show-tokens and --render-only exclude each other")
        }
        if !renderOnly && !showTokens && question == nil {
            throw ValidationError("a question is missing: -q TEXT")
        }
        if let question, question.allSatisfy(\.isWhitespace) {
            throw ValidationError("the question is empty; say with -q what is to be answered")
        }
    }

    func run() throws {
        if let output { return try render(to: output) }
        let modelPath = try DefaultModel.path(named: model)
        let budget = try engineFlags.merged()
        let selection = try open(with: modelPath, budget)
        var slot = try sessionFlags.claim(budget)
        let engine = try engineFlags.load(modelPath, within: budget)
        guard let question else { return try showTokens(of: selection, engine) }
        let items = try items(of: selection, for: engine)
        selection.printNotes()
        let session = try slot?.open(engine) ?? engine.makeSession()
        guard !files.isEmpty || !session.messages.isEmpty else {
            throw Failure(
                .inputMissing, "there is no session \(sessionFlags.session ?? "") yet; give files to read")
        }
        session.append(Message(.user, items + [.text(question)]))
        let options = generation.options(defaults: engine.defaultSampling)
        let figures =
            files.isEmpty
            ? nil : AnswerReport.Pages(count: selection.count, textTokens: try selection.textTokens(engine))
        try Answer.deliver(from: engine, report: report, showsStats: report.stats ?? true, pages: figures) {
            (shouldStop, receive) throws(ThimbleError) in
            try session.generate(options, shouldStop: shouldStop, receive: receive)
        }
        try slot?.save(session)
    }

    /// Opens the documents with the page settings of the flags, else of the model, else Glyph's, and what the
    /// budget says of them before any.
    private func open(with modelPath: String?, _ budget: Budget) throws -> PagesToRead {
        var settings = PageSettings()
        var prefersGlyph = false
        if let modelPath {
            let model = try ModelInspection(modelPath: modelPath)
            settings = try model.pageSettings()
            prefersGlyph = model.description.prefersGlyph
        }
        settings = try settings.settled(file: pageSettings, budget, font: font)
        return try PagesToRead(files, settings, mode, prefersGlyph: prefersGlyph, pages)
    }

    /// What the model is shown, document by document. Pages and text that do not fit in the context are
    /// counted, never left out.
    private func items(of selection: PagesToRead, for engine: Engine) throws -> [Message.Item] {
        var items: [Message.Item] = []
        var (imageTokens, textTokens) = (0, 0)
        for document in selection.documents {
            if document.mode == .text, let text = document.text {
                textTokens += try engine.tokenize(text).count
                items.append(.text(text + "\n\n"))
            }
            for index in 0..<document.pageCount {
                let image = try document.page(index)
                imageTokens += try engine.imageTokenCount(of: image)
                // What is too much already need not be kept.
                if imageTokens + textTokens < engine.contextLength { items.append(.image(image)) }
            }
        }
        guard imageTokens + textTokens < engine.contextLength else {
            let (pages, needed) = (selection.count.of("page"), imageTokens.of("image token"))
            let text = textTokens > 0 ? textTokens.of("text token") : nil
            let parts = [selection.count > 0 ? "\(needed) on \(pages)" : nil, text].compactMap { $0 }
            throw Failure(
                .failure,
                "\(files[0]): \(parts.joined(separator: " and ")), and the context holds "
                    + "\(engine.contextLength); read fewer with --pages, or raise --context if the model "
                    + "allows it"
            )
        }
        return items
    }

    private func showTokens(of selection: PagesToRead, _ engine: Engine) throws {
        var tokens = 0
        for index in 0..<selection.count { tokens += try engine.imageTokenCount(of: selection.page(index)) }
        selection.printNotes()
        let text = try selection.textTokens(engine)
        if report.json {
            return try JSONLine.write(
                TokenReport(pages: selection.count, imageTokens: tokens, textTokens: text))
        }
        let figures = AnswerReport.Pages(count: selection.count, textTokens: text)
        try StandardStream.output.write(figures.summary(imageTokens: tokens) + "\n")
    }

    /// Draws into a folder. Of the models, only one that is named or at hand lends its page settings.
    private func render(to folder: String) throws {
        let modelPath = pageSettings == nil ? model ?? Environment.model ?? DefaultModel.bundled : model
        let selection = try open(with: modelPath, engineFlags.merged())
        var output = try PageFolder(path: folder)
        var bar = ProgressBar("drawing", delay: .seconds(1))
        try Interrupt.awaited {
            for index in 0..<selection.count {
                try output.append(encodePNG(selection.page(index)))
                bar.show(Double(index + 1) / Double(selection.count))
                try Interrupt.check()
            }
        }
        let older = try output.commit()
        selection.printNotes()
        if report.stats ?? true { StandardStream.note("\(selection.count.of("page")) drawn into \(folder)") }
        if older > 0 { StandardStream.note("note: \(folder) also holds \(older.of("older page"))") }
    }
}

/// What `--show-tokens --json` prints.
private struct TokenReport: Encodable {
    var pages: Int
    var imageTokens: Int
    var textTokens: Int?
}
