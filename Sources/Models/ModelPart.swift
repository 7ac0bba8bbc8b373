//! What one backend has of a model: weights, room to compute, and what brings weights that are not held.

internal import Memory
internal import ModelFile
internal import Tensors

/// A share of a model in the memory of the backend that computes it: all of it, or the first or the last
/// layers of the decoder with what stands before or behind them.
final class ModelPart {
    let backend: any Backend
    let share: ModelShare
    /// The most bytes that are brought here at once; nil for whatever there is.
    let mostFill: Int?
    /// Nil where tokens do not enter here.
    let embedding: EmbeddingTable?
    let layers: [DecoderLayer]
    /// Where the weights of each layer are.
    let layerSegments: [LoadedSegment]
    /// The norm of what the last layer of the part before has computed, and has yet to join; nil in the first
    /// part.
    let entryNorm: Vector?
    /// Nil where logits do not leave here.
    let head: Head?
    /// Nil where the tower is not here.
    let tower: VisionTower?
    /// Where everything is that a pass computes on. Its memory is made at load: a pass allocates none.
    let activations: ActivationPlan
    let arena: Arena
    let work: DecoderWork
    let visionWork: VisionWork?
    /// What brings the weights that are not resident; nil where all are.
    let store: WeightStore?
    private let scale: Float
    let epsilon: Float

    /// Weights of one decoder layer. Shapes: `H` hidden, `Q` query width, `K` key width, `I` intermediate.
    struct DecoderLayer {
        let inputNorm: Vector
        /// `[Q + 2K, H]`: query, key and value rows.
        let qkv: WeightMatrix
        let qkvBias: Vector?
        /// `[H, Q]`
        let o: WeightMatrix
        let postSelfAttentionNorm: Vector
        let postAttentionNorm: Vector
        /// `[2I, H]`: gate and up rows alternate.
        let gateUp: WeightMatrix
        /// `[H, I]`
        let down: WeightMatrix
        let postMLPNorm: Vector
    }

    /// From the residual stream to logits.
    struct Head {
        let norm: Vector
        /// The output matrix, in runs of its rows: one run where it is held.
        let pieces: [WeightMatrix]
        /// `[logit rows of the plan, vocabulary]`
        let logits: Activation
    }

    /// Takes memory for `plan`, and loads what is held there from `file`. `entryNorm` is handed over by the
    /// part before.
    ///
    /// Throws as `Glm4v` does.
    init(
        _ plan: PartPlan, of file: ModelFile, contextLength: Int, _ limits: ActivationLimits,
        entryNorm: [Float]?, threadCount: Int, progress: (Double) -> Void
    ) throws(ModelError) {
        let (backend, share, residency) = (plan.backend, plan.share, plan.residency)
        self.backend = backend
        self.share = share
        mostFill = plan.mostFill
        let configuration = file.configuration
        let text = configuration.text
        epsilon = text.rmsNormEpsilon
        scale = 1 / Float(text.headSize).squareRoot()
        activations = ActivationPlan(
            ModelOutline(file), of: share, contextLength: contextLength, limits, on: backend)
        do { arena = try Arena(activations.arena, on: backend) } catch { throw .backend(error) }
        let arena = self.arena
        work = DecoderWork(text, in: arena)
        let vision = share.hasTower ? configuration.vision : nil
        visionWork = vision.map { VisionWork($0, in: arena) }
        store =
            residency.arenaByteCount > 0 || residency.embeddingTiles != nil
            ? try WeightStore(
                residency, of: file, on: backend, threadCount: max(threadCount, WeightStore.leastThreads))
            : nil
        self.entryNorm = try entryNorm.map { (values) throws(ModelError) in
            try Self.vector(values, on: backend)
        }
        var loader = try SegmentLoader(
            file, residency, on: backend, store: store, threadCount: threadCount, mostFill: plan.mostFill)
        func load(_ name: String) throws(ModelError) -> LoadedSegment {
            try loader.load(name, progress: progress)
        }
        let inventory = WeightInventory(ModelOutline(file))
        let needsTable = share.isFirst || share.isLast && text.tiesEmbedding
        let embedded = needsTable ? try load("embedding") : nil
        if let embedded, share.isFirst {
            embedding = try EmbeddingTable(
                embedded, of: file, inventory, residency, tokenCount: limits.chunkTokens, store: store,
                on: backend)
        } else {
            embedding = nil
        }
        let segments = try share.layers.map { (index) throws(ModelError) in try load("layers.\(index)") }
        layerSegments = segments
        layers = try segments.map { (segment) throws(ModelError) in try DecoderLayer(segment, text) }
        if share.isLast {
            let segment = try load("head")
            let output = text.tiesEmbedding ? embedded ?? segment : segment
            head = Head(
                norm: try segment.vector("norm", count: text.hiddenSize),
                pieces: try output.pieces(
                    of: inventory.head.tensor, rows: text.vocabularySize, columns: text.hiddenSize),
                logits: arena.activation("logits", columns: text.vocabularySize))
        } else {
            head = nil
        }
        if let vision { tower = try VisionTower(vision, load: load) } else { tower = nil }
        // Last of all: the disk is first asked for what loading waits for.
        store?.start()
    }

