//! Raw logits: for comparing with a reference.

public import Documents
internal import ModelFile
internal import Models
internal import Tensors

extension Engine {
    /// The logits of every position of `tokens`, in which each image placeholder stands for one of `images`
    /// in order and is expanded. `receive` gets runs of rows, `[rows, vocabularySize]`, in order of position.
    /// `shouldStop` is asked before each layer; when it says so, `cancelled` is thrown.
    ///
    /// - Returns: the number of positions after expansion.
    @discardableResult
    public func logits(
        of tokens: [Int32], images: [RGBImage] = [], shouldStop: () -> Bool = { false },
        receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ThimbleError) -> Int {
        guard !tokens.isEmpty else { throw ThimbleError(.invalidArgument, "no tokens given") }
        let placeholders = tokens.count { $0 == imageToken }
        guard placeholders == images.count else {
            throw ThimbleError(
                .invalidArgument,
                "the tokens hold \(placeholders) image placeholders and \(images.count) images are given")
        }
        for token in tokens { try checkToken(token) }
        var needed = tokens.count - placeholders
        for image in images { needed += try visualGrid(of: image).count }
        guard needed <= contextLength else { throw .contextFull(needed: needed, capacity: contextLength) }
        var inputs = InputSequence()
        var nextImage = 0
        for token in tokens {
            if token == imageToken {
                inputs.append(try features(of: images[nextImage]), token: token)
                nextImage += 1
            } else {
                inputs.append(token)
            }
        }
        let (model, sequence) = (self.model, KVSequence(pool: pool, capacity: contextLength))
        var held = HeldFeatures()
        let report = try unsafe look(
            at: images, in: inputs, sequence, logits: .all, holding: &held, shouldStop: shouldStop,
            receive: receive)
        if report == nil { throw ThimbleError(.cancelled, "interrupted") }
        try translating(path) { () throws(ModelError) in
            try unsafe model.forward(
                inputs, into: sequence, logits: .all, shouldStop: shouldStop, receive: receive)
        }
        guard sequence.length == inputs.count else { throw ThimbleError(.cancelled, "interrupted") }
        return inputs.count
    }
}
