//! How fast a model runs here.

internal import Documents
internal import HostSystem
internal import Models
public import Tensors

/// What to measure.
public struct BenchmarkOptions: Sendable {
    /// Tokens whose prefill is timed.
    public var promptTokens = 512
    /// Tokens decoded after them.
    public var generatedTokens = 64
    /// Tokens in the context before them.
    public var depth = 0
    /// Width and height in pixels of an image to encode; nil for none.
    public var imageSize: (width: Int, height: Int)?
    /// Images of that size to encode at once, beside one alone; 1 for that alone.
    public var imageCount = 1
    /// Whether to ask about those images, too, and then again in a new session.
    public var asksAgain = false
    /// How often to measure, one warm-up not counted.
    public var repetitions = 3
    /// Whether to say where the time goes, on a device that can: measured in a run of its own.
    public var profiles = false

    public init() {}
}

/// What a benchmark measured.
public struct BenchmarkResult: Sendable {
    public var options: BenchmarkOptions
    /// One entry a repetition.
    public var prefillSeconds: [Double]
    /// One entry a repetition.
    public var decodeSeconds: [Double]
    /// How the disk was used; nil where no weights pass from the file.
    public var disk: DiskUse?
    /// Of one image through the vision tower, one entry a repetition; empty where none was asked for.
    public var visionSeconds: [Double]
    /// Of `imageCount` images at once, likewise; empty where that is one.
    public var batchSeconds: [Double] = []
    /// How many of those went through the tower together at most.
    public var batchCount = 0
    /// About those images, one entry a repetition; empty where nothing was asked.
    public var questions: [QuestionPair] = []
    /// Bytes of weights that every decoded token reads.
    public var decodeWeightByteCount: Int
    /// Seconds that only reading those bytes once takes on the same threads; one entry a
    /// repetition, measured after it.
    public var weightReadSeconds: [Double]
    /// Of the prompt's pass, where that was asked for and the device can tell.
    public var prefillProfile: [DispatchTime] = []
    /// Of one token's step, likewise.
    public var decodeProfile: [DispatchTime] = []
    /// Of the images at once through the vision tower, likewise.
    public var visionProfile: [DispatchTime] = []

    /// From the median repetition; nil where nothing was asked for.
    public var prefillTokensPerSecond: Double? { Self.rate(options.promptTokens, prefillSeconds) }
    /// From the median repetition; nil where nothing was asked for.
    public var decodeTokensPerSecond: Double? { Self.rate(options.generatedTokens, decodeSeconds) }

    /// Bytes a second at which the weights' memory is only read, in the median repetition.
    public var readBytesPerSecond: Double? { Self.rate(decodeWeightByteCount, weightReadSeconds) }
    /// Decoding's share of that bandwidth, 0 to 1; nil where no decoding was asked for.
    public var decodeBandwidthShare: Double? {
        guard let decodeTokensPerSecond, let readBytesPerSecond else { return nil }
        return decodeTokensPerSecond * Double(decodeWeightByteCount) / readBytesPerSecond
    }

    /// Seconds an image takes, in the median repetition.
    public var secondsPerImage: Double? { Self.rate(1, visionSeconds).map { 1 / $0 } }
    /// The same of each of those that are encoded at once.
    public var secondsPerImageOfBatch: Double? { Self.rate(options.imageCount, batchSeconds).map { 1 / $0 } }

    private static func rate(_ tokens: Int, _ seconds: [Double]) -> Double? {
        guard tokens > 0, !seconds.isEmpty else { return nil }
        return Double(tokens) / seconds.median
    }
}

