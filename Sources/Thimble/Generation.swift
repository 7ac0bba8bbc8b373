//! One answer: prefill, then token after token.

internal import Documents
internal import HostSystem
internal import ModelFile
internal import Models
internal import Tokenizers

/// One answer on its way, which comes a token at a time: `Session.begin` makes it, and `Session.generate`
/// runs one to its end.
///
/// Between two of its tokens other sessions of the engine may compute. Its own session is not to be changed
/// until `finish`.
public final class Generation {
    /// What one token brought.
    public struct Piece: Sendable {
        /// Nil where only text was left that had been held back.
        public var token: Int32?
        /// Whole characters: none where the token ends within one, or might begin a stop text.
        public var text: String
    }

    /// Why the answer has ended; nil while it goes on.
    public private(set) var finishReason: FinishReason?
    private let session: Session
    private let options: GenerationOptions
    /// What is yet to be looked at and computed; nil once the first token was asked for.
    private var prompt: (pieces: [PromptPiece], images: [RGBImage])?
    /// Whether the answer joins the conversation.
    private let joins: Bool
    private let promptTokens: Int
    private var detokenizer: Detokenizer
    private var stops: StopMatcher
    private var source: TokenSource?
    private var watch: ThermalWatch?

    private let start: Moment
    private var firstToken: Moment?
    private var end: Moment?
    private var text = ""
    private var generated = 0
    private var cachedTokens = 0
    private var imageTokens = 0
    private var visionSeconds = 0.0
    private var imagesEncoded = 0
    private var imagesCached = 0

    /// Checks that the prompt fits; computes nothing.
    init(
        _ session: Session, _ prompt: [PromptPiece], images: [RGBImage], _ options: GenerationOptions,
        joins: Bool
    ) throws(ThimbleError) {
        try options.sampling.validate()
        start = Moment.now
        promptTokens = try session.countFitting(prompt, images)
        let tokenizer = try session.engine.requireTokenizer()
        detokenizer = Detokenizer(tokenizer, skipsSpecialTokens: !options.showsSpecialTokens)
        stops = StopMatcher(options.stops)
        watch = session.engine.governor.map { ThermalWatch($0) }
        self.session = session
        self.options = options
        self.prompt = (prompt, images)
        self.joins = joins
    }

    deinit { endSource() }

    private var engine: Engine { session.engine }

    /// The next piece of the answer; nil when there is none, and it has ended. The first call computes the
    /// prompt.
    ///
    /// `shouldStop` is asked before each layer of the model. On an error the answer is over, and the
    /// conversation as before.
    public func next(shouldStop: () -> Bool = { false }) throws(ThimbleError) -> Piece? {
        guard finishReason == nil else { return nil }
        do throws(ThimbleError) {
            if let prompt {
                self.prompt = nil
                guard try look(at: prompt.images, in: prompt.pieces, shouldStop) else {
                    stop(.cancelled)
                    return nil
                }
            }
            return try draw(shouldStop)
        } catch {
            engine.distrustFeatures(after: error)
            stop(.cancelled)
            throw error
        }
    }

    /// Ends the answer, where it has not, and adds it to the conversation as far as it came.
    public func finish() -> GenerationResult {
        if finishReason == nil { stop(.cancelled) }
        let end = self.end ?? Moment.now
        if joins { session.append(Message(.assistant, text)) }
        return GenerationResult(
            text: text, finishReason: finishReason ?? .cancelled, promptTokens: promptTokens,
            cachedTokens: cachedTokens, imageTokens: imageTokens, imagesEncoded: imagesEncoded,
            imagesCached: imagesCached, generatedTokens: generated, visionSeconds: visionSeconds,
            firstTokenSeconds: start.duration(to: firstToken ?? end).seconds,
            decodeSeconds: (firstToken ?? end).duration(to: end).seconds)
    }

    /// Runs the answer to its end.
    func run(shouldStop: () -> Bool, receive: (String) -> Void) throws(ThimbleError) -> GenerationResult {
        while let piece = try next(shouldStop: shouldStop) {
            if !piece.text.isEmpty { receive(piece.text) }
        }
        return finish()
    }

    /// Makes the session's inputs those of the prompt, and the features of its images known; false when the
    /// caller asked to stop.
    private func look(
        at images: [RGBImage], in prompt: [PromptPiece], _ shouldStop: () -> Bool
    ) throws(ThimbleError) -> Bool {
        cachedTokens = try session.prepare(prompt, images)
        imageTokens = session.inputs.imageTokenCount
        var held = HeldFeatures()
        let report = try unsafe engine.look(
            at: images, in: session.inputs, session.sequence, logits: .none, holding: &held,
            shouldStop: shouldStop
        ) { _ in }
        guard let report else { return false }
        visionSeconds = report.seconds
        imagesEncoded = report.encoded
        imagesCached = images.count - report.encoded
        // Text that joins the answer moves nothing, unless tokens are long.
        let room = min(options.maximumTokens ?? .max, engine.contextLength - session.inputs.count)
        text.reserveCapacity(min(room * 8, 1 << 20))
        source = TokenSource(engine, options.sampling, session.inputs)
        return true
    }

    /// Draws the next token. It joins the session's inputs, unless it is the last one, which needs no keys
    /// and values.
    private func draw(_ shouldStop: () -> Bool) throws(ThimbleError) -> Piece? {
        guard generated < options.maximumTokens ?? .max else { return rest(.length) }
        watch?.wait(shouldStop)
        guard let token = try source?.next(session.inputs, session.sequence, shouldStop) else {
            return rest(.cancelled)
        }
        if firstToken == nil { firstToken = Moment.now }
        generated += 1
        if engine.endOfSequence.contains(token) { return rest(.stop, token) }
        let (piece, isStopped) = stops.push(detokenizer.append(token))
        text += piece
        if isStopped {
            stop(.stop)
            return Piece(token: token, text: piece)
        }
        // The prompt and the answer together are at most the context: this token filled it.
        if session.inputs.count + 1 >= engine.contextLength { return rest(.length, token, after: piece) }
        session.inputs.append(token)
        if generated >= options.maximumTokens ?? .max { return rest(.length, token, after: piece) }
        return Piece(token: token, text: piece)
    }

    /// Ends the answer with the text that was held back, after a token's own.
    private func rest(_ reason: FinishReason, _ token: Int32? = nil, after piece: String = "") -> Piece? {
        var (rest, isStopped) = stops.push(detokenizer.finish())
        if !isStopped { rest += stops.finish() }
        text += rest
        stop(isStopped ? .stop : reason)
        if token == nil && rest.isEmpty { return nil }
        return Piece(token: token, text: piece + rest)
    }

    private func stop(_ reason: FinishReason) {
        end = Moment.now
        finishReason = reason
        endSource()
    }

    /// What the device has computed beyond the answer is no part of it.
    private func endSource() {
        source?.finish(session.inputs, session.sequence)
        source = nil
    }
}
