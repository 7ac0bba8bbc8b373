//! The activations of a model, sized for the longest chunk and the most patches it will compute together.

public import Memory
public import ModelFile
public import Tensors

/// Sizes and places of everything that a forward pass and the vision tower compute on, the backend's scratch
/// included. Weights, keys and values, and visual features are not part of it.
public struct ActivationPlan: Sendable {
    /// Tokens of a page of the tower's keys and values.
    static let visionPageTokens = 16

    public let arena: ArenaPlan
    public let limits: ActivationLimits
    /// The most patches that an image may have: what the model's image settings allow, and the context holds.
    /// 0 for a text-only model.
    public let patchCapacity: Int
    /// The most patches that images may have that go through the tower together: the largest image's, or as
    /// many as become a chunk of visual tokens, where those are more. How much is computed together is one
    /// choice for the tower and the decoder.
    public let batchCapacity: Int

    /// When an activation lives: the steps of a forward pass, in order. Of the two halves of a block or
    /// layer, which alternate, nothing is left to the other but what joins the residual stream.
    private enum Phase {
        static let patches = 0
        static let embedding = 1
        static let visionAttention = 2
        static let visionMLP = 3
        static let downsample = 4
        static let merger = 5
        static let attention = 6
        static let mlp = 7
        static let logits = 8
        static let all = patches...logits
        static let layers = attention...mlp
    }

    /// Plans for images and prompts of at most `contextLength` tokens on the shapes and formats of
    /// `model`, or of a share of it.
    ///
    /// Precondition: `contextLength` is positive, and `model` has the tensors that its configuration calls
    /// for.
    public init(
        _ model: ModelOutline, of share: ModelShare? = nil, contextLength: Int,
        _ limits: ActivationLimits = ActivationLimits(),
        on backend: any Backend
    ) {
        precondition(contextLength > 0)
        let configuration = model.configuration
        let share = share ?? .whole(layerCount: configuration.text.layerCount)
        self.limits = limits
        let merge = configuration.vision?.mergeSize ?? 1
        let patches = Self.patchCapacity(
            configuration, mostTokens: min(contextLength, limits.imageTokens ?? .max))
        patchCapacity = share.hasTower ? patches : 0
        batchCapacity =
            patchCapacity > 0
            ? max(patchCapacity, min(limits.imageBatchTokens, contextLength) * merge * merge) : 0
        // More rows than that only enter here, and go on to be computed elsewhere.
        let rows = share.isLast ? limits.chunkTokens : limits.unbroughtTokens ?? limits.chunkTokens
        // Weights that pass come once for all rows of a pass.
        let layerRows = share.isFirst ? rows : min(rows, limits.layerTokens ?? rows)
        var regions = Self.decoder(
            configuration.text, limits, rows: rows, layerRows: layerRows, hasLogits: share.isLast)
        var operations = [
            OperationShape.attention(
                queryHeads: configuration.text.headCount, kvHeads: configuration.text.kvHeadCount,
                headSize: configuration.text.headSize)
        ]
        if let vision = configuration.vision, share.hasTower {
            let imageScratch = backend.scratchByteCount(of: .patches(Self.hardestCut(vision)))
            regions += Self.tower(
                vision, patches: batchCapacity, imagePatches: patchCapacity, imageScratch: imageScratch)
            operations.append(
                .attention(
                    queryHeads: vision.headCount, kvHeads: vision.headCount, headSize: vision.headSize))
        }
        let inventory = WeightInventory(model)
        // Layers before these may be brought here, to be computed like its own.
        let brought = share.isFirst ? [] : inventory.decoder[..<share.layers.lowerBound]
        for index in inventory.part(share).all + brought {
            let entry = inventory.segments[index].entry
            for tensor in entry.tensors where tensor.kind == .matrix {
                let rows =
                    entry.name.hasPrefix("vision.")
                    ? batchCapacity
                    : inventory.head == (index, tensor.name) ? min(limits.logitRows, rows) : layerRows
                operations.append(
                    .projection(
                        rows: rows, tensor.layout, storesAttentionInputs: tensor.name == "qkv"))
            }
        }
        let scratch = operations.map { backend.scratchByteCount(of: $0) }.max() ?? 0
        regions.append(ArenaRegion("operation scratch", byteCount: scratch, phases: Phase.all))
        arena = ArenaPlan(regions)
    }

    /// Shapes: tokens that enter, or are computed, together in a chunk or in a layer, by the widths of the
    /// decoder.
    private static func decoder(
        _ text: TextConfiguration, _ limits: ActivationLimits, rows: Int, layerRows: Int, hasLogits: Bool
    ) -> [ArenaRegion] {
        let queryWidth = text.headCount * text.headSize
        let attention = Phase.attention...Phase.attention
        return [
            floats("residual stream", limits.chunkTokens, text.hiddenSize, Phase.attention...Phase.logits),
            floats("next residual stream", rows, text.hiddenSize, Phase.attention...Phase.logits),
            floats("block output", rows, text.hiddenSize, Phase.attention...Phase.logits),
            floats("queries", layerRows, queryWidth, attention),
            floats("attention output", layerRows, queryWidth, attention),
            floats("MLP", layerRows, text.intermediateSize, Phase.mlp...Phase.mlp),
            floats("rotary cosines", rows, text.rotaryPairs, Phase.layers),
            floats("rotary sines", rows, text.rotaryPairs, Phase.layers),
        ]
            + (hasLogits
                ? [floats("logits", limits.logitRows, text.vocabularySize, Phase.logits...Phase.logits)] : [])
    }

