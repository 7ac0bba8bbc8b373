//! Decoding on the device: the model's part of a step, recorded once.

internal import ModelFile
public import Tensors

/// Decodes one sequence at a time by recorded steps: the host hears of tokens only.
///
/// Where the model's first layers are computed elsewhere, a step begins where they end: each token then goes
/// through those first, and the step is handed its residual stream.
///
/// A prompt goes through `Glm4v.forward(_:into:logits:)` with its logits `.kept`; `begin` draws from them,
/// and `decode` goes on from there.
public final class StepDecoder {
    private let model: Glm4v
    private let backend: any SteppingBackend
    private let state: any StepState
    /// By how they draw; recorded when an answer first asks for it.
    private var steps: [DrawParameters.Kind: any RecordedStep] = [:]
    /// The one of the answer that is being decoded.
    private var step: (any RecordedStep)?
    /// Tokens drawn since `begin`.
    private var drawn = 0
    /// The number of the last `begin`: `decode` goes on with the sequence of that one.
    public private(set) var turn = 0
    /// The token that was drawn last, and where it stands; for a model whose first layers are elsewhere.
    private var token: [Int32] = [0]
    private var position = [Position(time: 0, height: 0, width: 0)]

    /// The most tokens that are decoded in a run.
    public let mostInRun: Int
    /// Where the device has all layers: each step finds its token there.
    private static let mostQueued = 16

    /// A decoder for sequences of `pool` of at most `contextLength` positions; nil where the model's backend
    /// has none, or not for a model of its shape. Throws `backend` where memory is refused.
    public init?(_ model: Glm4v, _ pool: KVPool, contextLength: Int) throws(ModelError) {
        guard let backend = model.backend as? any SteppingBackend else { return nil }
        self.model = model
        self.backend = backend
        let text = model.configuration.text
        let shape = StepShape(
            contextLength: contextLength, pageTokens: pool.pageTokens, kvType: pool.type,
            vocabularySize: text.vocabularySize,
            queryHeads: text.headCount, kvHeads: text.kvHeadCount, headSize: text.headSize,
            frequencies: model.angles.frequencies)
        let layouts = model.last.layers.flatMap { [$0.qkv.layout, $0.o.layout] }
        guard backend.canRecord(shape, besideAttention: layouts) else { return nil }
        mostInRun = model.parts.count == 1 ? Self.mostQueued : 1
        do { state = try backend.makeStepState(shape) } catch { throw .backend(error) }
    }

    /// Draws the first token after `inputs`, whose logits are kept, and which `sequence` holds. Whatever
    /// `decode` needs is made here: that takes nothing. `tokens` are those of the inputs that were drawn, for
    /// an answer that goes on after the device has decoded another one.
    ///
    /// Returns nil when no logit is a number. Throws `backend` for a fault of the device.
    public func begin(
        _ inputs: InputSequence, _ sequence: KVSequence, draw: DrawParameters,
        drawn tokens: ArraySlice<Int32> = []
    ) throws(ModelError) -> Int32? {
        precondition(sequence.length == inputs.count && inputs.count > 0)
        drawn = 0
        turn += 1
        backend.begin(
            state, length: inputs.count, rotaryPosition: Int(inputs.nextPosition), pages: sequence.blockTable,
            draw: draw, seen: inputs.tokens, drawn: tokens)
        backend.draw(from: logits, draw.kind, state)
        var token: Int32?
        do throws(ModelError) {
            try readTokens(1) { token = $0[0] < 0 ? nil : $0[0] }
        } catch {
            sequence.dropUnconfirmed()
            throw error
        }
        sequence.confirm()
        sequence.share(as: inputs)
        let next = inputs.nextPosition
        position[0] = Position(time: next, height: next, width: next)
        step = try step(draw.kind, sequence)
        return token
    }

    private var logits: Activation {
        guard let head = model.last.head else { preconditionFailure("logits leave by the last part") }
        return head.logits.rows(0..<1)
    }

