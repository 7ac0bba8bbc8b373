//! Raw logits and timings: for comparing with a reference and for measuring.

internal import CPUBackend
public import Documents
internal import ModelFile
internal import Models
internal import Tensors

/// What a benchmark measured.
public struct BenchmarkResult: Sendable {
    public var promptTokens: Int
    public var generatedTokens: Int
    /// One entry a repetition.
    public var prefillSeconds: [Double]
    /// One entry a repetition.
    public var decodeSeconds: [Double]
    /// Bytes of weights that every decoded token reads.
    public var decodeWeightByteCount: Int
    /// Seconds that only reading those bytes once takes on the same threads; one entry a
    /// repetition, measured after it.
    public var weightReadSeconds: [Double]

    /// From the median repetition; nil where nothing was asked for.
    public var prefillTokensPerSecond: Double? { Self.rate(promptTokens, prefillSeconds) }
    /// From the median repetition; nil where nothing was asked for.
    public var decodeTokensPerSecond: Double? { Self.rate(generatedTokens, decodeSeconds) }

    /// Bytes a second at which the weights' memory is only read, in the median repetition.
    public var readBytesPerSecond: Double? { Self.rate(decodeWeightByteCount, weightReadSeconds) }
    /// Decoding's share of that bandwidth, 0 to 1; nil where no decoding was asked for.
    public var decodeBandwidthShare: Double? {
        guard let decodeTokensPerSecond, let readBytesPerSecond else { return nil }
        return decodeTokensPerSecond * Double(decodeWeightByteCount) / readBytesPerSecond
    }

    private static func rate(_ tokens: Int, _ seconds: [Double]) -> Double? {
        guard tokens > 0, !seconds.isEmpty else { return nil }
        return Double(tokens) / seconds.sorted()[seconds.count / 2]
    }
}

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
        let features = images.isEmpty ? nil : try makeFeatureStore()
        var nextImage = 0
        for token in tokens {
            if let features, token == imageToken {
                guard let image = try encode(images[nextImage], into: features, shouldStop: shouldStop) else {
                    throw ThimbleError(.cancelled, "interrupted")
                }
                inputs.append(image, token: token)
                nextImage += 1
            } else {
                inputs.append(token)
            }
        }
        let (model, sequence) = (self.model, KVSequence(pool: pool, capacity: contextLength))
        try translating(path) { () throws(ModelError) in
            try unsafe model.forward(
                inputs, into: sequence, logits: .all, shouldStop: shouldStop, receive: receive)
        }
        guard sequence.length == inputs.count else { throw ThimbleError(.cancelled, "interrupted") }
        return inputs.count
    }

    /// Times prefill of `promptTokens` and decoding of `generatedTokens` after it, `repetitions` times after
    /// one warm-up. The tokens are arbitrary: speed does not depend on them.
    public func benchmark(
        promptTokens: Int, generatedTokens: Int, repetitions: Int = 3
    ) throws(ThimbleError) -> BenchmarkResult {
        guard promptTokens >= 0, generatedTokens >= 0, max(promptTokens, generatedTokens) > 0, repetitions > 0
        else {
            throw ThimbleError(
                .invalidArgument, "a benchmark takes a positive number of tokens and repetitions")
        }
        let (sum, overflows) = max(promptTokens, 1).addingReportingOverflow(generatedTokens)
        let needed = overflows ? .max : sum
        guard needed <= contextLength else { throw .contextFull(needed: needed, capacity: contextLength) }
        let weights = model.decodeWeights
        var result = BenchmarkResult(
            promptTokens: promptTokens, generatedTokens: generatedTokens, prefillSeconds: [],
            decodeSeconds: [], decodeWeightByteCount: weights.reduce(0) { $0 + $1.byteCount },
            weightReadSeconds: [])
        for repetition in 0...repetitions {
            let (prefill, decode) = try timeOnce(max(promptTokens, 1), generatedTokens)
            if repetition == 0 { continue }
            if promptTokens > 0 { result.prefillSeconds.append(prefill) }
            if generatedTokens > 0 { result.decodeSeconds.append(decode) }
            if let seconds = try secondsToRead(weights) { result.weightReadSeconds.append(seconds) }
        }
        return result
    }

    private func secondsToRead(_ memories: [any BackendMemory]) throws(ThimbleError) -> Double? {
        do { return try backend.secondsToRead(memories) } catch {
            throw ThimbleError(.noDevice, "\(device.name): \(error)")
        }
    }

    private func timeOnce(
        _ promptTokens: Int, _ generatedTokens: Int
    ) throws(ThimbleError) -> (prefill: Double, decode: Double) {
        let vocabularySize = file.configuration.text.vocabularySize
        let (model, sequence) = (self.model, KVSequence(pool: pool, capacity: contextLength))
        var inputs = InputSequence()
        func token(_ index: Int) -> Int32 {
            let token = Int32((index * 7919 + 13) % vocabularySize)
            return token == imageToken ? (token == 0 ? 1 : token - 1) : token
        }
        func step() throws(ThimbleError) {
            try translating(path) { () throws(ModelError) in
                try unsafe model.forward(inputs, into: sequence, logits: .last) { _ in }
            }
        }
        let clock = ContinuousClock()
        for index in 0..<promptTokens { inputs.append(token(index)) }
        let start = clock.now
        try step()
        let middle = clock.now
        for index in 0..<generatedTokens {
            inputs.append(token(promptTokens + index))
            try step()
        }
        return (start.duration(to: middle).seconds, middle.duration(to: clock.now).seconds)
    }
}
