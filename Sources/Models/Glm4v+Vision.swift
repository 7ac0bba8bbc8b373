//! The vision tower: patches of an image to visual tokens.

internal import ModelFile
internal import Tensors

/// Weights of the tower. Shapes: `V` tower width, `H` visual token width, `M` merger's intermediate width.
struct VisionTower {
    let configuration: VisionConfiguration
    /// `[V, channels * frames * patch * patch]`
    let patchEmbed: WeightMatrix
    let patchEmbedBias: Vector
    let postConvNorm: Vector
    /// Float32 `[grid * grid, V]`
    let positionEmbedding: Vector
    let blocks: [Block]
    let postNorm: Vector
    /// `[H, merge * merge * V]`: a strided convolution over the patches of one visual token.
    let downsample: WeightMatrix
    let downsampleBias: Vector
    /// `[H, H]`
    let mergerProjection: WeightMatrix
    let mergerNorm: Vector
    let mergerNormBias: Vector
    /// `[2M, H]`: gate and up rows alternate.
    let mergerGateUp: WeightMatrix
    /// `[H, M]`
    let mergerDown: WeightMatrix

    struct Block {
        let norm1: Vector
        /// `[3V, V]`
        let qkv: WeightMatrix
        let qkvBias: Vector?
        /// `[V, V]`
        let projection: WeightMatrix
        let norm2: Vector
        /// `[2H, V]`: gate and up rows alternate.
        let gateUp: WeightMatrix
        /// `[V, H]`
        let down: WeightMatrix
    }

    init(
        _ vision: VisionConfiguration, load: (String) throws(ModelError) -> LoadedSegment
    ) throws(ModelError) {
        configuration = vision
        let (width, output) = (vision.hiddenSize, vision.outputSize)
        let embed = try load("vision.embed")
        patchEmbed = try embed.matrix("patch_embed", rows: width, columns: vision.patchElementCount)
        patchEmbedBias = try embed.vector("patch_embed.bias", count: width)
        postConvNorm = try embed.vector("post_conv_layernorm", count: width)
        positionEmbedding = try embed.vector(
            "position_embedding", count: vision.positionGridSize * vision.positionGridSize * width)
        var blocks: [Block] = []
        for index in 0..<vision.depth { blocks.append(try Block(try load("vision.blocks.\(index)"), vision)) }
        self.blocks = blocks
        let merger = try load("vision.merger")
        postNorm = try merger.vector("post_layernorm", count: width)
        downsample = try merger.matrix(
            "downsample", rows: output, columns: vision.mergeSize * vision.mergeSize * width)
        downsampleBias = try merger.vector("downsample.bias", count: output)
        mergerProjection = try merger.matrix("proj", rows: output, columns: output)
        mergerNorm = try merger.vector("post_projection_norm", count: output)
        mergerNormBias = try merger.vector("post_projection_norm.bias", count: output)
        mergerGateUp = try merger.matrix("gate_up", rows: 2 * vision.mergerIntermediateSize, columns: output)
        mergerDown = try merger.matrix("down", rows: output, columns: vision.mergerIntermediateSize)
    }
}

extension VisionTower.Block {
    init(_ segment: LoadedSegment, _ vision: VisionConfiguration) throws(ModelError) {
        let (width, output) = (vision.hiddenSize, vision.outputSize)
        norm1 = try segment.vector("norm1", count: width)
        qkv = try segment.matrix("qkv", rows: 3 * width, columns: width)
        qkvBias = vision.hasQKVBias ? try segment.vector("qkv.bias", count: 3 * width) : nil
        projection = try segment.matrix("proj", rows: width, columns: width)
        norm2 = try segment.vector("norm2", count: width)
        gateUp = try segment.matrix("gate_up", rows: 2 * output, columns: width)
        down = try segment.matrix("down", rows: width, columns: output)
    }
}

extension Glm4v {
    /// An empty batch for images that this model encodes together.
    public func makeBatch() -> ImageBatch {
        ImageBatch(patchCapacity: parts.map(\.activations.batchCapacity).max() ?? 0)
    }

    /// Encodes the images of `batch` together into `store`. The caller holds the features then, once.
    ///
    /// `shouldStop` is asked before each block of the tower; when it says so, this is false, and there are no
    /// features. Throws `contextFull` where the context, or `store` beside what is held, cannot hold the
    /// images' visual tokens, `backend` for a fault of the device; `store` has what it held before then.
    /// Precondition: the model sees and has made the batch, and `store` has no features of its images.
    public func encode(
        _ batch: ImageBatch, into store: VisualFeatureStore, shouldStop: () -> Bool = { false }
    ) throws(ModelError) -> Bool {
        if batch.isEmpty { return true }
        guard let part = parts.first(where: { $0.tower != nil }), let tower = part.tower else {
            preconditionFailure("a text-only model encodes no images")
        }
        let merge = tower.configuration.mergeSize
        for image in batch.images {
            precondition(image.cut.mergeSize == merge)
            precondition(image.cut.patchElementCount == tower.configuration.patchElementCount)
            guard image.cut.patchCount <= patchCapacity else {
                throw .contextFull(
                    needed: image.features.grid.count, capacity: patchCapacity / (merge * merge))
            }
        }
        guard store.hasRoom(for: batch) else {
            throw .contextFull(needed: store.heldCount + batch.tokenCount, capacity: store.capacity)
        }
        guard let visual = try part.encode(batch, shouldStop) else { return false }
        try place(visual, of: batch, from: part, in: store)
        return true
    }

