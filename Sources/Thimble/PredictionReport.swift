//! What `plan` says of how fast a plan will run, and why.

internal import Memory

/// A prediction as `plan --json` prints it.
struct PredictionReport: Encodable {
    struct Stage: Encodable {
        var seconds: Double
        /// What its parts would take alone.
        var diskSeconds: Double
        var memorySeconds: Double
        var computingSeconds: Double
        /// Which of them is waited for longest.
        var bound: String

        init(_ stage: PlanPrediction.Stage) {
            seconds = stage.seconds
            diskSeconds = stage.disk
            memorySeconds = stage.memory
            computingSeconds = stage.computing
            bound = stage.bound.rawValue
        }
    }

    /// What the prediction rests on, and where each rate comes from: measured, stated or assumed.
    struct Rates: Encodable {
        /// As decoding reads the model's weights.
        var memoryBytesPerSecond: Double
        var memory: String
        var diskBytesPerSecond: Double
        var disk: String
        var fourBitProductsPerSecond: Double
        var eightBitProductsPerSecond: Double
        var floatProductsPerSecond: Double
        var decompressionBytesPerSecond: Double
        var computing: String
    }

    /// The same with a higher limit.
    struct More: Encodable {
        /// That are added to the limit.
        var bytes: Int
        var contextTokens: Int
        var tokensPerSecond: Double
        var firstTokenSeconds: Double
        var pageFirstTokenSeconds: Double?
    }

    var tokensPerSecond: Double
    var token: Stage
    var promptTokens: Int
    /// Of a model that has just been loaded.
    var firstToken: Stage
    /// When another prompt has been answered before.
    var prefill: Stage
    var prefillTokensPerSecond: Double
    var pageTokens: Int?
    /// A page through the vision tower.
    var image: Stage?
    /// Pages that go through it together, where there are several, and each of those.
    var imagesTogether: Int?
    var imageOfBatch: Stage?
    /// A page and a question, from the page on.
    var pageFirstToken: Stage?
    var load: Stage
    /// The fewest tokens of a prompt that the GPU takes through the CPU's layers, too.
    var broughtPromptTokens: Int?
    var rates: Rates
    var withMore: More?
    private let streamedBytes: Int
    private let contextTokens: Int

    private enum CodingKeys: CodingKey {
        case tokensPerSecond, token, promptTokens, firstToken, prefill, prefillTokensPerSecond, pageTokens
        case image, imagesTogether, imageOfBatch, pageFirstToken, load, broughtPromptTokens, rates, withMore
    }

    init?(_ outlook: PlanOutlook) {
        guard let prediction = outlook.prediction else { return nil }
        tokensPerSecond = prediction.tokensPerSecond
        token = Stage(prediction.token)
        promptTokens = prediction.promptTokens
        firstToken = Stage(prediction.firstToken)
        prefill = Stage(prediction.prefill)
        prefillTokensPerSecond = prediction.prefillTokensPerSecond
        pageTokens = prediction.pageTokens
        image = prediction.image.map(Stage.init)
        imagesTogether = prediction.batch?.count
        imageOfBatch = (prediction.batch?.image).map(Stage.init)
        pageFirstToken = prediction.pageFirstToken.map(Stage.init)
        load = Stage(prediction.load)
        broughtPromptTokens = prediction.broughtRows
        let rates = prediction.rates
        self.rates = Rates(
            memoryBytesPerSecond: rates.weightRate(of: outlook.plan.decodedByteCount),
            memory: rates.memoryOrigin.rawValue, diskBytesPerSecond: rates.disk,
            disk: rates.diskOrigin.rawValue, fourBitProductsPerSecond: rates.fourBitProducts,
            eightBitProductsPerSecond: rates.eightBitProducts, floatProductsPerSecond: rates.floatProducts,
            decompressionBytesPerSecond: rates.decompression, computing: rates.computingOrigin.rawValue)
        withMore = outlook.withMore.map { byteCount, contextLength, prediction in
            More(
                bytes: byteCount, contextTokens: contextLength, tokensPerSecond: prediction.tokensPerSecond,
                firstTokenSeconds: prediction.firstToken.seconds,
                pageFirstTokenSeconds: prediction.pageFirstToken?.seconds)
        }
        streamedBytes = outlook.plan.streamedByteCount
        contextTokens = outlook.plan.contextLength
    }

