//! Chooses the next token from the logits.

internal import Glibc

/// One generation's sampler: its parameters, what was seen, and the state of its random numbers. Sized when
/// made: choosing a token allocates nothing.
struct Sampler {
    private let options: SamplingOptions
    private var random: SplitMix64
    /// Tokens that the repetition penalty knows, each once, and whether a token is among them.
    private var seen: [Int32] = []
    private var isSeen: [Bool] = []
    /// Tokens that were generated, each once, and how often.
    private var generated: [Int32] = []
    private var counts: [Int32] = []
    private var logits: [Float]
    private var candidates: [Candidate] = []

    /// A token that may be drawn, with a weight in proportion to its probability.
    private struct Candidate {
        let token: Int32
        let weight: Float

        /// Whether this one is kept before `other`: the likelier one, of equals the one of lower id.
        func precedes(_ other: Candidate) -> Bool {
            weight == other.weight ? token < other.token : weight > other.weight
        }
    }

    /// `prompt` are the tokens that the repetition penalty knows from the start.
    init(_ options: SamplingOptions, prompt: some Sequence<Int32>, vocabularySize: Int) {
        self.options = options
        random = SplitMix64(state: options.seed ?? UInt64.random(in: .min ... .max))
        logits = [Float](repeating: 0, count: vocabularySize)
        if options.temperature > 0 { candidates.reserveCapacity(vocabularySize) }
        if options.frequencyPenalty != 0 || options.presencePenalty != 0 {
            counts = [Int32](repeating: 0, count: vocabularySize)
            generated.reserveCapacity(vocabularySize)
        }
        if options.repetitionPenalty != 1 {
            isSeen = [Bool](repeating: false, count: vocabularySize)
            seen.reserveCapacity(vocabularySize)
            for token in prompt where Int(token) < vocabularySize { see(token) }
        }
    }

    /// The next token, or nil when no logit is a number above minus infinity.
    mutating func next(_ values: UnsafeBufferPointer<Float>) -> Int32? {
        precondition(values.count == logits.count)
        for index in logits.indices {
            logits[index] = unsafe values[index].isNaN ? -.infinity : values[index]
        }
        applyPenalties()
        let token = options.temperature == 0 ? likeliest() : draw()
        if let token { note(token) }
        return token
    }

    private mutating func note(_ token: Int32) {
        if !isSeen.isEmpty { see(token) }
        if !counts.isEmpty {
            if counts[Int(token)] == 0 { generated.append(token) }
            counts[Int(token)] += 1
        }
    }

    private mutating func see(_ token: Int32) {
        if isSeen[Int(token)] { return }
        isSeen[Int(token)] = true
        seen.append(token)
    }

    private mutating func applyPenalties() {
        for token in seen {
            let value = logits[Int(token)]
            logits[Int(token)] =
                value > 0 ? value / options.repetitionPenalty : value * options.repetitionPenalty
        }
        for token in generated {
            let count = Float(counts[Int(token)])
            logits[Int(token)] -= count * options.frequencyPenalty + options.presencePenalty
        }
    }

    private func likeliest() -> Int32? {
        var best = (index: -1, value: -Float.infinity)
        for index in logits.indices where logits[index] > best.value { best = (index, logits[index]) }
        return best.index < 0 ? nil : Int32(best.index)
    }

    /// Draws from the distribution that temperature, top-k, top-p and min-p leave, the last three in that
    /// order: each keeps the first candidates in order of `precedes`. The draw goes through what is left in
    /// order of ids, so that a seed gives the same text everywhere.
    private mutating func draw() -> Int32? {
        guard let best = likeliest() else { return nil }
        let highest = logits[Int(best)]
        // An infinite logit beats every other; its differences would not be numbers.
        guard highest.isFinite else { return best }
        // From here on logits are weights, the likeliest one's 1.
        for index in logits.indices { logits[index] = expf((logits[index] - highest) / options.temperature) }
        var last = Candidate(token: .max, weight: .leastNonzeroMagnitude)
        if let cut = lastOfTopK(), cut.precedes(last) { last = cut }
        if let cut = lastOfTopP(upTo: last), cut.precedes(last) { last = cut }
        let cut = Candidate(token: .max, weight: options.minP)
        if cut.precedes(last) { last = cut }
        var remaining = Double(random.nextUnit()) * sum(upTo: last)
        var drawn = best
        for index in logits.indices {
            let candidate = Candidate(token: Int32(index), weight: logits[index])
            if last.precedes(candidate) { continue }
            drawn = candidate.token
            remaining -= Double(candidate.weight)
            if remaining < 0 { break }
        }
        return drawn
    }
}