    /// Runs up to `count` steps, no more than the sequence has room for, and lends the tokens they drew. The
    /// sequence then holds the token drawn before and all of these but the last. Tokens from a negative one
    /// on could not be drawn.
    ///
    /// Throws `contextFull` where there is room for none, `backend` for a fault of the device.
    /// Precondition: `begin` came before, and `sequence` has not changed since; `count` is positive.
    public func decode(
        _ sequence: KVSequence, count: Int, _ receive: (Span<Int32>) -> Void
    ) throws(ModelError) {
        guard let step else { preconditionFailure("begin comes before decode") }
        let count = min(count, mostInRun, max(sequence.capacity - sequence.length, 1))
        try sequence.reserve(count)
        defer { sequence.releaseReserve() }
        backend.setPages(sequence.blockTable, of: state)
        try enter(sequence)
        backend.run(step, count: count)
        try readTokens(count, receive)
        let next = position[0].time + Int32(count)
        position[0] = Position(time: next, height: next, width: next)
        sequence.commit(count)
        sequence.confirm()
    }

    /// Brings the token that was drawn last to where a step begins, where layers before it are elsewhere.
    private func enter(_ sequence: KVSequence) throws(ModelError) {
        guard model.parts.count > 1 else { return }
        let (token, position) = (self.token, self.position)
        try model.enter(token.span, position[...], at: sequence.length, sequence)
    }

    private func readTokens(_ count: Int, _ receive: (Span<Int32>) -> Void) throws(ModelError) {
        var last: Int32 = 0
        do {
            try backend.readTokens(of: state, from: drawn, count: count) { tokens in
                last = tokens[count - 1]
                receive(tokens)
            }
        } catch { throw .backend(error) }
        // One that could not be drawn has no row; what comes of it is nothing that anybody reads.
        token[0] = max(last, 0)
        drawn += count
    }

    /// How long each dispatch of a greedy step takes, in the last of some runs of it; nothing where the
    /// device has no clock. What is drawn is lost.
    ///
    /// Precondition: as for `decode`.
    public func stepTimes(_ sequence: KVSequence) throws(ModelError) -> [DispatchTime] {
        guard let backend = backend as? any ProfilingBackend else { return [] }
        let runs = min(4, mostInRun, sequence.capacity - sequence.length)
        if runs < 1 { return [] }
        try sequence.reserve(runs)
        defer { sequence.releaseReserve() }
        let kind = DrawParameters.Kind(isGreedy: true, hasTopK: false, hasTopP: false)
        self.backend.setPages(sequence.blockTable, of: state)
        try enter(sequence)
        do {
            try backend.startProfile()
            let step = try record(kind, sequence)
            self.backend.run(step, count: runs)
            return try backend.takeProfile()
        } catch { throw .backend(error) }
    }

    /// The step that draws in that way; recorded unless it was before.
    private func step(
        _ kind: DrawParameters.Kind, _ sequence: KVSequence
    ) throws(ModelError) -> any RecordedStep {
        if let step = steps[kind] { return step }
        do {
            let step = try record(kind, sequence)
            steps[kind] = step
            return step
        } catch { throw .backend(error) }
    }

    private func record(
        _ kind: DrawParameters.Kind, _ sequence: KVSequence
    ) throws(BackendError) -> any RecordedStep {
        let (backend, state) = (self.backend, self.state)
        let (part, logits) = (model.last, self.logits)
        var fault: ModelError?
        let step = try backend.record(state) {
            do throws(ModelError) {
                var stream = ResidualStream(part.work, rows: 1)
                if let embedding = part.embedding {
                    guard let table = embedding.matrix else {
                        preconditionFailure("a step's weights are resident")
                    }
                    backend.beginStep(state, table: table, into: stream.residual)
                } else {
                    backend.beginStep(state)
                }
                _ = try part.run(&stream, sequence, start: 0, { false })
                try part.computeLogits(stream)
                backend.draw(from: logits, kind, state)
            } catch { fault = error }
        }
        precondition(fault == nil, "nothing is read from the file for resident weights")
        return step
    }
}
