//! The decoder: GLM-4's four-norm layers over paged keys and values.

internal import Glibc
internal import ModelFile
internal import Tensors

/// Activations of one chunk. Shapes: `C` tokens of a chunk, `H` hidden, `Q` query width, `I` intermediate.
struct DecoderWork {
    /// Tokens that go through the layers together.
    static let chunkTokens = 512
    /// Positions whose logits are computed together.
    static let logitRows = 64

    let residual: any BackendMemory
    let delta: any BackendMemory
    let queries: any BackendMemory
    let attended: any BackendMemory
    let mlp: any BackendMemory
    let cosines: any BackendMemory
    let sines: any BackendMemory
    let logits: any BackendMemory
    /// Where the host reads logits: `[logitRows, vocabulary]`.
    let hostLogits: HostFloats

    /// Throws where memory is refused.
    init(_ text: TextConfiguration, on backend: any Backend) throws(BackendError) {
        func make(
            _ columns: Int, _ label: String, rows: Int = DecoderWork.chunkTokens
        ) throws(BackendError) -> any BackendMemory {
            try backend.makeMemory(byteCount: rows * columns * 4, label: label)
        }
        residual = try make(text.hiddenSize, "residual stream")
        delta = try make(text.hiddenSize, "block output")
        queries = try make(text.headCount * text.headSize, "queries")
        attended = try make(text.headCount * text.headSize, "attention output")
        mlp = try make(text.intermediateSize, "MLP")
        cosines = try make(text.rotarySize / 2, "rotary cosines")
        sines = try make(text.rotarySize / 2, "rotary sines")
        logits = try make(text.vocabularySize, "logits", rows: Self.logitRows)
        hostLogits = try HostFloats(count: Self.logitRows * text.vocabularySize)
    }
}

/// Floats of the host, owned; their values are undefined until written.
@safe final class HostFloats {
    let values: UnsafeMutableBufferPointer<Float>

    /// Unlike an array's, memory that is refused is an error, for `count` comes from a model file.
    init(count: Int) throws(BackendError) {
        guard let base = unsafe malloc(count * MemoryLayout<Float>.stride) else {
            throw BackendError(.outOfMemory, "no \(count * 4) bytes of host memory for logits")
        }
        unsafe values = UnsafeMutableBufferPointer(
            start: base.bindMemory(to: Float.self, capacity: count), count: count)
    }

    deinit { unsafe free(values.baseAddress) }
}

extension Glm4v {
    /// Whose logits a forward pass computes.
    public enum LogitRows: Sendable {
        /// The last position only.
        case last
        /// Every position.
        case all
    }

    /// Runs the inputs that `sequence` does not hold yet through the decoder.
    ///
    /// `receive` gets runs of logits, `[rows, vocabulary]` float32, in order of position: one row for
    /// `.last`. On a full context nothing has changed; after any other error the sequence holds the chunks
    /// that were done. `shouldStop` is asked before each chunk of 512 positions; when it says so, the rest is
    /// left for a later call and no last logits come.
    ///
    /// Throws `tokenOutOfRange`, `contextFull`, or `backend` for a fault of the device.
    /// Precondition: what `sequence` holds are the first positions of `inputs`.
    public func forward(
        _ inputs: InputSequence, into sequence: KVSequence, logits rows: LogitRows,
        shouldStop: () -> Bool = { false }, receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ModelError) {
        let vocabularySize = configuration.text.vocabularySize
        precondition(sequence.length <= inputs.count, "a sequence holds no more than its inputs")
        for token in inputs.tokens[sequence.length...] where token < 0 || token >= vocabularySize {
            throw .tokenOutOfRange(token: Int(token), vocabularySize: vocabularySize)
        }
        try sequence.reserve(inputs.count - sequence.length)
        defer { sequence.releaseReserve() }
        while sequence.length < inputs.count {
            if shouldStop() { return }
            let chunk = sequence.length..<min(sequence.length + DecoderWork.chunkTokens, inputs.count)
            let (residual, delta) = run(inputs, chunk, sequence)
            do throws(BackendError) {
                switch rows {
                case .all:
                    try unsafe computeLogits(residual, delta, receive)
                case .last where chunk.upperBound == inputs.count:
                    let last = chunk.count - 1..<chunk.count
                    try unsafe computeLogits(residual.rows(last), delta.rows(last), receive)
                case .last:
                    try backend.synchronize()
                }
            } catch { throw .backend(error) }
            sequence.commit(chunk.count)
        }
    }