extension Engine {
    /// Times prefill, decoding after it, and the encoding of an image. The tokens and the image are
    /// arbitrary: speed does not depend on them.
    ///
    /// Throws `invalidArgument` for counts below zero or nothing to measure, `contextFull` where the tokens
    /// do not fit, and what an image or a device may throw.
    public func benchmark(_ options: BenchmarkOptions) throws(ThimbleError) -> BenchmarkResult {
        let counts = [options.promptTokens, options.generatedTokens, options.depth]
        let isNothing = counts[0] == 0 && counts[1] == 0 && options.imageSize == nil
        guard options.imageSize != nil || !options.asksAgain else {
            throw ThimbleError(.invalidArgument, "a benchmark asks about images of some size")
        }
        guard counts.allSatisfy({ $0 >= 0 }), !isNothing, options.repetitions > 0, options.imageCount > 0
        else {
            throw ThimbleError(
                .invalidArgument, "a benchmark takes a positive number of tokens and repetitions")
        }
        // One token more: a prompt of none still needs one to decode from.
        let needed = counts.reduce(1) { sum, count in
            let (sum, overflows) = sum.addingReportingOverflow(count)
            return overflows ? .max / 2 : sum
        }
        guard needed - 1 <= contextLength else {
            throw .contextFull(needed: needed - 1, capacity: contextLength)
        }
        let weights = model.decodeWeights
        var result = BenchmarkResult(
            options: options, prefillSeconds: [], decodeSeconds: [], visionSeconds: [],
            decodeWeightByteCount: weights.flatMap(\.memories).reduce(0) { $0 + $1.byteCount },
            weightReadSeconds: [])
        for repetition in 0...options.repetitions {
            let isWarmUp = repetition == 0
            if options.promptTokens > 0 || options.generatedTokens > 0 {
                if !isWarmUp { try measureDisk(into: &result.disk) }
                let (prefill, decode) = try timeText(options)
                if !isWarmUp, options.promptTokens > 0 { result.prefillSeconds.append(prefill.seconds) }
                if !isWarmUp, options.generatedTokens > 0 { result.decodeSeconds.append(decode.seconds) }
                if !isWarmUp {
                    result.disk?.prefill.append(prefill.reads)
                    result.disk?.decode.append(decode.reads)
                }
            }
            if let size = options.imageSize {
                let (seconds, _) = try timeImages(1, size)
                if !isWarmUp { result.visionSeconds.append(seconds) }
                if options.imageCount > 1 {
                    let (seconds, together) = try timeImages(options.imageCount, size)
                    if !isWarmUp { result.batchSeconds.append(seconds) }
                    result.batchCount = together
                }
                if options.asksAgain {
                    // Others than before: nothing is known of them.
                    let images = try arbitraryImages(
                        options.imageCount, size, from: (repetition + 1) * options.imageCount)
                    let pair = try timeQuestions(about: images)
                    if !isWarmUp { result.questions.append(pair) }
                }
            }
            if isWarmUp { continue }
            if let seconds = try secondsToRead(weights) { result.weightReadSeconds.append(seconds) }
        }
        if result.disk != nil { try measureDisk(into: &result.disk) }
        if options.profiles { try profile(options, into: &result) }
        return result
    }

    /// One backend after the other, as a token goes through them; nil where one cannot be measured.
    private func secondsToRead(
        _ weights: [(backend: any Backend, memories: [any BackendMemory])]
    ) throws(ThimbleError) -> Double? {
        var sum = 0.0
        do {
            for (backend, memories) in weights where !memories.isEmpty {
                guard let seconds = try backend.secondsToRead(memories) else { return nil }
                sum += seconds
            }
        } catch { throw ThimbleError(.noDevice, "\(device.name): \(error)") }
        return sum
    }

    private func timeText(
        _ options: BenchmarkOptions
    ) throws(ThimbleError) -> (prefill: Lap, decode: Lap) {
        var text = BenchmarkText(self)
        try text.reach(options.depth)
        text.add(max(options.promptTokens, 1))
        var start = Mark(file)
        guard let stepDecoder else {
            try text.forward()
            let prefill = start.lap(file)
            for _ in 0..<options.generatedTokens {
                text.add(1)
                try text.forward()
            }
            return (prefill, start.lap(file))
        }
        // The device draws its own tokens, the first of them as part of the prefill.
        try text.begin(stepDecoder)
        let prefill = start.lap(file)
        var left = options.generatedTokens
        while left > 0 {
            let count = min(stepDecoder.mostInRun, left)
            try translating(path) { () throws(ModelError) in
                try stepDecoder.decode(text.sequence, count: count) { _ in }
            }
            left -= count
        }
        return (prefill, start.lap(file))
    }

