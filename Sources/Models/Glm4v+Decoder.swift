//! The decoder: GLM-4's four-norm layers over paged keys and values.

internal import Memory
internal import ModelFile
internal import Tensors

extension Glm4v {
    /// Whose logits a forward pass computes.
    public enum LogitRows: Sendable {
        /// The last position only.
        case last
        /// The last position only, left on the device for a `StepDecoder`; `receive` is not called.
        case kept
        /// Every position.
        case all
        /// None: there are more inputs to come before anybody asks.
        case none
    }

    /// Runs the inputs that `sequence` does not hold yet through the decoder, or those before `end` of them.
    ///
    /// Pages that become full are known by their inputs from then on.
    ///
    /// `receive` gets runs of logits, `[rows, vocabulary]` float32, in order of position: one row for
    /// `.last`. On a full context nothing has changed; after any other error the sequence holds the chunks
    /// that were done. `shouldStop` is asked before each layer of each chunk of positions; when it says
    /// so, the chunk and the rest are left for a later call and no last logits come.
    ///
    /// Throws `tokenOutOfRange`, `contextFull`, or `backend` for a fault of the device.
    /// Precondition: what `sequence` holds are the first positions of `inputs`; the features of images that
    /// are yet to run are in their store; `end` is none of the positions held.
    public func forward(
        _ inputs: InputSequence, upTo end: Int? = nil, into sequence: KVSequence, logits rows: LogitRows,
        shouldStop: () -> Bool = { false }, receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ModelError) {
        let vocabularySize = configuration.text.vocabularySize
        let end = end ?? inputs.count
        precondition(
            end <= inputs.count && sequence.length <= end, "a sequence holds no more than its inputs")
        for token in inputs.tokens[sequence.length..<end] where token < 0 || token >= vocabularySize {
            throw .tokenOutOfRange(token: Int(token), vocabularySize: vocabularySize)
        }
        try sequence.wake()
        try sequence.reserve(end - sequence.length)
        defer { sequence.releaseReserve() }
        while sequence.length < end {
            let chunk = sequence.length..<min(sequence.length + activations.limits.chunkTokens, end)
            guard let stream = try run(inputs, chunk, sequence, shouldStop) else { return }
            switch rows {
            case .all:
                try unsafe computeLogits(stream, receive)
            case .last where chunk.upperBound == end:
                let last = chunk.count - 1..<chunk.count
                try unsafe computeLogits(stream.rows(last), receive)
            case .kept where chunk.upperBound == end:
                try keepLogits(stream.rows(chunk.count - 1..<chunk.count))
                // Nothing was waited for: whoever reads what comes of the logits confirms this.
                return sequence.commit(chunk.count)
            case .last, .kept, .none:
                do { try backend.synchronize() } catch { throw .backend(error) }
            }
            sequence.commit(chunk.count)
            sequence.confirm()
            sequence.share(as: inputs)
        }
    }

    /// One chunk through all layers. What the last MLP computed has yet to join the residual. Nil when the
    /// caller asked to stop.
    private func run(
        _ inputs: InputSequence, _ chunk: Range<Int>, _ sequence: KVSequence, _ shouldStop: () -> Bool
    ) throws(ModelError) -> ResidualStream? {
        let count = chunk.count
        var stream = ResidualStream(work, rows: count)
        store?.begin(.decoder)
        try embed(inputs, chunk, into: stream.residual)
        let rotary = work.rotary.prefix(count)
        angles.write(inputs.positions[chunk], into: rotary, on: backend)

        let isDone = try runLayers(
            &stream, sequence.firstLayer, layerByteCount: sequence.pool.layerByteCount, rotary: rotary,
            start: chunk.lowerBound, shouldStop)
        return isDone ? stream : nil
    }

    /// As many tokens as `stream` has rows, the first of which stands at `start`, through all layers. False
    /// when the caller asked to stop.
    func runLayers(
        _ stream: inout ResidualStream, _ firstLayer: PagedKV, layerByteCount: Int, rotary: Rotary,
        start: Int, _ shouldStop: () -> Bool
    ) throws(ModelError) -> Bool {
        let text = configuration.text
        let count = stream.delta.rows
        let (queries, attended) = (work.queries.rows(0..<count), work.attended.rows(0..<count))
        let mlp = work.mlp.rows(0..<count)
        var previous: DecoderLayer?
        for (index, layer) in layers.enumerated() {
            if shouldStop() { return false }
            let kv = firstLayer.moved(to: index * layerByteCount)
            backend.project(
                joined(&stream, previous?.postMLPNorm, then: layer.inputNorm), try here(layer.qkv),
                .attentionInputs(
                    queries: queries, bias: layer.qkvBias, rotary: rotary, kv: kv, start: start))
            backend.attention(
                queries: queries, kv: kv, start: start, length: start + count, isCausal: true,
                scale: 1 / Float(text.headSize).squareRoot(), into: attended)
            backend.project(.plain(attended), try here(layer.o), .store(stream.delta, bias: nil))
            backend.project(
                joined(&stream, layer.postSelfAttentionNorm, then: layer.postAttentionNorm),
                try here(layer.gateUp), .swiglu(mlp))
            backend.project(.plain(mlp), try here(layer.down), .store(stream.delta, bias: nil))
            previous = layer
        }
        return true
    }

