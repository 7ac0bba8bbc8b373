//! The vision tower: patches of an image to visual tokens.

internal import Glibc
internal import ModelFile
internal import Tensors

/// Weights of the tower. Shapes: `V` tower width, `H` visual token width, `M` merger's intermediate width.
struct VisionTower {
    let configuration: VisionConfiguration
    /// `[V, channels * frames * patch * patch]`
    let patchEmbed: Matrix
    let patchEmbedBias: Vector
    let postConvNorm: Vector
    /// Float32 `[grid * grid, V]`
    let positionEmbedding: Vector
    let blocks: [Block]
    let postNorm: Vector
    /// `[H, merge * merge * V]`: a strided convolution over the patches of one visual token.
    let downsample: Matrix
    let downsampleBias: Vector
    /// `[H, H]`
    let mergerProjection: Matrix
    let mergerNorm: Vector
    let mergerNormBias: Vector
    /// `[2M, H]`: gate and up rows alternate.
    let mergerGateUp: Matrix
    /// `[H, M]`
    let mergerDown: Matrix

    struct Block {
        let norm1: Vector
        /// `[3V, V]`
        let qkv: Matrix
        let qkvBias: Vector?
        /// `[V, V]`
        let projection: Matrix
        let norm2: Vector
        /// `[2H, V]`: gate and up rows alternate.
        let gateUp: Matrix
        /// `[V, H]`
        let down: Matrix
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
    /// The LayerNorm of the merger: PyTorch's default.
    private static let layerNormEpsilon: Float = 1e-5

    /// Encodes one image, given as red, green and blue bytes, row by row without padding.
    ///
    /// The tower's activations live as long as the call; only the features outlive it. Throws `image` for a
    /// size that cannot be used, `backend` where memory is refused.
    /// Precondition: the model sees, `preprocessor` was made of its configuration, and `pixels` are
    /// `width x height x 3`.
    public func encode(
        pixels: Span<UInt8>, width: Int, height: Int, preprocessor: ImagePreprocessor
    ) throws(ModelError) -> VisualFeatures {
        guard let tower = vision else { preconditionFailure("a text-only model encodes no images") }
        let vision = tower.configuration
        let merge = vision.mergeSize
        let cut: PatchCut
        do { cut = try preprocessor.cut(width: width, height: height) } catch { throw .image(error) }
        precondition(cut.patchElementCount == vision.patchElementCount && cut.mergeSize == merge)
        let grid = cut.grid
        let work: VisionWork
        do { work = try VisionWork(vision, patchCount: grid.count, on: backend) } catch {
            throw .backend(error)
        }
        do throws(BackendError) {
            backend.cutPatches(pixels, cut, into: work.patches)
            embedPatches(tower, grid, work)
            for block in tower.blocks { run(block, tower, work) }
            let values = try mergePatches(tower, work)
            try backend.synchronize()
            return VisualFeatures(
                values: values, grid: ImageGrid(height: grid.height / merge, width: grid.width / merge))
        } catch { throw .backend(error) }
    }

    private func embedPatches(_ tower: VisionTower, _ grid: ImageGrid, _ work: VisionWork) {
        let vision = tower.configuration
        let order = patchOrder(grid: grid, merge: vision.mergeSize)
        backend.project(
            .plain(work.patches), tower.patchEmbed, .store(work.hidden, bias: tower.patchEmbedBias))
        backend.rmsNorm(
            work.hidden, weight: tower.postConvNorm, epsilon: vision.rmsNormEpsilon, into: work.hidden)
        backend.addGathered(
            positionGather(patches: order, grid: grid, positionGridSize: vision.positionGridSize),
            table: tower.positionEmbedding, to: work.hidden)
        let table = RotaryTable(patches: order, configuration: vision)
        unsafe table.cosines.withUnsafeBufferPointer { unsafe backend.write($0, to: work.rotary.cosines) }
        unsafe table.sines.withUnsafeBufferPointer { unsafe backend.write($0, to: work.rotary.sines) }
    }

