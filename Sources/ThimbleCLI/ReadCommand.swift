//! `thimble read`: documents in, an answer or page images out.

import ArgumentParser
import Thimble

struct ReadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "read",
        abstract: "Answer a question about documents, or draw their pages.",
        discussion: """
            Text is drawn as page images, which the model reads: they take fewer tokens than the text would.
            Images are pages as they are. Without --model, THIMBLE_MODEL names the model, else the bundled
            reader is taken.

            Examples:
              thimble read Examples/voyage.txt -q "What is the code of copper-kettle?"
              thimble read scan-1.png scan-2.png -q "Who signed?" --model glyph.thimble
              thimble read report.md --render-only -o pages
              thimble read report.md -q "What is it about?" --session report
              thimble read -q "And who wrote it?" --session report
            """)

    @Argument(
        help: "Text, Markdown, PNG, JPEG or WebP files; - is standard input.", completion: .file())
    var files: [String] = []

    @Option(name: .shortAndLong, help: "The question.")
    var question: String?

    @Option(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var model: String?

    @Option(help: "Only these pages, counted over all files: 1-10, or 2,5-7, or 4-.")
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
        if renderOnly != (output != nil) { throw ValidationError("--render-only and -o FOLDER go together") }
        if [renderOnly, showTokens, question != nil].count(where: { $0 }) > 1 {
            throw ValidationError("--question, --show-tokens and --render-only exclude each other")
        }
        if !renderOnly && !showTokens && question == nil {
            throw ValidationError("a question is missing: -q TEXT")
        }
    }

    func run() throws {
        if let output { return try render(to: output) }
        let modelPath = try DefaultModel.path(named: model)
        let budget = try engineFlags.merged()
        let selection = try PagesToRead(open(with: modelPath, budget), pages)
        let slot = try sessionFlags.claim(budget)
        let engine = try engineFlags.load(modelPath, within: budget)
        guard let question else { return try showTokens(of: selection, engine) }
        let images = try draw(selection, for: engine)
        let session = try slot?.open(engine) ?? engine.makeSession()
        guard !files.isEmpty || !session.messages.isEmpty else {
            throw Failure(
                .inputMissing, "there is no session \(sessionFlags.session ?? "") yet; give files to read")
        }
        session.append(Message(.user, images.map { .image($0) } + [.text(question)]))
        let options = generation.options(defaults: engine.defaultSampling)
        let figures =
            files.isEmpty
            ? nil : AnswerReport.Pages(count: images.count, textTokens: try selection.textTokens(engine))
        try Answer.deliver(from: engine, report: report, showsStats: report.stats ?? true, pages: figures) {
            (shouldStop, receive) throws(ThimbleError) in
            try session.generate(options, shouldStop: shouldStop, receive: receive)
        }
        if let slot { try slot.save(session) }
    }

    /// Opens the documents with the page settings of the flags, else of the model, else Glyph's, and what the
    /// budget says of them before any.
    private func open(with modelPath: String?, _ budget: Budget) throws -> [PagedDocument] {
        var settings = PageSettings()
        if let pageSettings {
            settings = try loadPageSettings(path: pageSettings)
        } else if let modelPath {
            settings = try ModelInspection(modelPath: modelPath).pageSettings()
        }
        if let json = budget.pageSettingsJSON {
            settings = try settings.overlaid(json: json)
        }
        if let font { settings.fontPath = font }
        var documents: [PagedDocument] = []
        for file in files { documents.append(try PagedDocument(path: file, settings: settings)) }
        return documents
    }

    /// Draws the pages that fit in the context; pages that do not fit are counted, never left out.
    private func draw(_ selection: PagesToRead, for engine: Engine) throws -> [RGBImage] {
        var images: [RGBImage] = []
        var tokens = 0
        for index in 0..<selection.count {
            let image = try selection.page(index)
            tokens += try engine.imageTokenCount(of: image)
            if tokens < engine.contextLength { images.append(image) } else { images = [] }
        }
        guard tokens < engine.contextLength else {
            let (pages, needed) = (selection.count.of("page"), tokens.of("image token"))
            throw Failure(
                .failure,
                "\(files[0]): \(needed) on \(pages), and the context holds \(engine.contextLength); "
                    + "read fewer with --pages, or raise --context if the model allows it")
        }
        return images
    }

    private func showTokens(of selection: PagesToRead, _ engine: Engine) throws {
        var tokens = 0
        for index in 0..<selection.count { tokens += try engine.imageTokenCount(of: selection.page(index)) }
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
        let modelPath = pageSettings == nil ? model ?? Environment.model ?? DefaultModel.bundled : nil
        let selection = try PagesToRead(open(with: modelPath, engineFlags.merged()), pages)
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

/// The pages of several documents as one sequence, or a selection of it.
private struct PagesToRead {
    private let documents: [PagedDocument]
    private let places: [(document: Int, page: Int)]
    private let isWhole: Bool

    init(_ documents: [PagedDocument], _ selection: PageSelection?) throws(Failure) {
        let all = documents.indices.flatMap { document in
            (0..<documents[document].pageCount).map { (document, $0) }
        }
        self.documents = documents
        places =
            try selection.map { (selection) throws(Failure) in
                try selection.indexes(of: all.count).map { all[$0] }
            } ?? all
        isWhole = places.count == all.count
    }

    var count: Int { places.count }

    func page(_ index: Int) throws(ThimbleError) -> RGBImage {
        try documents[places[index].document].page(places[index].page)
    }

    /// Tokens of the documents' text; nil where it is not all on the pages, or not text.
    func textTokens(_ engine: Engine) throws(ThimbleError) -> Int? {
        guard isWhole else { return nil }
        var count = 0
        for document in documents {
            guard let text = document.text else { return nil }
            count += try engine.tokenize(text).count
        }
        return count
    }
}