    /// A vector of those numbers.
    private static func vector(_ values: [Float], on backend: any Backend) throws(ModelError) -> Vector {
        let byteCount = values.count * 4
        let memory: any BackendMemory
        do {
            memory = try backend.makeMemory(
                byteCount: byteCount, label: ModelPart.entryNormLabel, use: .weights)
        } catch { throw .backend(error) }
        unsafe backend.fill(memory, 0..<byteCount) { bytes in
            for (index, value) in values.enumerated() {
                unsafe bytes.storeBytes(of: value, toByteOffset: index * 4, as: Float.self)
            }
        }
        return Vector(memory, offset: 0, count: values.count)
    }

    /// What `entryNorm` is drawn as.
    static let entryNormLabel = "norms and biases"

    /// The matrix where it is now. Throws `file` for a fault of the file.
    func here(_ weight: WeightMatrix) throws(ModelError) -> Matrix {
        if let store { return try store.matrix(weight) }
        return weight.resident
    }

    // MARK: Computing

    /// As many tokens as `stream` has rows, the first of which stands at `start`, through these layers. False
    /// when the caller asked to stop.
    func run(
        _ stream: inout ResidualStream, _ sequence: KVSequence, start: Int, _ shouldStop: () -> Bool
    ) throws(ModelError) -> Bool {
        var deltaNorm = entryNorm
        for (number, layer) in layers.enumerated() {
            if shouldStop() { return false }
            let following = number + 1 < layers.count ? layers[number + 1].qkv : head?.pieces.first
            try run(
                layer, &stream, joining: deltaNorm, sequence.layer(share.layers.lowerBound + number),
                start: start, before: following)
            deltaNorm = layer.postMLPNorm
        }
        // While another part computes what comes next, this one's next pass is read.
        if !share.isLast { store?.end() }
        return true
    }

    /// The rows of `stream` through one layer, its own or one that was brought here: as many at a time as
    /// there is room for. `deltaNorm` is that of what the layer before has computed; nil for the first one.
    /// `following` is the matrix that comes after the layer, where that is known.
    func run(
        _ layer: DecoderLayer, _ stream: inout ResidualStream, joining deltaNorm: Vector?, _ kv: PagedKV,
        start: Int, before following: WeightMatrix? = nil
    ) throws(ModelError) {
        let (count, most) = (stream.delta.rows, work.queries.rows)
        var first = 0
        while first + most < count {
            var rows = stream.rows(first..<first + most)
            try run(layer, &rows, joining: deltaNorm, kv, start: start, from: first, before: layer.qkv)
            first += most
        }
        var last = stream.rows(first..<count)
        try run(layer, &last, joining: deltaNorm, kv, start: start, from: first, before: following)
        // All rows have gone from one place to the other alike.
        stream.advance(like: last)
    }

