//! Chooses the next token from the logits.

internal import Glibc

/// One generation's sampler: its parameters, what was seen, and the state of its random numbers.
struct Sampler {
    private let options: SamplingOptions
    private var random: SplitMix64
    private var seen: Set<Int32>
    private var counts: [Int32: Int] = [:]
    private var logits: [Float]
    private var candidates: [Candidate] = []

    private struct Candidate {
        let token: Int32
        var weight: Float
    }

    /// `prompt` are the tokens that the repetition penalty knows from the start.
    init(_ options: SamplingOptions, prompt: some Sequence<Int32>, vocabularySize: Int) {
        self.options = options
        random = SplitMix64(state: options.seed ?? UInt64.random(in: .min ... .max))
        seen = options.repetitionPenalty == 1 ? [] : Set(prompt)
        logits = [Float](repeating: 0, count: vocabularySize)
        if options.temperature > 0 { candidates.reserveCapacity(vocabularySize) }
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
        if options.repetitionPenalty != 1 { seen.insert(token) }
        if options.frequencyPenalty != 0 || options.presencePenalty != 0 { counts[token, default: 0] += 1 }
    }

    private mutating func applyPenalties() {
        for token in seen where Int(token) < logits.count {
            let value = logits[Int(token)]
            logits[Int(token)] =
                value > 0 ? value / options.repetitionPenalty : value * options.repetitionPenalty
        }
        for (token, count) in counts {
            logits[Int(token)] -= Float(count) * options.frequencyPenalty + options.presencePenalty
        }
    }

    private func likeliest() -> Int32? {
        var best = (index: -1, value: -Float.infinity)
        for index in logits.indices where logits[index] > best.value { best = (index, logits[index]) }
        return best.index < 0 ? nil : Int32(best.index)
    }

    /// Draws from the distribution that top-k, temperature, top-p and min-p leave, in that order.
    private mutating func draw() -> Int32? {
        guard let best = likeliest() else { return nil }
        let highest = logits[Int(best)]
        // An infinite logit beats every other; its differences would not be numbers.
        guard highest.isFinite else { return best }
        candidates.removeAll(keepingCapacity: true)
        for index in logits.indices where logits[index] > -.infinity {
            let weight = expf((logits[index] - highest) / options.temperature)
            if weight > 0 { candidates.append(Candidate(token: Int32(index), weight: weight)) }
        }
        // Equal weights keep the order of their ids, so that a seed gives the same text everywhere.
        candidates.sort { $0.weight == $1.weight ? $0.token < $1.token : $0.weight > $1.weight }
        if options.topK > 0, options.topK < candidates.count {
            candidates.removeLast(candidates.count - options.topK)
        }
        keepTopP()
        let threshold = options.minP * candidates[0].weight
        let kept = candidates.prefix { $0.weight >= threshold }
        var remaining = random.nextUnit() * kept.reduce(0) { $0 + $1.weight }
        for candidate in kept {
            remaining -= candidate.weight
            if remaining < 0 { return candidate.token }
        }
        return kept.last?.token
    }

    private mutating func keepTopP() {
        guard options.topP < 1 else { return }
        let limit = options.topP * candidates.reduce(0) { $0 + $1.weight }
        var sum: Float = 0
        for index in candidates.indices {
            sum += candidates[index].weight
            if sum >= limit {
                candidates.removeLast(candidates.count - index - 1)
                return
            }
        }
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same on every machine.
struct SplitMix64 {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in 0..<1.
    mutating func nextUnit() -> Float { Float(next() >> 40) * 0x1p-24 }
}
