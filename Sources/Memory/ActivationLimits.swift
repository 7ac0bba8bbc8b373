//! How much of a prompt and of an image goes through a model at a time.

/// How much is computed together: less takes less memory, and more time.
public struct ActivationLimits: Sendable, Equatable {
    /// Tokens that go through the decoder together, layer by layer.
    public var chunkTokens: Int
    /// Tokens of them that a layer computes together where layers are brought, which is what it takes wide
    /// activations for; nil for all. A layer is brought once for the whole chunk.
    public var layerTokens: Int?
    /// Tokens that go together through the layers of a part that another part computes for more of them; nil
    /// for as many as elsewhere.
    public var unbroughtTokens: Int?
    /// Positions whose logits are computed together.
    public var logitRows: Int
    /// The most visual tokens of an image; nil leaves that to the model's image settings.
    public var imageTokens: Int?

    /// So many visual tokens of images come of the vision tower together, where those of the largest image
    /// are not more.
    public var imageBatchTokens: Int { layerTokens ?? chunkTokens }

    /// Precondition: all are positive.
    public init(
        chunkTokens: Int = 512, layerTokens: Int? = nil, unbroughtTokens: Int? = nil, logitRows: Int = 64,
        imageTokens: Int? = nil
    ) {
        precondition(chunkTokens > 0 && logitRows > 0 && imageTokens ?? 1 > 0)
        precondition([layerTokens, unbroughtTokens].allSatisfy { (1...chunkTokens).contains($0 ?? 1) })
        self.layerTokens = layerTokens
        self.unbroughtTokens = unbroughtTokens
        self.chunkTokens = chunkTokens
        self.logitRows = logitRows
        self.imageTokens = imageTokens
    }
}