    /// Some rows of a chunk that begins at `start`: those from `first` of it on.
    private func run(
        _ layer: DecoderLayer, _ stream: inout ResidualStream, joining deltaNorm: Vector?, _ kv: PagedKV,
        start: Int, from first: Int, before following: WeightMatrix?
    ) throws(ModelError) {
        let count = stream.delta.rows
        let (queries, attended) = (work.queries.rows(0..<count), work.attended.rows(0..<count))
        let (mlp, rotary) = (work.mlp.rows(0..<count), work.rotary.rows(first..<first + count))
        let start = start + first
        backend.expect(layer.o.held)
        backend.project(
            joined(&stream, deltaNorm, then: layer.inputNorm), try here(layer.qkv),
            .attentionInputs(queries: queries, bias: layer.qkvBias, rotary: rotary, kv: kv, start: start))
        backend.attention(
            queries: queries, kv: kv, start: start, length: start + count, isCausal: true, scale: scale,
            into: attended)
        backend.expect(layer.gateUp.held)
        backend.project(.plain(attended), try here(layer.o), .store(stream.delta, bias: nil))
        backend.expect(layer.down.held)
        backend.project(
            joined(&stream, layer.postSelfAttentionNorm, then: layer.postAttentionNorm),
            try here(layer.gateUp), .swiglu(mlp))
        backend.expect(following?.held)
        backend.project(.plain(mlp), try here(layer.down), .store(stream.delta, bias: nil))
    }

    /// The norm of what the last of these layers, or of those before, has left to join the residual.
    var exitNorm: Vector? { layers.last?.postMLPNorm ?? entryNorm }

    /// The numbers of `exitNorm`, for the part that follows. Throws `backend` for a fault of the device.
    func exitNormValues() throws(ModelError) -> [Float] {
        guard let norm = exitNorm else { preconditionFailure("a part that another one follows has layers") }
        var values: [Float] = []
        let row = Activation(norm.memory, offset: norm.offset, rows: 1, columns: norm.count)
        do { try unsafe backend.read(row) { unsafe values.append(contentsOf: $0) } } catch {
            throw .backend(error)
        }
        return values
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

    /// The logits of `stream`'s rows, where they lie; nothing is waited for.
    ///
    /// Precondition: logits leave here; one row where the head has pieces.
    @discardableResult
    func computeLogits(_ stream: ResidualStream) throws(ModelError) -> Activation {
        guard let head else { preconditionFailure("logits leave by the last part") }
        var stream = stream
        let logits = head.logits.rows(0..<stream.delta.rows)
        let input = joined(&stream, exitNorm, then: head.norm)
        if head.pieces.count == 1 {
            backend.project(input, try here(head.pieces[0]), .store(logits, bias: nil))
            return logits
        }
        var first = 0
        for piece in head.pieces {
            backend.project(
                first == 0 ? input : .rmsNorm(stream.residual, weight: head.norm, epsilon: epsilon),
                try here(piece), .store(logits.columns(first..<first + piece.layout.rows), bias: nil))
            first += piece.layout.rows
        }
        return logits
    }
}

extension ModelPart.DecoderLayer {
    init(_ segment: LoadedSegment, _ text: TextConfiguration) throws(ModelError) {
        let hidden = text.hiddenSize
        let queryWidth = text.headCount * text.headSize
        let outputs = queryWidth + 2 * text.kvHeadCount * text.headSize
        inputNorm = try segment.vector("input_layernorm", count: hidden)
        qkv = try segment.matrix("qkv", rows: outputs, columns: hidden)
        qkvBias = text.hasQKVBias ? try segment.vector("qkv.bias", count: outputs) : nil
        o = try segment.matrix("o", rows: hidden, columns: queryWidth)
        postSelfAttentionNorm = try segment.vector("post_self_attn_layernorm", count: hidden)
        postAttentionNorm = try segment.vector("post_attention_layernorm", count: hidden)
        gateUp = try segment.matrix("gate_up", rows: 2 * text.intermediateSize, columns: hidden)
        down = try segment.matrix("down", rows: hidden, columns: text.intermediateSize)
        postMLPNorm = try segment.vector("post_mlp_layernorm", count: hidden)
    }
}