    /// One chunk through all layers. What the last MLP computed has yet to join the residual.
    private func run(
        _ inputs: InputSequence, _ chunk: Range<Int>, _ sequence: KVSequence
    ) -> (residual: Activation, delta: Activation) {
        let text = configuration.text
        let count = chunk.count
        let queryWidth = text.headCount * text.headSize
        let residual = Activation(work.residual, rows: count, columns: text.hiddenSize)
        let delta = Activation(work.delta, rows: count, columns: text.hiddenSize)
        let queries = Activation(work.queries, rows: count, columns: queryWidth)
        let attended = Activation(work.attended, rows: count, columns: queryWidth)
        let mlp = Activation(work.mlp, rows: count, columns: text.intermediateSize)
        embed(inputs, chunk, into: residual)
        let rotary = makeRotary(for: inputs.positions[chunk])

        let firstLayer = sequence.firstLayer
        var previous: DecoderLayer?
        for (index, layer) in layers.enumerated() {
            let kv = firstLayer.moved(to: index * sequence.pool.layerByteCount)
            backend.project(
                joined(residual, delta, previous?.postMLPNorm, then: layer.inputNorm), layer.qkv,
                .attentionInputs(
                    queries: queries, bias: layer.qkvBias, rotary: rotary, kv: kv, start: chunk.lowerBound))
            backend.attention(
                queries: queries, kv: kv, start: chunk.lowerBound, length: chunk.upperBound, isCausal: true,
                scale: 1 / Float(text.headSize).squareRoot(), into: attended)
            backend.project(.plain(attended), layer.o, .store(delta, bias: nil))
            backend.project(
                joined(residual, delta, layer.postSelfAttentionNorm, then: layer.postAttentionNorm),
                layer.gateUp,
                .swiglu(mlp))
            backend.project(.plain(mlp), layer.down, .store(delta, bias: nil))
            previous = layer
        }
        return (residual, delta)
    }

    /// A layer's input: the residual, joined by what the block before computed unless this is the first.
    private func joined(
        _ residual: Activation, _ delta: Activation, _ deltaNorm: Vector?, then norm: Vector
    ) -> Prologue {
        let epsilon = configuration.text.rmsNormEpsilon
        guard let deltaNorm else { return .rmsNorm(residual, weight: norm, epsilon: epsilon) }
        return .residual(residual, adding: delta, deltaWeight: deltaNorm, weight: norm, epsilon: epsilon)
    }

    /// Token embeddings, with visual features in place of the placeholders'.
    private func embed(_ inputs: InputSequence, _ chunk: Range<Int>, into residual: Activation) {
        backend.embed(inputs.tokens.span.extracting(chunk), table: embedding, into: residual)
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

    private func makeRotary(for positions: ArraySlice<Position>) -> Rotary {
        let table = RotaryTable(positions: positions, configuration: configuration.text)
        let cosines = Activation(work.cosines, rows: positions.count, columns: table.pairs)
        let sines = Activation(work.sines, rows: positions.count, columns: table.pairs)
        unsafe table.cosines.withUnsafeBufferPointer { unsafe backend.write($0, to: cosines) }
        unsafe table.sines.withUnsafeBufferPointer { unsafe backend.write($0, to: sines) }
        return Rotary(cosines: cosines, sines: sines, pairing: .interleaved)
    }

    /// Waits for the device before each run of logits, and so for everything before it.
    private func computeLogits(
        _ residual: Activation, _ delta: Activation, _ receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(BackendError) {
        guard let last = layers.last else { preconditionFailure("a decoder has layers") }
        let vocabularySize = configuration.text.vocabularySize
        for start in stride(from: 0, to: residual.rows, by: DecoderWork.logitRows) {
            let rows = start..<min(start + DecoderWork.logitRows, residual.rows)
            let logits = Activation(work.logits, rows: rows.count, columns: vocabularySize)
            backend.project(
                joined(residual.rows(rows), delta.rows(rows), last.postMLPNorm, then: finalNorm), head,
                .store(logits, bias: nil))
            let values = unsafe UnsafeMutableBufferPointer(
                rebasing: work.hostLogits.values[0..<rows.count * vocabularySize])
            try backend.synchronize()
            unsafe backend.read(logits, into: values)
            unsafe receive(UnsafeBufferPointer(values))
        }
    }
}