    /// Gives each image of a batch its visual tokens, where its features are to be.
    private func place(
        _ visual: Activation, of batch: ImageBatch, from part: ModelPart, in store: VisualFeatureStore
    ) throws(ModelError) {
        for image in batch.images { _ = store.add(image.features) }
        do throws(ModelError) {
            var first = 0
            for image in batch.images {
                let values = image.features.values
                let tokens = visual.rows(first..<first + values.rows)
                if part.backend === featureBackend {
                    part.backend.copy(tokens, to: values)
                } else {
                    try tokens.handOver(from: part.backend, to: values, on: featureBackend)
                }
                first += values.rows
            }
            do { try featureBackend.synchronize() } catch { throw ModelError.backend(error) }
        } catch {
            for image in batch.images { store.remove(image.features) }
            throw error
        }
    }
}

extension ModelPart {
    /// The LayerNorm of the merger: PyTorch's default.
    private static let layerNormEpsilon: Float = 1e-5

    /// Images through the tower, to their visual tokens, one image after the other; nil when the caller asked
    /// to stop.
    ///
    /// Precondition: the tower is here, and the batch fits.
    fileprivate func encode(
        _ batch: ImageBatch, _ shouldStop: () -> Bool
    ) throws(ModelError) -> Activation? {
        guard let tower, let allWork = visionWork else { preconditionFailure("the tower is elsewhere") }
        let work = allWork.prefix(patches: batch.patchCount, tokens: batch.tokenCount)
        store?.begin(.vision)
        try cutPatches(batch, into: work.patches)
        try embedPatches(tower, batch, work)
        let ranges = RowRanges(
            batch.bounds, in: arena.memory, at: arena.plan["image ranges"].offset, on: backend)
        for block in tower.blocks {
            if shouldStop() { return nil }
            try run(block, tower, ranges, work)
        }
        try mergePatches(tower, work)
        return work.visual
    }

    /// Cuts with the scratch that is planned for images, which the tower's own numbers will lie over.
    private func cutPatches(_ batch: ImageBatch, into patches: Activation) throws(ModelError) {
        arena.lendScratch("image scratch", to: backend)
        defer { arena.lendScratch("operation scratch", to: backend) }
        for (index, image) in batch.images.enumerated() {
            let needed = backend.scratchByteCount(of: .patches(image.cut))
            guard needed <= arena.plan["image scratch"].byteCount else {
                throw .backend(BackendError(.outOfMemory, "no \(needed) bytes to resize an image in"))
            }
            backend.cutPatches(image.pixels.span, image.cut, into: patches.rows(batch.rows(of: index)))
        }
    }

    private func embedPatches(
        _ tower: VisionTower, _ batch: ImageBatch, _ work: VisionWork
    ) throws(ModelError) {
        backend.project(
            .plain(work.patches), try here(tower.patchEmbed), .store(work.hidden, bias: tower.patchEmbedBias))
        backend.rmsNorm(
            work.hidden, weight: tower.postConvNorm, epsilon: tower.configuration.rmsNormEpsilon,
            into: work.hidden)
        for (index, image) in batch.images.enumerated() {
            let rows = batch.rows(of: index)
            work.sides.place(
                image.cut, table: tower.positionEmbedding, in: work.hidden.rows(rows), work.rotary.rows(rows),
                on: backend)
        }
    }

    private func run(
        _ block: VisionTower.Block, _ tower: VisionTower, _ ranges: RowRanges, _ work: VisionWork
    ) throws(ModelError) {
        let vision = tower.configuration
        let epsilon = vision.rmsNormEpsilon
        backend.project(
            .rmsNorm(work.hidden, weight: block.norm1, epsilon: epsilon), try here(block.qkv),
            .attentionInputs(
                queries: work.queries, bias: block.qkvBias, rotary: work.rotary, kv: work.kv, start: 0))
        backend.attention(
            queries: work.queries, kv: work.kv, within: ranges,
            scale: 1 / Float(vision.headSize).squareRoot(), into: work.attended)
        backend.project(.plain(work.attended), try here(block.projection), .add(work.hidden))
        backend.project(
            .rmsNorm(work.hidden, weight: block.norm2, epsilon: epsilon), try here(block.gateUp),
            .swiglu(work.mlp))
        backend.project(.plain(work.mlp), try here(block.down), .add(work.hidden))
    }

    /// Patches to visual tokens.
    private func mergePatches(_ tower: VisionTower, _ work: VisionWork) throws(ModelError) {
        let vision = tower.configuration
        let patchesPerToken = vision.mergeSize * vision.mergeSize
        let (visual, merged, mlp) = (work.visual, work.merged, work.mergerMLP)
        backend.rmsNorm(
            work.hidden, weight: tower.postNorm, epsilon: vision.rmsNormEpsilon, into: work.hidden)
        backend.project(
            .plain(work.hidden.joiningRows(patchesPerToken)), try here(tower.downsample),
            .store(visual, bias: tower.downsampleBias))
        backend.project(.plain(visual), try here(tower.mergerProjection), .store(merged, bias: nil))
        backend.layerNormGELU(
            merged, weight: tower.mergerNorm, bias: tower.mergerNormBias, epsilon: Self.layerNormEpsilon,
            into: merged)
        backend.project(.plain(merged), try here(tower.mergerGateUp), .swiglu(mlp))
        backend.project(.plain(mlp), try here(tower.mergerDown), .store(visual, bias: nil))
    }
}
