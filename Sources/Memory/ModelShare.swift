//! Who computes what of a model, where a GPU and the processor share it.

/// What one backend computes of a model: layers that follow each other, and what stands before and behind
/// them.
public struct ModelShare: Sendable, Equatable {
    /// Of the decoder; none where only the output matrix is here.
    public let layers: Range<Int>
    /// Whether tokens enter here: the embedding is part of this share.
    public let isFirst: Bool
    /// Whether logits leave here: the last norm and the output matrix are part of this share.
    public let isLast: Bool
    /// Whether the vision tower is part of this share, where there is one.
    public let hasTower: Bool

    /// All of a model of so many layers.
    public static func whole(layerCount: Int) -> ModelShare {
        ModelShare(layers: 0..<layerCount, isFirst: true, isLast: true, hasTower: true)
    }
}

/// Where a model is cut in two: the first layers are the processor's, the rest are a GPU's.
public struct ModelSplit: Sendable, Equatable {
    /// Layers of the decoder.
    public let layerCount: Int
    /// Layers that the processor computes, from the first on.
    public let hostLayerCount: Int
    /// Whether the processor has the vision tower, too.
    public let hasHostTower: Bool

    /// Precondition: `hostLayerCount` is in 1...`layerCount`.
    public init(layerCount: Int, hostLayerCount: Int, hasHostTower: Bool) {
        precondition((1...layerCount).contains(hostLayerCount))
        self.layerCount = layerCount
        self.hostLayerCount = hostLayerCount
        self.hasHostTower = hasHostTower
    }

    /// The processor's share. Tokens enter here: a row of the embedding is not worth a GPU's memory.
    public var host: ModelShare {
        ModelShare(layers: 0..<hostLayerCount, isFirst: true, isLast: false, hasTower: hasHostTower)
    }

    /// The GPU's share. It draws the tokens, whoever has computed the first layers.
    public var device: ModelShare {
        ModelShare(layers: hostLayerCount..<layerCount, isFirst: false, isLast: true, hasTower: !hasHostTower)
    }
}