extension Sampler {
    /// The last of the `topK` first candidates; nil where there are no more than those.
    private mutating func lastOfTopK() -> Candidate? {
        let limit = options.topK
        guard limit > 0, limit < logits.count else { return nil }
        // The first so far, with the last of them on top.
        candidates.removeAll(keepingCapacity: true)
        for index in logits.indices where logits[index] > 0 {
            let candidate = Candidate(token: Int32(index), weight: logits[index])
            if candidates.count < limit {
                candidates.append(candidate)
                if candidates.count == limit { Self.makeHeap(&candidates) { $1.precedes($0) } }
            } else if candidate.precedes(candidates[0]) {
                candidates[0] = candidate
                Self.sink(0, &candidates) { $1.precedes($0) }
            }
        }
        return candidates.count < limit ? nil : candidates[0]
    }

    /// The last of the fewest first candidates whose weights reach `topP` of all up to `last`; nil where that
    /// takes all.
    private mutating func lastOfTopP(upTo last: Candidate) -> Candidate? {
        guard options.topP < 1 else { return nil }
        let total = sum(upTo: last)
        let limit = Double(options.topP) * total
        // Candidates below half an even share of the rest cannot reach into it: they need not be ordered.
        let least = Float((total - limit) / Double(2 * logits.count))
        candidates.removeAll(keepingCapacity: true)
        for index in logits.indices where logits[index] >= least {
            let candidate = Candidate(token: Int32(index), weight: logits[index])
            if !last.precedes(candidate) { candidates.append(candidate) }
        }
        Self.makeHeap(&candidates) { $0.precedes($1) }
        var reached = 0.0
        while let first = candidates.first {
            reached += Double(first.weight)
            if reached >= limit { return first }
            candidates.swapAt(0, candidates.count - 1)
            candidates.removeLast()
            Self.sink(0, &candidates) { $0.precedes($1) }
        }
        return nil
    }

    /// The weights of all candidates that `last` does not precede, added in order of ids.
    private func sum(upTo last: Candidate) -> Double {
        var sum = 0.0
        for index in logits.indices {
            let candidate = Candidate(token: Int32(index), weight: logits[index])
            if !last.precedes(candidate) { sum += Double(candidate.weight) }
        }
        return sum
    }

    /// Orders `heap` so that each element comes before the two below it.
    private static func makeHeap(
        _ heap: inout [Candidate], _ comesBefore: (Candidate, Candidate) -> Bool
    ) {
        for index in (0..<heap.count / 2).reversed() { sink(index, &heap, comesBefore) }
    }

    /// Moves the element at `index` down to its place in a heap.
    private static func sink(
        _ index: Int, _ heap: inout [Candidate], _ comesBefore: (Candidate, Candidate) -> Bool
    ) {
        var parent = index
        while true {
            var first = parent
            for child in 2 * parent + 1...2 * parent + 2
            where child < heap.count && comesBefore(heap[child], heap[first]) { first = child }
            if first == parent { return }
            heap.swapAt(parent, first)
            parent = first
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same on every machine.
struct SplitMix64 {
    var state: UInt64
    /// By how much a draw moves the state on.
    static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    mutating func next() -> UInt64 {
        state &+= Self.increment
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in 0..<1.
    mutating func nextUnit() -> Float { Float(next() >> 40) * 0x1p-24 }
}