    /// A layer's input: the residual, joined by what the block before computed unless this is the first.
    private func joined(
        _ stream: inout ResidualStream, _ deltaNorm: Vector?, then norm: Vector
    ) -> Prologue {
        guard let deltaNorm else { return .rmsNorm(stream.residual, weight: norm, epsilon: epsilon) }
        defer { stream.advance() }
        return .residual(
            stream.residual, adding: stream.delta, deltaWeight: deltaNorm, weight: norm, epsilon: epsilon,
            into: stream.next)
    }

    /// Token embeddings, with visual features in place of the placeholders'.
    private func embed(
        _ inputs: InputSequence, _ chunk: Range<Int>, into residual: Activation
    ) throws(ModelError) {
        try embedding.look(up: inputs.tokens.span.extracting(chunk), into: residual)
        for image in inputs.images {
            let visible = chunk.clamped(to: image.start..<image.end)
            if visible.isEmpty { continue }
            backend.copy(
                image.features.values.rows(
                    visible.lowerBound - image.start..<visible.upperBound - image.start),
                to: residual.rows(
                    visible.lowerBound - chunk.lowerBound..<visible.upperBound - chunk.lowerBound))
        }
    }

    /// The logits of one position into `work.logits`; nothing is waited for.
    func keepLogits(_ stream: ResidualStream) throws(ModelError) {
        try projectHead(stream)
    }

    /// Waits for the device before each run of logits, and so for everything before it.
    private func computeLogits(
        _ stream: ResidualStream, _ receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ModelError) {
        // Pieces of the output matrix give logits of a row apart from those of the next.
        let most = head.count == 1 ? activations.limits.logitRows : 1
        for start in stride(from: 0, to: stream.delta.rows, by: most) {
            let rows = start..<min(start + most, stream.delta.rows)
            // Each run of rows goes through the pieces from the first on.
            if start > 0 { store?.begin(.decoder) }
            try projectHead(stream.rows(rows))
            do { try unsafe backend.read(work.logits.rows(0..<rows.count), receive) } catch {
                throw .backend(error)
            }
        }
    }

    /// The logits of `stream`'s rows into `work.logits`. Precondition: one row where the head has pieces.
    private func projectHead(_ stream: ResidualStream) throws(ModelError) {
        guard let last = layers.last else { preconditionFailure("a decoder has layers") }
        var stream = stream
        let logits = work.logits.rows(0..<stream.delta.rows)
        let input = joined(&stream, last.postMLPNorm, then: finalNorm)
        if head.count == 1 {
            return backend.project(input, try here(head[0]), .store(logits, bias: nil))
        }
        var first = 0
        for piece in head {
            backend.project(
                first == 0 ? input : .rmsNorm(stream.residual, weight: finalNorm, epsilon: epsilon),
                try here(piece), .store(logits.columns(first..<first + piece.layout.rows), bias: nil))
            first += piece.layout.rows
        }
    }

    private var epsilon: Float { configuration.text.rmsNormEpsilon }
}

/// The residual stream on its way through the layers.
struct ResidualStream {
    private(set) var residual: Activation
    /// Where the next sum goes.
    private(set) var next: Activation
    /// What the block before has computed, and has yet to join.
    let delta: Activation

    init(_ work: DecoderWork, rows: Int) {
        residual = work.residuals.0.rows(0..<rows)
        next = work.residuals.1.rows(0..<rows)
        delta = work.delta.rows(0..<rows)
    }

    private init(residual: Activation, next: Activation, delta: Activation) {
        self.residual = residual
        self.next = next
        self.delta = delta
    }

    func rows(_ range: Range<Int>) -> ResidualStream {
        ResidualStream(residual: residual.rows(range), next: next.rows(range), delta: delta.rows(range))
    }

    /// The sum has been asked for: it is the residual from now on.
    mutating func advance() { swap(&residual, &next) }
}
