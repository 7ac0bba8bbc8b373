//! An answer on its way out: printed as it comes, ended by a signal, reported at the end.

import Thimble

/// Prints one answer.
enum Answer {
    /// Runs `generate`, which asks whether to stop and says its text, and reports what came of it.
    ///
    /// - Parameter pages: what the answer was read from; nil where no document was.
    static func deliver(
        from engine: Engine, report: ReportFlags, showsStats: Bool, pages: AnswerReport.Pages? = nil,
        _ generate: (_ shouldStop: () -> Bool, _ receive: (String) -> Void) throws(ThimbleError)
            -> GenerationResult
    ) throws {
        let result = try stream(isShown: !report.json, generate)
        let summary = AnswerReport(result, engine: engine, pages: pages)
        if report.json { try JSONLine.write(summary) }
        if showsStats { StandardStream.note(summary.lines) }
        if result.finishReason == .cancelled { try Interrupt.check() }
    }

    /// Runs `generate` and prints its text piece by piece, with a line end after it.
    static func stream(
        isShown: Bool,
        _ generate: (_ shouldStop: () -> Bool, _ receive: (String) -> Void) throws(ThimbleError)
            -> GenerationResult
    ) throws -> GenerationResult {
        var fault: Failure?
        var endsLine = true
        func print(_ piece: String) {
            guard isShown, fault == nil, !piece.isEmpty else { return }
            endsLine = piece.utf8.last == UInt8(ascii: "\n")
            do throws(Failure) { try StandardStream.output.write(piece) } catch { fault = error }
        }
        defer { if !endsLine { try? StandardStream.output.write("\n") } }
        let result = try Interrupt.awaited { () throws(ThimbleError) in
            try generate({ fault != nil || Interrupt.isPending }, print)
        }
        if let fault { throw fault }
        return result
    }
}

/// An answer and its figures, as `--json` prints them.
struct AnswerReport: Encodable {
    struct Usage: Encodable {
        var promptTokens: Int
        var cachedTokens: Int
        var imageTokens: Int
        /// Images that went through the vision tower.
        var imagesEncoded: Int
        /// Images that were known from before.
        var imagesCached: Int
        var completionTokens: Int
    }

    struct Timings: Encodable {
        var loadSeconds: Double
        var visionSeconds: Double
        var firstTokenSeconds: Double
        var decodeSeconds: Double
        var prefillTokensPerSecond: Double?
        var decodeTokensPerSecond: Double?
    }

    /// The pages that the answer was read from.
    struct Pages: Encodable {
        var count: Int
        /// Tokens of the text on them; nil where they are images, or not all pages of a text.
        var textTokens: Int?
    }

    var text: String
    var finishReason: String
    var usage: Usage
    var timings: Timings
    var pages: Pages?
    var peakMemoryBytes: Int?
    var memory: MemoryReport
    /// True where what was made of images was to be kept on disk, and could not; else nil.
    var featureFolderIsUnusable: Bool?

    init(_ result: GenerationResult, engine: Engine, pages: Pages?) {
        text = result.text
        finishReason = result.finishReason.rawValue
        usage = Usage(
            promptTokens: result.promptTokens, cachedTokens: result.cachedTokens,
            imageTokens: result.imageTokens, imagesEncoded: result.imagesEncoded,
            imagesCached: result.imagesCached, completionTokens: result.generatedTokens)
        timings = Timings(
            loadSeconds: engine.loadSeconds, visionSeconds: result.visionSeconds,
            firstTokenSeconds: result.firstTokenSeconds, decodeSeconds: result.decodeSeconds,
            prefillTokensPerSecond: result.prefillTokensPerSecond,
            decodeTokensPerSecond: result.decodeTokensPerSecond)
        self.pages = pages
        peakMemoryBytes = ProcessMemory.peak
        memory = MemoryReport(engine)
        featureFolderIsUnusable = engine.isFeatureFolderUnusable ? true : nil
    }

    /// The figures for a person.
    var lines: [String] {
        var lines: [String] = []
        if let pages { lines.append("pages         " + pages.summary(imageTokens: usage.imageTokens)) }
        lines.append(
            "prompt        \(usage.promptTokens.of("token")), \(usage.cachedTokens) from earlier turns"
        )
        if usage.imagesEncoded + usage.imagesCached > 0 {
            let (encoded, known) = (usage.imagesEncoded, usage.imagesCached)
            let fault = featureFolderIsUnusable == true ? "; none is kept, for the folder cannot be used" : ""
            lines.append("images        \(encoded) encoded, \(known) known from before\(fault)")
        }
        let (first, vision) = (timings.firstTokenSeconds.fixed(2), timings.visionSeconds.fixed(2))
        lines.append("first token   \(first) s, \(vision) s of it vision")
        lines.append("loading       \(timings.loadSeconds.fixed(2)) s, before that")
        let rate = timings.decodeTokensPerSecond.map { ", \($0.fixed(1)) tokens/s" } ?? ""
        lines.append("answer        \(usage.completionTokens.of("token"))\(rate)")
        if let bytes = peakMemoryBytes {
            let drawn = memory.drawnPeakBytes.asBytes
            lines.append("peak memory   \(bytes.asBytes) held, \(drawn) drawn\(memory.limitText)")
            lines += memory.lines
        }
        return lines
    }
}

extension AnswerReport.Pages {
    /// `2 drawn, 1260 image tokens for 4211 text tokens (3.3 to 1)`.
    func summary(imageTokens: Int) -> String {
        let images = "\(count) drawn, \(imageTokens.of("image token"))"
        guard let textTokens, imageTokens > 0 else { return images }
        let ratio = Double(textTokens) / Double(imageTokens)
        return "\(images) for \(textTokens.of("text token")) (\(ratio.fixed(2)) text tokens an image token)"
    }
}
