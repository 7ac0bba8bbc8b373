//! GLM-4 with eyes: the weights of a Glm4v (or of a text-only Glm4) and where they come from.

public import Memory
public import ModelFile
public import Tensors

/// One `Glm4vForConditionalGeneration` or `Glm4ForCausalLM` in a backend's memory.
///
/// The decoder is in `Glm4v+Decoder.swift`, the vision tower in `Glm4v+Vision.swift`. The model holds weights
/// and room to compute; what a conversation has computed so far lives in its `InputSequence` and
/// `KVSequence`, and what images have become in a `VisualFeatureStore`.
public final class Glm4v {
    public let configuration: ModelConfiguration
    public let backend: any Backend
    let embedding: EmbeddingTable
    let layers: [DecoderLayer]
    let finalNorm: Vector
    /// The output matrix, in runs of its rows: one run where it is held.
    let head: [WeightMatrix]
    /// What brings the weights that are not resident; nil where all are.
    let store: WeightStore?
    let vision: VisionTower?
    /// Where everything is that a pass computes on. Its memory is made at load: a pass allocates none.
    public let activations: ActivationPlan
    let arena: Arena
    let work: DecoderWork
    let visionWork: VisionWork?
    let angles: DecoderAngles

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

    /// Makes room to compute on prompts, images included, of at most `contextLength` tokens; then reads the
    /// resident weights, on `threadCount` threads, and begins to bring the others, which those threads go on
    /// with. `progress` hears the share of the resident bytes read so far.
    ///
    /// Throws `file` for a fault of the file, `mismatch` where it lacks what its configuration calls for,
    /// `backend` where memory is refused.
    /// Precondition: `contextLength` is positive; `residency` was made for the file, and is whole where the
    /// backend's memory is not the host's.
    public init(
        file: ModelFile, contextLength: Int, activations limits: ActivationLimits = ActivationLimits(),
        residency: Residency? = nil, on backend: any Backend, threadCount: Int = 1,
        progress: (Double) -> Void = { _ in }
    ) throws(ModelError) {
        do { try file.checkSchema() } catch { throw .file(error) }
        let configuration = file.configuration
        self.configuration = configuration
        self.backend = backend
        let text = configuration.text
        activations = ActivationPlan(
            ModelOutline(file), contextLength: contextLength, limits, on: backend)
        do { arena = try Arena(activations.arena, on: backend) } catch { throw .backend(error) }
        let arena = self.arena
        work = DecoderWork(text, in: arena)
        visionWork = configuration.vision.map { VisionWork($0, in: arena) }
        angles = DecoderAngles(text)
        let inventory = WeightInventory(ModelOutline(file))
        let residency = residency ?? .whole(inventory)
        // First of all: its threads read while the rest is loaded.
        store =
            residency.arenaByteCount > 0
            ? try WeightStore(
                residency, of: file, on: backend, threadCount: max(threadCount, WeightStore.leastThreads))
            : nil
        var loader = try SegmentLoader(file, residency, on: backend, threadCount: threadCount)
        func load(_ name: String) throws(ModelError) -> LoadedSegment {
            try loader.load(name, progress: progress)
        }
        let embedded = try load("embedding")
        if let tiles = residency.embeddingTiles {
            embedding = try EmbeddingTable(
                file.segments[inventory.embedding], of: file, tileCount: tiles,
                tokenCount: limits.chunkTokens, on: backend)
        } else {
            embedding = EmbeddingTable(
                try embedded.residentMatrix(
                    "embed_tokens", rows: text.vocabularySize, columns: text.hiddenSize), on: backend)
        }
        var layers: [DecoderLayer] = []
        for index in 0..<text.layerCount {
            layers.append(try DecoderLayer(try load("layers.\(index)"), text))
        }
        self.layers = layers
        let head = try load("head")
        finalNorm = try head.vector("norm", count: text.hiddenSize)
        let output = text.tiesEmbedding ? embedded : head
        self.head = try output.pieces(
            of: inventory.head.tensor, rows: text.vocabularySize, columns: text.hiddenSize)
        if let vision = configuration.vision {
            self.vision = try VisionTower(vision, load: load)
        } else {
            vision = nil
        }
    }

    /// The matrix where it is now. Throws `file` for a fault of the file.
    func here(_ weight: WeightMatrix) throws(ModelError) -> Matrix {
        if let store { return try store.matrix(weight) }
        return weight.resident
    }
}

extension Glm4v.DecoderLayer {
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
