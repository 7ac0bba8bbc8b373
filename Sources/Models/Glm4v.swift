//! GLM-4 with eyes: the weights of a Glm4v (or of a text-only Glm4) and where they come from.

public import Memory
public import ModelFile
public import Tensors

/// One `Glm4vForConditionalGeneration` or `Glm4ForCausalLM` in the memory of one or two backends.
///
/// What a backend has of it is a `ModelPart`. The decoder's way through the parts is in
/// `Glm4v+Decoder.swift`, the vision tower in `Glm4v+Vision.swift`. The model holds weights and room to
/// compute; what a conversation has computed so far lives in its `InputSequence` and `KVSequence`, and what
/// images have become in a `VisualFeatureStore`.
public final class Glm4v {
    public let configuration: ModelConfiguration
    /// In the order that a token goes through them.
    let parts: [ModelPart]
    let angles: DecoderAngles
    /// How the last part gets at the first one's layers; nil where each computes its own whatever comes.
    private(set) var passage: LayerPassage?
    /// How much is computed together.
    public let limits: ActivationLimits

    /// The part that tokens enter by.
    var first: ModelPart { parts[0] }
    /// The part that logits leave by.
    var last: ModelPart { parts[parts.count - 1] }

    /// The backend that logits are left on, and tokens drawn.
    public var backend: any Backend { last.backend }
    /// The backend that takes visual features: their store is made on it.
    public var featureBackend: any Backend { first.backend }
    /// The most patches that an image may have; 0 for a text-only model.
    public let patchCapacity: Int

    /// Makes room to compute on prompts, images included, of at most `contextLength` tokens; then reads the
    /// resident weights, on `threadCount` threads, and begins to bring the others, which those threads go on
    /// with. `progress` hears the share of the resident bytes read so far.
    ///
    /// Throws `file` for a fault of the file, `mismatch` where it lacks what its configuration calls for,
    /// `backend` where memory is refused.
    /// Precondition: `contextLength` is positive; the shares of `plans` are all of the model, in order.
    public init(
        file: ModelFile, contextLength: Int, activations limits: ActivationLimits = ActivationLimits(),
        parts plans: [PartPlan], threadCount: Int = 1, progress: (Double) -> Void = { _ in }
    ) throws(ModelError) {
        do { try file.checkSchema() } catch { throw .file(error) }
        let configuration = file.configuration
        self.configuration = configuration
        self.limits = limits
        precondition(plans.flatMap(\.share.layers).elementsEqual(0..<configuration.text.layerCount))
        angles = DecoderAngles(configuration.text)
        let sizes = plans.map { plan in
            plan.residency.resident.reduce(0) { $0 + file.segments[$1].entry.imageByteCount }
        }
        let total = Double(max(sizes.reduce(0, +), 1))
        var parts: [ModelPart] = []
        for (index, plan) in plans.enumerated() {
            let (done, size) = (Double(sizes[..<index].reduce(0, +)), Double(sizes[index]))
            let entryNorm = try parts.last.map { (part) throws(ModelError) in try part.exitNormValues() }
            parts.append(
                try ModelPart(
                    plan, of: file, contextLength: contextLength, limits, entryNorm: entryNorm,
                    threadCount: threadCount
                ) { progress((done + $0 * size) / total) })
        }
        self.parts = parts
        patchCapacity = parts.map(\.activations.patchCapacity).max() ?? 0
    }

    /// Lets prompts of at least `leastRows` rows be computed by the last part alone, which is brought the
    /// first one's weights, and their keys and values in `pool`.
    ///
    /// Throws `backend` where memory is refused. Precondition: there are two parts, the first in the host's
    /// memory; every sequence is of `pool`.
    public func openPassage(
        of file: ModelFile, _ pool: KVPool, leastRows: Int
    ) throws(ModelError) {
        precondition(parts.count == 2)
        passage = try LayerPassage(from: first, to: last, of: file, pool, leastRows: leastRows)
    }

    /// The same of a model that one backend computes.
    ///
    /// Precondition: `residency` was made for the file, and is whole where the backend's memory is not the
    /// host's.
    public convenience init(
        file: ModelFile, contextLength: Int, activations limits: ActivationLimits = ActivationLimits(),
        residency: Residency? = nil, on backend: any Backend, threadCount: Int = 1,
        progress: (Double) -> Void = { _ in }
    ) throws(ModelError) {
        do { try file.checkSchema() } catch { throw .file(error) }
        let plan = PartPlan(
            .whole(layerCount: file.configuration.text.layerCount),
            residency ?? .whole(WeightInventory(ModelOutline(file))), on: backend)
        try self.init(
            file: file, contextLength: contextLength, activations: limits, parts: [plan],
            threadCount: threadCount, progress: progress)
    }
}
