//! How the parts of a plan share a limit: what a higher limit is spent on, in which order.

/// The order in which a growing limit is spent: the least that a model runs in, contexts that most need,
/// then weights, with longer chunks of the prompt as they are worth their memory, and contexts beyond the
/// usual once no weight is read again and again.
///
/// Whatever has been granted stays: while a larger context or chunk is saved for, the weights keep what they
/// have. So with a higher limit nothing gets less, and nothing is slower.
struct MemoryShares {
    /// What a limit gives each part.
    struct Share: Equatable {
        var context: Int
        var chunkTokens: Int
        /// Bytes.
        var weights: Int
    }

    /// In rising order, and never empty.
    let contexts: [Int]
    /// Contexts up to this one come before weights.
    let usualContext: Int
    /// In rising order, and never empty.
    let chunks: [Int]
    /// Bytes of weights that a model cannot do without.
    let leastWeights: Int
    /// Bytes of weights with which tokens read nothing of the file.
    let quietWeights: Int
    /// Bytes of everything but weights; nil where no number is large enough.
    let rest: (_ context: Int, _ chunkTokens: Int, _ limit: Int) -> Int?
    /// The least limit with which a chunk is worth its memory.
    let worth: (_ context: Int, _ chunkTokens: Int) -> Int

    /// Limits have so many leading bits and zeros behind: a 512th is left at most, and nothing of those that
    /// people write.
    private static let leadingBits = 10

    /// Whether anything fits.
    func isEnough(_ limit: Int) -> Bool {
        let limit = Self.rounded(limit)
        return room(limit, contexts[0], chunks[0]) >= leastWeights
    }

    /// What `limit` gives; nil where it is not enough.
    func share(of limit: Int) -> Share? {
        guard isEnough(limit) else { return nil }
        var (context, chunk, weights) = (0, 0, leastWeights)
        var step = Self.rounded(leastWeights)
        while step <= limit {
            if room(step, contexts[context], chunks[chunk]) >= weights {
                spend(step, &context, &chunk, &weights)
            }
            step = Self.next(step)
        }
        return Share(context: contexts[context], chunkTokens: chunks[chunk], weights: weights)
    }

    /// Spends what a limit leaves beyond what has been granted.
    private func spend(_ limit: Int, _ context: inout Int, _ chunk: inout Int, _ weights: inout Int) {
        while true {
            let (hasContext, hasChunk) = (context + 1 < contexts.count, chunk + 1 < chunks.count)
            let isUsual = hasContext && contexts[context + 1] <= usualContext
            if isUsual {
                guard room(limit, contexts[context + 1], chunks[chunk]) >= weights else { return }
                context += 1
            } else if hasChunk, worth(contexts[context], chunks[chunk + 1]) <= limit {
                guard room(limit, contexts[context], chunks[chunk + 1]) >= weights else { return }
                chunk += 1
            } else if hasContext, weights >= quietWeights {
                guard room(limit, contexts[context + 1], chunks[chunk]) >= weights else { return }
                context += 1
            } else {
                // A context beyond the usual is wanted before more than this.
                let most = hasContext ? max(weights, quietWeights) : .max
                weights = min(room(limit, contexts[context], chunks[chunk]), most)
                guard hasContext, weights >= quietWeights else { return }
            }
        }
    }

    /// Bytes that are left for weights.
    private func room(_ limit: Int, _ context: Int, _ chunkTokens: Int) -> Int {
        rest(context, chunkTokens, limit).map { limit - $0 } ?? .min
    }

    private static func rounded(_ limit: Int) -> Int {
        let shift = max(0, Int.bitWidth - limit.leadingZeroBitCount - leadingBits)
        return (limit >> shift) << shift
    }

    private static func next(_ limit: Int) -> Int {
        let shift = max(0, Int.bitWidth - limit.leadingZeroBitCount - leadingBits)
        return limit + (1 << shift)
    }
}
