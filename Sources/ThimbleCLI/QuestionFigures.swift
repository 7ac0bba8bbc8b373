//! What a second question about the same pages costs, as `bench` prints it.

import Thimble

/// Two questions about the same images, each in a session of its own: medians of the repetitions.
struct QuestionFigures: Encodable {
    var first: Question
    var second: Question
    /// The second's time to the first token, as a share of the first's.
    var share: Double

    struct Question: Encodable {
        var firstTokenSeconds: Double
        /// Visual tokens included.
        var promptTokens: Int
        /// Of those, whose keys and values were there.
        var sharedTokens: Int
        var imagesEncoded: Int

        fileprivate init(_ timings: [QuestionTiming]) {
            let middle = timings.sorted { $0.firstTokenSeconds < $1.firstTokenSeconds }[timings.count / 2]
            firstTokenSeconds = middle.firstTokenSeconds
            promptTokens = middle.promptTokens
            // Of all repetitions the worst: what is computed again counts wherever it was.
            sharedTokens = timings.map(\.sharedTokens).min() ?? 0
            imagesEncoded = timings.map(\.imagesEncoded).max() ?? 0
        }
    }

    /// Nil where no questions were asked.
    init?(_ pairs: [QuestionPair]) {
        if pairs.isEmpty { return nil }
        first = Question(pairs.map(\.first))
        second = Question(pairs.map(\.second))
        share = pairs.map(\.share).median
    }

    /// For a person.
    var lines: [String] {
        [
            "question      \(first.words) of \(first.promptTokens.of("token"))",
            "another       \(second.words), \((share * 100).fixed(1)) % of that, "
                + "\(second.sharedTokens.of("token")) shared",
        ]
    }
}

extension QuestionFigures.Question {
    fileprivate var words: String {
        "\((firstTokenSeconds * 1000).fixed(1)) ms to the first token, \(imagesEncoded.of("image")) encoded"
    }
}
