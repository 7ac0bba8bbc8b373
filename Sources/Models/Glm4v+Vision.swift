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
    let angles: VisionAngles

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
        angles = VisionAngles(vision)
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
    /// Encodes one image, given as red, green and blue bytes, row by row without padding, into `store`, under
    /// the number `image`. The caller holds the features then.
    ///
    /// `shouldStop` is asked before each block of the tower; when it says so, there are no features, and
    /// `store` is as before. Throws `image` for a size that cannot be used, `contextFull` where the context,
    /// or `store` beside what is held, cannot hold the image's visual tokens, `backend` for a fault of the
    /// device.
    /// Precondition: the model sees, `preprocessor` was made of its configuration, `pixels` are
    /// `width x height x 3`, and `store` has no features of that number.
    public func encode(
        pixels: Span<UInt8>, width: Int, height: Int, preprocessor: ImagePreprocessor, as image: UInt128,
        into store: VisualFeatureStore, shouldStop: () -> Bool = { false }
    ) throws(ModelError) -> VisualFeatures? {
        guard let part = parts.first(where: { $0.tower != nil }), let tower = part.tower else {
            preconditionFailure("a text-only model encodes no images")
        }
        let merge = tower.configuration.mergeSize
        let cut: PatchCut
        do { cut = try preprocessor.cut(width: width, height: height) } catch { throw .image(error) }
        precondition(
            cut.patchElementCount == tower.configuration.patchElementCount && cut.mergeSize == merge)
        let grid = cut.grid
        let visualGrid = ImageGrid(height: grid.height / merge, width: grid.width / merge)
        guard grid.count <= patchCapacity else {
            throw .contextFull(needed: visualGrid.count, capacity: patchCapacity / (merge * merge))
        }
        let features = VisualFeatures(of: image, grid: visualGrid, in: store)
        guard store.hasRoom(for: features) else {
            throw .contextFull(needed: store.heldCount + visualGrid.count, capacity: store.capacity)
        }
        let count = visualGrid.count
        guard let work = try part.encode(pixels, cut, tokens: count, shouldStop) else { return nil }
        let values = store.add(features)
        do throws(ModelError) {
            if let visual = work.visual {
                try part.mergePatches(work, into: visual)
                try visual.handOver(from: part.backend, to: values, on: featureBackend)
            } else {
                try part.mergePatches(work, into: values)
                do { try part.backend.synchronize() } catch { throw ModelError.backend(error) }
            }
        } catch {
            store.remove(features)
            throw error
        }
        return features
    }
}

extension ModelPart {
    /// The LayerNorm of the merger: PyTorch's default.
    private static let layerNormEpsilon: Float = 1e-5

    /// An image through the tower's blocks, to become `count` tokens; nil when the caller asked to stop.
    ///
    /// Precondition: the tower is here.
    fileprivate func encode(
        _ pixels: Span<UInt8>, _ cut: PatchCut, tokens count: Int, _ shouldStop: () -> Bool
    ) throws(ModelError) -> VisionWork? {
        guard let tower, let allWork = visionWork else { preconditionFailure("the tower is elsewhere") }
        let work = allWork.prefix(patches: cut.grid.count, tokens: count)
        store?.begin(.vision)
        try cutPatches(pixels, cut, into: work.patches)
        try embedPatches(tower, cut, work)
        for block in tower.blocks {
            if shouldStop() { return nil }
            try run(block, tower, work)
        }
        return work
    }

    /// Cuts with the scratch that is planned for images, which the tower's own numbers will lie over.
    private func cutPatches(
        _ pixels: Span<UInt8>, _ cut: PatchCut, into patches: Activation
    ) throws(ModelError) {
        let needed = backend.scratchByteCount(of: .patches(cut))
        guard needed <= arena.plan["image scratch"].byteCount else {
            throw .backend(BackendError(.outOfMemory, "no \(needed) bytes to resize an image in"))
        }
        arena.lendScratch("image scratch", to: backend)
        backend.cutPatches(pixels, cut, into: patches)
        arena.lendScratch("operation scratch", to: backend)
    }

    private func embedPatches(
        _ tower: VisionTower, _ cut: PatchCut, _ work: VisionWork
    ) throws(ModelError) {
        let vision = tower.configuration
        backend.project(
            .plain(work.patches), try here(tower.patchEmbed), .store(work.hidden, bias: tower.patchEmbedBias))
        backend.rmsNorm(
            work.hidden, weight: tower.postConvNorm, epsilon: vision.rmsNormEpsilon, into: work.hidden)
        writePositions(cut, positionGridSize: vision.positionGridSize, into: work.positions, on: backend)
        backend.addGathered(work.positions, table: tower.positionEmbedding, to: work.hidden)
        tower.angles.write(cut, into: work.rotary, on: backend)
    }

    private func run(
        _ block: VisionTower.Block, _ tower: VisionTower, _ work: VisionWork
    ) throws(ModelError) {
        let vision = tower.configuration
        let epsilon = vision.rmsNormEpsilon
        backend.project(
            .rmsNorm(work.hidden, weight: block.norm1, epsilon: epsilon), try here(block.qkv),
            .attentionInputs(
                queries: work.queries, bias: block.qkvBias, rotary: work.rotary, kv: work.kv, start: 0))
        backend.attention(
            queries: work.queries, kv: work.kv, start: 0, length: work.hidden.rows, isCausal: false,
            scale: 1 / Float(vision.headSize).squareRoot(), into: work.attended)
        backend.project(.plain(work.attended), try here(block.projection), .add(work.hidden))
        backend.project(
            .rmsNorm(work.hidden, weight: block.norm2, epsilon: epsilon), try here(block.gateUp),
            .swiglu(work.mlp))
        backend.project(.plain(work.mlp), try here(block.down), .add(work.hidden))
    }

    /// Patches to visual tokens.
    fileprivate func mergePatches(_ work: VisionWork, into visual: Activation) throws(ModelError) {
        guard let tower else { preconditionFailure("the tower is elsewhere") }
        let vision = tower.configuration
        let patchesPerToken = vision.mergeSize * vision.mergeSize
        let (merged, mlp) = (work.merged, work.mergerMLP)
        backend.rmsNorm(
            work.hidden, weight: tower.postNorm, epsilon: vision.rmsNormEpsilon, into: work.attended)
        backend.project(
            .plain(work.attended.joiningRows(patchesPerToken)), try here(tower.downsample),
            .store(visual, bias: tower.downsampleBias))
        backend.project(.plain(visual), try here(tower.mergerProjection), .store(merged, bias: nil))
        backend.layerNormGELU(
            merged, weight: tower.mergerNorm, bias: tower.mergerNormBias, epsilon: Self.layerNormEpsilon,
            into: merged)
        backend.project(.plain(merged), try here(tower.mergerGateUp), .swiglu(mlp))
        backend.project(.plain(mlp), try here(tower.mergerDown), .store(visual, bias: nil))
    }
}
