//! GLM-4 with eyes: the weights of a Glm4v (or of a text-only Glm4) and where they come from.

public import ModelFile
public import Tensors

/// One `Glm4vForConditionalGeneration` or `Glm4ForCausalLM` in a backend's memory.
///
/// The decoder is in `Glm4v+Decoder.swift`, the vision tower in `Glm4v+Vision.swift`. The model holds weights
/// and room to compute; what a conversation has computed so far lives in its `InputSequence`, `KVSequence`
/// and `VisualFeatureStore`.
public final class Glm4v {
    public let configuration: ModelConfiguration
    public let backend: any Backend
    let embedding: Matrix
    let layers: [DecoderLayer]
    let finalNorm: Vector
    let head: Matrix
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
        let qkv: Matrix
        let qkvBias: Vector?
        /// `[H, Q]`
        let o: Matrix
        let postSelfAttentionNorm: Vector
        let postAttentionNorm: Vector
        /// `[2I, H]`: gate and up rows alternate.
        let gateUp: Matrix
        /// `[H, I]`
        let down: Matrix
        let postMLPNorm: Vector
    }

    /// Makes room to compute on prompts, images included, of at most `contextLength` tokens; then reads all
    /// weights, on `threadCount` threads. `progress` hears the share of the bytes read so far.
    ///
    /// Throws `file` for a fault of the file, `mismatch` where it lacks what its configuration calls for,
    /// `backend` where memory is refused.
    /// Precondition: `contextLength` is positive.
    public init(
        file: ModelFile, contextLength: Int, on backend: any Backend, threadCount: Int = 1,
        progress: (Double) -> Void = { _ in }
    ) throws(ModelError) {
        do { try file.checkSchema() } catch { throw .file(error) }
        let configuration = file.configuration
        self.configuration = configuration
        self.backend = backend
        let text = configuration.text
        activations = ActivationPlan(file, contextLength: contextLength, on: backend)
        do { arena = try Arena(activations.arena, on: backend) } catch { throw .backend(error) }
        let arena = self.arena
        work = DecoderWork(text, in: arena)
        visionWork = configuration.vision.map { VisionWork($0, in: arena) }
        angles = DecoderAngles(text)
        let total = file.segments.reduce(0) { $0 + ($1.entry.kind == .weights ? $1.entry.imageByteCount : 0) }
        var done = 0
        let reader: SegmentReader
        do { reader = try SegmentReader(of: file, threadCount: threadCount) } catch { throw .file(error) }
        func load(_ name: String) throws(ModelError) -> LoadedSegment {
            let segment = try LoadedSegment(name, of: file, on: backend, reader)
            done += segment.entry.imageByteCount
            progress(Double(done) / Double(max(total, 1)))
            return segment
        }

        let embedding = try load("embedding").matrix(
            "embed_tokens", rows: text.vocabularySize, columns: text.hiddenSize)
        self.embedding = embedding
        var layers: [DecoderLayer] = []
        for index in 0..<text.layerCount {
            layers.append(try DecoderLayer(try load("layers.\(index)"), text))
        }
        self.layers = layers
        let head = try load("head")
        finalNorm = try head.vector("norm", count: text.hiddenSize)
        self.head =
            text.tiesEmbedding
            ? embedding : try head.matrix("lm_head", rows: text.vocabularySize, columns: text.hiddenSize)
        if let vision = configuration.vision {
            self.vision = try VisionTower(vision, load: load)
        } else {
            vision = nil
        }
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
