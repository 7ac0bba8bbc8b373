//! One answer: prefill, then token after token.

internal import ModelFile
internal import Models
internal import Tokenizers

/// The state of one generation.
struct Generation {
    private let engine: Engine
    private let options: GenerationOptions
    private let start: ContinuousClock.Instant
    private let clock = ContinuousClock()
    private let promptTokens: Int
    private var text = ""
    private var generated = 0
    private var firstToken: ContinuousClock.Instant?
    var cachedTokens = 0
    var imageTokens = 0
    var visionSeconds = 0.0
    var imagesEncoded = 0
    var imagesCached = 0

    init(
        session: Session, options: GenerationOptions, promptTokens: Int, start: ContinuousClock.Instant
    ) {
        engine = session.engine
        self.options = options
        self.promptTokens = promptTokens
        self.start = start
    }

    /// Runs to the end. The tokens generated join `inputs`, the last one excepted, which needs no keys and
    /// values.
    mutating func run(
        _ inputs: inout InputSequence, _ sequence: KVSequence, shouldStop: () -> Bool,
        receive: (String) -> Void
    ) throws(ThimbleError) -> GenerationResult {
        let tokenizer = try engine.requireTokenizer()
        var detokenizer = Detokenizer(tokenizer, skipsSpecialTokens: !options.showsSpecialTokens)
        var stops = StopMatcher(options.stops)
        var source = TokenSource(engine, options.sampling, inputs)
        // What the device has computed beyond the answer is no part of it.
        defer { source.finish(inputs, sequence) }
        func show(_ piece: String, in text: inout String) {
            if piece.isEmpty { return }
            text += piece
            receive(piece)
        }
        let endOfSequence = engine.endOfSequence
        var watch = engine.governor.map { ThermalWatch($0) }
        // Text that joins the answer moves nothing, unless tokens are long.
        let room = min(options.maximumTokens ?? .max, engine.contextLength - inputs.count)
        text.reserveCapacity(min(room * 8, 1 << 20))
        var reason = FinishReason.length
        while generated < options.maximumTokens ?? .max {
            watch?.wait(shouldStop)
            guard let token = try source.next(inputs, sequence, shouldStop) else {
                reason = .cancelled
                break
            }
            if firstToken == nil { firstToken = clock.now }
            generated += 1
            if endOfSequence.contains(token) {
                reason = .stop
                break
            }
            let (piece, isStopped) = stops.push(detokenizer.append(token))
            show(piece, in: &text)
            if isStopped { return result(.stop) }
            // The prompt and the answer together are at most the context: this token filled it.
            if inputs.count + 1 >= engine.contextLength { break }
            inputs.append(token)
        }
        let (piece, isStopped) = stops.push(detokenizer.finish())
        show(piece, in: &text)
        if isStopped { return result(.stop) }
        show(stops.finish(), in: &text)
        return result(reason)
    }

    /// The result as it stands: all that was generated so far.
    func result(_ reason: FinishReason) -> GenerationResult {
        let end = clock.now
        return GenerationResult(
            text: text, finishReason: reason, promptTokens: promptTokens, cachedTokens: cachedTokens,
            imageTokens: imageTokens, imagesEncoded: imagesEncoded, imagesCached: imagesCached,
            generatedTokens: generated, visionSeconds: visionSeconds,
            firstTokenSeconds: start.duration(to: firstToken ?? end).seconds,
            decodeSeconds: (firstToken ?? end).duration(to: end).seconds)
    }
}