    /// Measures once more, dispatch by dispatch.
    private func profile(
        _ options: BenchmarkOptions, into result: inout BenchmarkResult
    ) throws(ThimbleError) {
        guard let profiling = backend as? any ProfilingBackend else { return }
        if let size = options.imageSize {
            try translating(path) { () throws(BackendError) in try profiling.startProfile() }
            _ = try timeImages(options.imageCount, size)
            result.visionProfile = try translating(path) { () throws(BackendError) in
                try profiling.takeProfile()
            }
        }
        if options.promptTokens + options.generatedTokens == 0 { return }
        var text = BenchmarkText(self)
        try text.reach(options.depth)
        text.add(max(options.promptTokens, 1))
        try translating(path) { () throws(BackendError) in try profiling.startProfile() }
        try text.forward()
        result.prefillProfile = try translating(path) { () throws(BackendError) in
            try profiling.takeProfile()
        }
        guard let stepDecoder, options.generatedTokens > 0 else { return }
        text.add(1)
        try text.begin(stepDecoder)
        result.decodeProfile = try translating(path) { () throws(ModelError) in
            try stepDecoder.stepTimes(text.sequence)
        }
    }

    /// Encodes so many images, as many together as can be; also returns how many those are.
    private func timeImages(
        _ count: Int, _ size: (width: Int, height: Int)
    ) throws(ThimbleError) -> (seconds: Double, together: Int) {
        var images: [(image: RGBImage, features: VisualFeatures)] = []
        for image in try arbitraryImages(count, size, from: 0) {
            images.append((image, try features(of: image)))
        }
        let store = try featureCache().store
        var together = 0
        var first = 0
        let start = Moment.now
        for index in images.indices {
            let (image, features) = images[index]
            batch.append(image.pixels, try cut(of: image), as: features)
            if index + 1 < count, try joinsBatch(images[index + 1].features, cut(of: image)) { continue }
            together = max(together, batch.count)
            _ = try encodeBatch { false }
            // The next time, too, they are computed.
            for (_, features) in images[first...index] { store.remove(features) }
            first = index + 1
        }
        return (start.duration(to: .now).seconds, together)
    }

    /// Images of which no two are alike, nor those from other numbers on.
    private func arbitraryImages(
        _ count: Int, _ size: (width: Int, height: Int), from first: Int
    ) throws(ThimbleError) -> [RGBImage] {
        guard (1...65_535).contains(size.width), (1...65_535).contains(size.height) else {
            throw ThimbleError(.invalidArgument, "an image of \(size.width) x \(size.height) pixels")
        }
        return (first..<first + count).map { index in
            let pixels = (0..<size.width * size.height * 3).map {
                UInt8(truncatingIfNeeded: $0 &* (7 &+ 2 &* index) &+ ($0 >> 8) &* (1 &+ index / 128))
            }
            return RGBImage(width: size.width, height: size.height, pixels: pixels)
        }
    }
}

/// A sequence of arbitrary tokens.
private struct BenchmarkText {
    private let engine: Engine
    let sequence: KVSequence
    private var inputs = InputSequence()

    init(_ engine: Engine) {
        self.engine = engine
        sequence = KVSequence(pool: engine.pool, capacity: engine.contextLength)
    }

    mutating func add(_ count: Int) {
        for _ in 0..<count { inputs.append(engine.arbitraryToken(inputs.count)) }
    }

    /// Adds so many tokens, and computes them.
    mutating func reach(_ depth: Int) throws(ThimbleError) {
        if depth == 0 { return }
        add(depth)
        try forward()
    }

    /// Computes what was added, and waits for it.
    func forward() throws(ThimbleError) { try forward(.last) }

    private func forward(_ rows: Glm4v.LogitRows) throws(ThimbleError) {
        try translating(engine.path) { () throws(ModelError) in
            try unsafe engine.model.forward(inputs, into: sequence, logits: rows) { _ in }
        }
    }

    /// Computes what was added, and draws the token after it on the device.
    func begin(_ stepDecoder: StepDecoder) throws(ThimbleError) {
        try forward(.kept)
        let draw = DrawParameters(SamplingOptions())
        try translating(engine.path) { () throws(ModelError) in
            _ = try stepDecoder.begin(inputs, sequence, draw: draw)
        }
    }
}