    private func run(_ block: VisionTower.Block, _ tower: VisionTower, _ work: VisionWork) {
        let vision = tower.configuration
        let epsilon = vision.rmsNormEpsilon
        backend.project(
            .rmsNorm(work.hidden, weight: block.norm1, epsilon: epsilon), block.qkv,
            .attentionInputs(
                queries: work.queries, bias: block.qkvBias, rotary: work.rotary, kv: work.kv, start: 0))
        backend.attention(
            queries: work.queries, kv: work.kv, start: 0, length: work.hidden.rows, isCausal: false,
            scale: 1 / Float(vision.headSize).squareRoot(), into: work.attended)
        backend.project(.plain(work.attended), block.projection, .add(work.hidden))
        backend.project(
            .rmsNorm(work.hidden, weight: block.norm2, epsilon: epsilon), block.gateUp, .swiglu(work.mlp))
        backend.project(.plain(work.mlp), block.down, .add(work.hidden))
    }

    /// Patches to visual tokens, in memory that outlives the tower's work.
    private func mergePatches(_ tower: VisionTower, _ work: VisionWork) throws(BackendError) -> Activation {
        let vision = tower.configuration
        let patchesPerToken = vision.mergeSize * vision.mergeSize
        let tokens = work.hidden.rows / patchesPerToken
        backend.rmsNorm(
            work.hidden, weight: tower.postNorm, epsilon: vision.rmsNormEpsilon, into: work.attended)
        let visual = Activation(
            try backend.makeMemory(byteCount: tokens * vision.outputSize * 4, label: "visual features"),
            rows: tokens, columns: vision.outputSize)
        let merged = Activation(
            try backend.makeMemory(byteCount: tokens * vision.outputSize * 4, label: "merger"),
            rows: tokens, columns: vision.outputSize)
        let mlp = Activation(
            try backend.makeMemory(
                byteCount: tokens * vision.mergerIntermediateSize * 4, label: "merger MLP"),
            rows: tokens, columns: vision.mergerIntermediateSize)
        backend.project(
            .plain(work.attended.joiningRows(patchesPerToken)), tower.downsample,
            .store(visual, bias: tower.downsampleBias))
        backend.project(.plain(visual), tower.mergerProjection, .store(merged, bias: nil))
        backend.layerNormGELU(
            merged, weight: tower.mergerNorm, bias: tower.mergerNormBias, epsilon: Self.layerNormEpsilon,
            into: merged)
        backend.project(.plain(merged), tower.mergerGateUp, .swiglu(mlp))
        backend.project(.plain(mlp), tower.mergerDown, .store(visual, bias: nil))
        return visual
    }
}

/// Activations of one image in the tower. Shapes: `P` patches, `V` tower width, `H` visual token width.
struct VisionWork {
    let patches: Activation
    let hidden: Activation
    let queries: Activation
    let attended: Activation
    let mlp: Activation
    let rotary: Rotary
    /// Keys and values of one block, in pages like the decoder's, so that one attention serves both.
    let kv: PagedKV

    private static let pageTokens = 16

    init(_ vision: VisionConfiguration, patchCount: Int, on backend: any Backend) throws(BackendError) {
        func make(_ columns: Int, _ label: String) throws(BackendError) -> Activation {
            let memory = try backend.makeMemory(byteCount: patchCount * columns * 4, label: label)
            return Activation(memory, rows: patchCount, columns: columns)
        }
        patches = try make(vision.patchElementCount, "patches")
        hidden = try make(vision.hiddenSize, "vision residual stream")
        queries = try make(vision.hiddenSize, "vision queries")
        attended = try make(vision.hiddenSize, "vision attention output")
        mlp = try make(vision.outputSize, "vision MLP")
        rotary = Rotary(
            cosines: try make(vision.headSize / 2, "vision rotary cosines"),
            sines: try make(vision.headSize / 2, "vision rotary sines"), pairing: .halves)
        let pageBytes = PagedKV.pageByteCount(
            kvHeads: vision.headCount, headSize: vision.headSize, pageTokens: Self.pageTokens)
        let pageCount = (patchCount + Self.pageTokens - 1) / Self.pageTokens
        kv = PagedKV(
            memory: try backend.makeMemory(byteCount: pageCount * pageBytes, label: "vision keys and values"),
            offset: 0, kvHeads: vision.headCount, headSize: vision.headSize, pageTokens: Self.pageTokens,
            blockTable: Array(0..<Int32(pageCount)))
    }
}
