//! How much of a prompt and of an image goes through a model at a time.

/// How much is computed together: less takes less memory, and more time.
public struct ActivationLimits: Sendable, Equatable {
    /// Tokens that go through the decoder's layers together.
    public var chunkTokens: Int
    /// Tokens that go together through the layers of a part that another part computes for more of them; nil
    /// for as many as elsewhere.
    public var unbroughtTokens: Int?
    /// Positions whose logits are computed together.
    public var logitRows: Int
    /// The most visual tokens of an image; nil leaves that to the model's image settings.
    public var imageTokens: Int?

    /// Precondition: all are positive.
    public init(
        chunkTokens: Int = 512, unbroughtTokens: Int? = nil, logitRows: Int = 64, imageTokens: Int? = nil
    ) {
        precondition(chunkTokens > 0 && logitRows > 0 && imageTokens ?? 1 > 0)
        precondition(unbroughtTokens.map { $0 > 0 && $0 <= chunkTokens } ?? true)
        self.unbroughtTokens = unbroughtTokens
        self.chunkTokens = chunkTokens
        self.logitRows = logitRows
        self.imageTokens = imageTokens
    }
}
