//! What a second question about the same pages costs, beside the first one.

internal import Documents
internal import HostSystem
internal import Memory
internal import Models

/// A question about images, answered as far as its first token.
public struct QuestionTiming: Sendable {
    /// From having the images' pixels to the first token of the answer.
    public var firstTokenSeconds: Double
    /// Of the prompt, visual tokens included.
    public var promptTokens: Int
    /// Of those, whose keys and values were there.
    public var sharedTokens: Int
    /// Images that went through the vision tower.
    public var imagesEncoded: Int

    public init(firstTokenSeconds: Double, promptTokens: Int, sharedTokens: Int, imagesEncoded: Int) {
        self.firstTokenSeconds = firstTokenSeconds
        self.promptTokens = promptTokens
        self.sharedTokens = sharedTokens
        self.imagesEncoded = imagesEncoded
    }
}

/// Two questions about the same images, each asked in a session of its own.
public struct QuestionPair: Sendable {
    public var first: QuestionTiming
    public var second: QuestionTiming

    public init(first: QuestionTiming, second: QuestionTiming) {
        (self.first, self.second) = (first, second)
    }

    /// The second's time to the first token, as a share of the first's.
    public var share: Double { second.firstTokenSeconds / first.firstTokenSeconds }
}

extension Engine {
    /// Asks a question about `images`, then another one in a new session. The tokens are arbitrary, and the
    /// model need not converse.
    ///
    /// Throws `contextFull` where the images and a question do not fit, and what answering may throw.
    func timeQuestions(about images: [RGBImage]) throws(ThimbleError) -> QuestionPair {
        let first = try ask(7, about: images)
        return QuestionPair(first: first, second: try ask(11, about: images))
    }

    /// Tokens before the images, as a chat format has some.
    private static let openingTokens = 4

    /// A question that `seed` decides, in a sequence of its own.
    private func ask(_ seed: Int, about images: [RGBImage]) throws(ThimbleError) -> QuestionTiming {
        let start = Moment.now
        var inputs = InputSequence()
        for index in 0..<Self.openingTokens { inputs.append(arbitraryToken(index)) }
        for image in images { inputs.append(try features(of: image), token: imageToken ?? 0) }
        for index in 0..<Plan.questionTokens { inputs.append(arbitraryToken(seed * (index + 1))) }
        // One more for the first token of the answer.
        guard inputs.count < contextLength else {
            throw .contextFull(needed: inputs.count + 1, capacity: contextLength)
        }
        let sequence = KVSequence(pool: pool, capacity: contextLength)
        let (asked, path) = (inputs, self.path)
        let shared = try translating(path) { () throws(ModelError) in
            try sequence.prepare(asked, keeping: 0)
        }
        var held = HeldFeatures()
        let report = try unsafe look(
            at: images, in: inputs, sequence, logits: .none, holding: &held, shouldStop: { false }
        ) { _ in }
        var greedy = SamplingOptions()
        greedy.temperature = 0
        var source = TokenSource(self, greedy, inputs)
        _ = try source.next(inputs, sequence) { false }
        let seconds = start.duration(to: .now).seconds
        source.finish(inputs, sequence)
        return QuestionTiming(
            firstTokenSeconds: seconds, promptTokens: inputs.count, sharedTokens: shared,
            imagesEncoded: report?.encoded ?? 0)
    }

    /// A token of text that `number` decides, and nothing else.
    func arbitraryToken(_ number: Int) -> Int32 {
        let token = Int32((number * 7919 + 13) % vocabularySize)
        return token == imageToken ? (token == 0 ? 1 : token - 1) : token
    }
}