    /// For a person; `row` puts a name before a text.
    func lines(_ row: (String, String) -> String) -> [String] {
        var lines = [
            row("an answer", "\(tokensPerSecond.asFigure) tokens/s; \(reason(token))"),
            row(
                "its first token",
                "after \(firstToken.seconds.asFigure) s for a prompt of \(promptTokens.of("token")); "
                    + reason(firstToken)),
        ]
        if let pageTokens, let pageFirstToken {
            lines.append(
                row(
                    "of a page",
                    "after \(pageFirstToken.seconds.asFigure) s for \(pageTokens.of("visual token")) and a "
                        + "question; \(reason(pageFirstToken))"))
        }
        if let imagesTogether, let imageOfBatch {
            lines.append(
                row("of many pages", "\(imageOfBatch.seconds.asFigure) s each, \(imagesTogether) together"))
        }
        if let broughtPromptTokens {
            let path = streamedBytes > 0 ? "brought to it, from the disk on" : "brought to it"
            lines.append(
                row(
                    "prompts",
                    "the GPU's alone from \(broughtPromptTokens.of("token")) on: the CPU's layers are \(path)"
                ))
        }
        lines.append(row("loading", "\(load.seconds.asFigure) s"))
        if let withMore { lines.append(row("\(withMore.bytes.asBytes) more", gain(withMore))) }
        return lines + basis(row)
    }

    private func reason(_ stage: Stage) -> String {
        switch PlanPrediction.Bound(rawValue: stage.bound) {
        case .disk where stage.bound == token.bound && stage.seconds == token.seconds:
            "it waits for the disk, \(streamedBytes.asBytes) at \(rates.diskBytesPerSecond.asRate)"
        case .disk: "it waits for the disk"
        case .memory: "it waits for memory, read at \(rates.memoryBytesPerSecond.asRate)"
        case .computing, nil: "it waits for the processor"
        }
    }

    private func gain(_ more: More) -> String {
        var gains: [String] = []
        let gain = more.tokensPerSecond / tokensPerSecond
        if gain >= 1.005 {
            let rate = "\(more.tokensPerSecond.asFigure) tokens/s"
            gains.append(
                gain < 2
                    ? "\(rate), \(((gain - 1) * 100).fixed(0)) % more"
                    : "\(rate), \(gain.fixed(1)) times as many")
        }
        let share = more.firstTokenSeconds / firstToken.seconds
        if share < 0.95 { gains.append("a first token after \(more.firstTokenSeconds.asFigure) s") }
        if more.contextTokens > contextTokens {
            gains.append("a context of \(more.contextTokens.of("token"))")
        }
        return "would buy " + (gains.isEmpty ? "nothing" : gains.joined(separator: "; "))
    }

    /// Where the rates come from, and what to do about those that are not known.
    private func basis(_ row: (String, String) -> String) -> [String] {
        let origins = [("memory", rates.memory), ("disk", rates.disk), ("computing", rates.computing)]
        let parts = MachineRates.Origin.allCases.compactMap { origin -> String? in
            let names = origins.filter { $0.1 == origin.rawValue }.map(\.0)
            guard !names.isEmpty else { return nil }
            return "\(names.joined(separator: " and ")) \(origin.rawValue)"
        }
        let isCertain = origins.allSatisfy { $0.1 == MachineRates.Origin.measured.rawValue }
        let mend = isCertain ? "" : "; thimble devices --measure --model FILE measures this machine"
        return [row("rates", parts.joined(separator: ", ") + mend)]
    }
}

extension Double {
    /// With three digits that count, or all before the point.
    fileprivate var asFigure: String {
        fixed(self < 0.1 ? 3 : self < 10 ? 2 : self < 100 ? 1 : 0)
    }
}
