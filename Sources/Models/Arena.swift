//! One memory for all activations, and the views of it that a model computes on.

internal import ModelFile
internal import Tensors

/// The memory of a plan.
struct Arena {
    let plan: ArenaPlan
    let memory: any BackendMemory

    /// Makes the memory and lends `backend` its scratch. Throws where memory is refused.
    init(_ plan: ArenaPlan, on backend: any Backend) throws(BackendError) {
        self.plan = plan
        memory = try backend.makeMemory(byteCount: plan.byteCount, label: "activations")
        lendScratch("operation scratch", to: backend)
    }

    /// Makes the region of that name the scratch of operations from now on.
    func lendScratch(_ name: String, to backend: any Backend) {
        backend.useScratch(memory, bytes: plan[name].bytes)
    }

    /// The region of that name as rows of `columns`: as many as it holds.
    func activation(_ name: String, columns: Int) -> Activation {
        let region = plan[name]
        return Activation(
            memory, offset: region.offset, rows: region.byteCount / (columns * 4), columns: columns)
    }
}

/// Activations of one chunk of the decoder, each of as many rows as a chunk has tokens.
struct DecoderWork {
    /// The residual stream, and where its next sum goes: they take turns.
    let residuals: (Activation, Activation)
    let delta: Activation
    let queries: Activation
    let attended: Activation
    let mlp: Activation
    let rotary: Rotary

    init(_ text: TextConfiguration, in arena: Arena) {
        let queryWidth = text.headCount * text.headSize
        residuals = (
            arena.activation("residual stream", columns: text.hiddenSize),
            arena.activation("next residual stream", columns: text.hiddenSize)
        )
        delta = arena.activation("block output", columns: text.hiddenSize)
        queries = arena.activation("queries", columns: queryWidth)
        attended = arena.activation("attention output", columns: queryWidth)
        mlp = arena.activation("MLP", columns: text.intermediateSize)
        rotary = Rotary(
            cosines: arena.activation("rotary cosines", columns: text.rotaryPairs),
            sines: arena.activation("rotary sines", columns: text.rotaryPairs), pairing: .interleaved)
    }
}

/// Activations of a batch of images in the tower, each of as many rows as its images may have patches; those
/// of the merger, as visual tokens.
struct VisionWork {
    let patches: Activation
    let hidden: Activation
    /// Of the image at hand.
    let sides: PatchSides
    let rotary: Rotary
    let queries: Activation
    let attended: Activation
    let mlp: Activation
    /// Keys and values of one block, in pages like the decoder's, so that one attention serves both.
    let kv: PagedKV
    let merged: Activation
    let mergerMLP: Activation
    /// What comes of it: the images' visual tokens, one image after the other.
    let visual: Activation
}

extension VisionWork {
    init(_ vision: VisionConfiguration, in arena: Arena) {
        patches = arena.activation("patches", columns: vision.patchElementCount)
        hidden = arena.activation("vision residual stream", columns: vision.hiddenSize)
        sides = PatchSides(vision, in: arena.memory, arena.plan["patch sides"].bytes)
        rotary = Rotary(
            cosines: arena.activation("vision rotary cosines", columns: vision.headSize / 2),
            sines: arena.activation("vision rotary sines", columns: vision.headSize / 2), pairing: .halves)
        queries = arena.activation("vision queries", columns: vision.hiddenSize)
        attended = arena.activation("vision attention output", columns: vision.hiddenSize)
        mlp = arena.activation("vision MLP", columns: vision.outputSize)
        let pageTokens = ActivationPlan.visionPageTokens
        let pageCount = (patches.rows + pageTokens - 1) / pageTokens
        var pages = BlockTable(capacity: pageCount)
        for page in 0..<Int32(pageCount) { pages.append(page) }
        kv = PagedKV(
            memory: arena.memory, offset: arena.plan["vision keys and values"].offset, type: .f16,
            kvHeads: vision.headCount, headSize: vision.headSize, pageTokens: pageTokens, blockTable: pages)
        merged = arena.activation("merger", columns: vision.outputSize)
        mergerMLP = arena.activation("merger MLP", columns: vision.mergerIntermediateSize)
        visual = arena.activation("visual tokens", columns: vision.outputSize)
    }

    /// The work of a batch of `patches` patches that become `tokens` visual tokens.
    func prefix(patches count: Int, tokens: Int) -> VisionWork {
        VisionWork(
            patches: patches.rows(0..<count), hidden: hidden.rows(0..<count), sides: sides,
            rotary: rotary.prefix(count), queries: queries.rows(0..<count),
            attended: attended.rows(0..<count), mlp: mlp.rows(0..<count), kv: kv,
            merged: merged.rows(0..<tokens), mergerMLP: mergerMLP.rows(0..<tokens),
            visual: visual.rows(0..<tokens))
    }
}