    /// Shapes: the patches of a batch, or its visual tokens in the merger, by the widths of the tower.
    /// `imagePatches` are those of the largest image.
    private static func tower(
        _ vision: VisionConfiguration, patches: Int, imagePatches: Int, imageScratch: Int
    ) -> [ArenaRegion] {
        let tokens = patches / (vision.mergeSize * vision.mergeSize)
        let pages = (patches + visionPageTokens - 1) / visionPageTokens
        let pageBytes = PagedKV.pageByteCount(
            type: .f16, kvHeads: vision.headCount, headSize: vision.headSize, pageTokens: visionPageTokens)
        let attention = Phase.visionAttention...Phase.visionAttention
        let merger = Phase.merger...Phase.merger
        return [
            ArenaRegion(
                "image scratch", byteCount: imageScratch, phases: Phase.patches...Phase.patches),
            floats("patches", patches, vision.patchElementCount, Phase.patches...Phase.embedding),
            floats("vision residual stream", patches, vision.hiddenSize, Phase.embedding...Phase.downsample),
            ArenaRegion(
                "patch sides", byteCount: PatchSides.byteCount(vision, patches: imagePatches),
                phases: Phase.embedding...Phase.embedding),
            ArenaRegion(
                "image ranges", byteCount: RowRanges.byteCount(ImageBatch.mostImages),
                phases: Phase.embedding...Phase.visionMLP),
            floats("vision rotary cosines", patches, vision.headSize / 2, Phase.embedding...Phase.visionMLP),
            floats("vision rotary sines", patches, vision.headSize / 2, Phase.embedding...Phase.visionMLP),
            floats("vision queries", patches, vision.hiddenSize, attention),
            floats("vision attention output", patches, vision.hiddenSize, attention),
            floats("vision MLP", patches, vision.outputSize, Phase.visionMLP...Phase.visionMLP),
            ArenaRegion("vision keys and values", byteCount: pages * pageBytes, phases: attention),
            floats("merger", tokens, vision.outputSize, Phase.downsample...Phase.merger),
            floats("merger MLP", tokens, vision.mergerIntermediateSize, merger),
            floats("visual tokens", tokens, vision.outputSize, Phase.downsample...Phase.merger),
        ]
    }

    /// A cut that needs more scratch than any that a resizing asks for: an image of the longest sides, made
    /// three times as wide as high, where rounding to whole visual tokens makes it twice at most.
    private static func hardestCut(_ vision: VisionConfiguration) -> PatchCut {
        let (side, unit) = (ImagePreprocessor.maximumSide, vision.patchSize * vision.mergeSize)
        let height = side / (3 * unit) * unit
        return PatchCut(
            width: side, height: side, resizedWidth: 3 * height, resizedHeight: height,
            patchSize: vision.patchSize, mergeSize: vision.mergeSize, frameCount: vision.temporalPatchSize,
            normalised: [Float](repeating: 0, count: 3 * 256))
    }

    /// An int32 takes as many bytes as a float.
    private static func floats(
        _ name: String, _ rows: Int, _ columns: Int, _ phases: ClosedRange<Int>
    ) -> ArenaRegion {
        ArenaRegion(name, byteCount: rows * columns * 4, phases: phases)
    }

    /// The most patches of an image: see `patchCapacity`.
    ///
    /// Resizing keeps an image within the most pixels allowed, but for its rounding to whole visual tokens of
    /// `unit` pixels a side: an image that is grown to the fewest pixels may gain a unit on each side, one
    /// that is shrunk keeps a unit's height at an aspect of 200 at most.
    private static func patchCapacity(_ configuration: ModelConfiguration, mostTokens: Int) -> Int {
        guard let vision = configuration.vision, let image = configuration.image else { return 0 }
        let unit = Double(vision.patchSize * vision.mergeSize)
        let aspect = Double(ImagePreprocessor.maximumAspectRatio)
        let frames = Double(vision.temporalPatchSize)
        let (least, most) = (Double(image.minimumPixels) / frames, Double(image.maximumPixels) / frames)
        let grown = least + unit * ((least * aspect).squareRoot() + (least / aspect).squareRoot() + unit)
        let shrunk = max(most, unit * (most * aspect).squareRoot() + unit * unit)
        let area = min(max(grown, shrunk), Double(ImagePreprocessor.maximumArea))
        let tokens = Int((area / (unit * unit)).rounded(.up))
        return min(tokens, mostTokens) * vision.mergeSize * vision.mergeSize
    }
}
