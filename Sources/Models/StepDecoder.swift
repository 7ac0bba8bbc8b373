//! Decoding on the device: the model's part of a step, recorded once.

internal import ModelFile
public import Tensors

/// Decodes one sequence at a time by recorded steps: the host hears of tokens only.
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

    /// The most tokens that are decoded in a run.
    public static let mostInRun = 16

    /// A decoder for sequences of at most `contextLength` positions; nil where the model's backend has none,
    /// or not for a model of its shape. Throws `backend` where memory is refused.
    public init?(_ model: Glm4v, contextLength: Int) throws(ModelError) {
        guard let backend = model.backend as? any SteppingBackend else { return nil }
        self.model = model
        self.backend = backend
        let text = model.configuration.text
        let shape = StepShape(
            contextLength: contextLength, pageTokens: KVPool.pageTokens, vocabularySize: text.vocabularySize,
            queryHeads: text.headCount, kvHeads: text.kvHeadCount, headSize: text.headSize,
            frequencies: model.angles.frequencies)
        guard
            backend.canRecord(shape, besideAttention: model.layers.flatMap { [$0.qkv.layout, $0.o.layout] })
        else { return nil }
        do { state = try backend.makeStepState(shape) } catch { throw .backend(error) }
    }

    /// Draws the first token after `inputs`, whose logits are kept, and which `sequence` holds. Whatever
    /// `decode` needs is made here: that takes nothing.
    ///
    /// Returns nil when no logit is a number. Throws `backend` for a fault of the device.
    public func begin(
        _ inputs: InputSequence, _ sequence: KVSequence, draw: DrawParameters
    ) throws(ModelError) -> Int32? {
        precondition(sequence.length == inputs.count && inputs.count > 0)
        drawn = 0
        backend.begin(
            state, length: inputs.count, rotaryPosition: Int(inputs.nextPosition), pages: sequence.blockTable,
            draw: draw, seen: inputs.tokens)
        backend.draw(from: model.work.logits.rows(0..<1), draw.kind, state)
        var token: Int32?
        do throws(ModelError) {
            try readTokens(1) { token = $0[0] < 0 ? nil : $0[0] }
        } catch {
            sequence.dropUnconfirmed()
            throw error
        }
        sequence.confirm()
        sequence.share(as: inputs)
        step = try step(draw.kind, sequence)
        return token
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
        let count = min(count, Self.mostInRun, max(sequence.capacity - sequence.length, 1))
        try sequence.reserve(count)
        defer { sequence.releaseReserve() }
        backend.setPages(sequence.blockTable, of: state)
        backend.run(step, count: count)
        try readTokens(count, receive)
        sequence.commit(count)
        sequence.confirm()
    }

    private func readTokens(_ count: Int, _ receive: (Span<Int32>) -> Void) throws(ModelError) {
        do { try backend.readTokens(of: state, from: drawn, count: count, receive) } catch {
            throw .backend(error)
        }
        drawn += count
    }

    /// How long each dispatch of a greedy step takes, in the last of some runs of it; nothing where the
    /// device has no clock. What is drawn is lost.
    ///
    /// Precondition: as for `decode`.
    public func stepTimes(_ sequence: KVSequence) throws(ModelError) -> [DispatchTime] {
        guard let backend = backend as? any ProfilingBackend else { return [] }
        let runs = min(4, sequence.capacity - sequence.length)
        if runs < 1 { return [] }
        try sequence.reserve(runs)
        defer { sequence.releaseReserve() }
        let kind = DrawParameters.Kind(isGreedy: true, hasTopK: false, hasTopP: false)
        self.backend.setPages(sequence.blockTable, of: state)
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
        let (model, backend, state) = (self.model, self.backend, self.state)
        guard let table = model.embedding.matrix else { preconditionFailure("a step's weights are resident") }
        var fault: ModelError?
        let step = try backend.record(state) {
            do throws(ModelError) {
                var stream = ResidualStream(model.work, rows: 1)
                backend.beginStep(state, table: table, into: stream.residual)
                _ = try model.runLayers(
                    &stream, sequence.firstLayer, layerByteCount: sequence.pool.layerByteCount,
                    rotary: model.work.rotary.prefix(1), start: 0, { false })
                try model.keepLogits(stream)
                backend.draw(from: model.work.logits.rows(0..<1), kind, state)
            } catch { fault = error }
        }
        precondition(fault == nil, "nothing is read from the file for resident weights")
        return step
    }
}
