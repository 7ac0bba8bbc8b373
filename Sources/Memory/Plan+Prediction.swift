//! How fast a plan will run, from what it makes a machine do and how fast the machine does it.

internal import ModelFile
internal import Tensors

/// How fast a plan is predicted to run. SPEED.md says how near it came.
public struct PlanPrediction: Sendable {
    /// What a stage waits for longest.
    public enum Bound: String, Sendable, CaseIterable, Codable {
        /// The file being read.
        case disk
        /// Weights in memory being read.
        case memory
        /// The processor: products, attention, and the decompression of what the disk brings.
        case computing
    }

    /// Something that takes time, and what its parts would take alone. Seconds.
    public struct Stage: Sendable, Equatable {
        public var seconds = 0.0
        public var disk = 0.0
        public var memory = 0.0
        public var computing = 0.0

        public init() {}

        public var bound: Bound {
            disk >= memory + computing ? .disk : memory >= computing ? .memory : .computing
        }

        static func + (left: Stage, right: Stage) -> Stage {
            var sum = left
            sum.seconds += right.seconds
            sum.disk += right.disk
            sum.memory += right.memory
            sum.computing += right.computing
            return sum
        }

        /// The time of each of so many equal parts.
        func divided(by count: Double) -> Stage {
            var part = self
            part.seconds /= count
            part.disk /= count
            part.memory /= count
            part.computing /= count
            return part
        }
    }

    /// Until everything is in memory that is held there from load on.
    public var load: Stage
    /// Tokens of the prompt.
    public var promptTokens: Int
    /// From a prompt of text to the first token of the answer, once the model is loaded.
    public var firstToken: Stage
    /// A prompt's tokens, when one has been answered before.
    public var prefill: Stage
    /// One token of the answer to it.
    public var token: Stage
    /// Visual tokens of a page; nil where the model does not see.
    public var pageTokens: Int?
    /// A page through the vision tower.
    public var image: Stage?
    /// Pages that go through it together where there are as many, and each of those; nil where one goes
    /// alone.
    public var batch: (count: Int, image: Stage)?
    /// From a page and a question to the first token of the answer.
    public var pageFirstToken: Stage?
    /// The fewest tokens of a prompt that a GPU takes through the processor's layers, too, which are brought
    /// to it; nil where none are.
    public var broughtRows: Int?
    public var rates: MachineRates

    public var tokensPerSecond: Double { 1 / token.seconds }
    public var prefillTokensPerSecond: Double { Double(promptTokens) / prefill.seconds }
}

extension Plan {
    /// Tokens of a question about a page, its chat format included.
    public static let questionTokens = 32

    /// Predicts a prompt of `promptTokens` tokens, the decoding of an answer to it, and a page of
    /// `pageTokens` visual tokens with a question; nil where all of the model is a GPU's.
    ///
    /// Precondition: the plan was made for the model of `work`, and the tokens are positive.
    public func prediction(
        of work: ModelWork, on rates: MachineRates, promptTokens: Int, pageTokens: Int
    ) -> PlanPrediction? {
        precondition(promptTokens > 0 && pageTokens > 0)
        guard parts.contains(where: { $0.place == .host }) else { return nil }
        let forecast = Forecast(plan: self, work: work, rates: rates)
        let passes = forecast.passes
        var prediction = PlanPrediction(
            load: forecast.load(), promptTokens: promptTokens,
            firstToken: forecast.prompt(promptTokens, first: passes.first),
            prefill: forecast.prompt(promptTokens, first: passes.token),
            token: forecast.token(after: promptTokens),
            broughtRows: hasPassage ? rowsWorthBringing(of: work, on: rates) : nil, rates: rates)
        if let image = forecast.images(1, of: pageTokens) {
            prediction.pageTokens = pageTokens
            prediction.image = image
            let count = together(pageTokens)
            if count > 1, let stage = forecast.images(count, of: pageTokens) {
                prediction.batch = (count, stage.divided(by: Double(count)))
            }
            prediction.pageFirstToken =
                image + forecast.prompt(pageTokens + Self.questionTokens, first: passes.afterImage)
        }
        return prediction
    }

    /// Images of so many visual tokens that go through the tower together: as many as a chunk has rows.
    private func together(_ tokens: Int) -> Int {
        min(Self.mostImagesTogether, max(1, min(activations.imageBatchTokens, contextLength) / tokens))
    }

    /// More images gain nothing by each other, however small they are.
    public static let mostImagesTogether = 64
}

/// The reckoning of a prediction.
private struct Forecast {
    let plan: Plan
    let work: ModelWork
    let rates: MachineRates
    let passes: Residency.Passes
    /// The part that is a GPU's.
    let device: DeviceForecast

    /// A copy reads and writes, and the line that is written is read before.
    private static let copyPasses = 3.0
    /// The share of the shorter of two things done at once that the longer does not hide: those who read also
    /// unpack, and what passes has room for two or three units only. Measured on two cores.
    private static let unhidden = 0.5
    /// Seconds to open a file: its manifest is read and checked. Measured, as what follows.
    private static let opening = 0.004
    /// Seconds to make a tokenizer, for each byte that it has in the file.
    private static let tokenizing = 5e-8
    /// Seconds to plan, for each segment of weights, where not all are held: many ways to hold some are
    /// tried.
    private static let planning = 3e-4
    /// Seconds for a segment whose weights or norms are read: threads meet, and memory is made.
    private static let segment = 2e-4
    /// Seconds for a byte of memory that is used for the first time.
    private static let touching = 1e-10
    /// Reads in flight that a disk's rate is measured with.
    private static let readsInFlight = 4.0

    init(plan: Plan, work: ModelWork, rates: MachineRates) {
        self.plan = plan
        self.work = work
        self.rates = rates
        passes = plan.passes
        device = DeviceForecast(plan, work, rates)
    }

    /// Memory's own rate, whatever caches hold.
    private var memoryRate: Double { rates.weights[rates.weights.count - 1].bytesPerSecond }

    /// Seconds that all threads take to make weights of what the disk brings.
    private func unpacking(_ traffic: WeightTraffic) -> Double {
        let copying = 1 / rates.checking + Self.copyPasses / memoryRate
        // Decompressing writes what it makes, too.
        let decompressing = max(1 / rates.decompression, copying)
        return Double(traffic.decompressed) * decompressing + Double(traffic.copied) * copying
    }

    /// Seconds until the disk has brought what passes, where `ahead` bytes may come before they are used:
    /// where that is little the disk has few reads at a time.
    private func diskSeconds(_ traffic: WeightTraffic, ahead: Int) -> Double {
        diskSeconds(traffic, reads: Double(ahead) / Double(RunReader.mostRunBytes))
    }

    /// The same with so many reads on their way, as far as the disk gains by them.
    private func diskSeconds(_ traffic: WeightTraffic, reads: Double) -> Double {
        let inFlight = min(max(reads, 1), Self.readsInFlight)
        let alone = min(rates.diskAlone, rates.disk)
        let rate = alone + (rates.disk - alone) * (inFlight - 1) / (Self.readsInFlight - 1)
        return Double(traffic.reading) / rate
    }

    /// A pass: what the disk brings comes while what is there is computed with.
    private func pass(
        _ traffic: WeightTraffic, ahead: Int, memory: Double, computing: Double
    ) -> PlanPrediction.Stage {
        var stage = PlanPrediction.Stage()
        stage.disk = diskSeconds(traffic, ahead: ahead)
        stage.memory = memory
        stage.computing = computing + unpacking(traffic)
        return overlapped(stage)
    }

    /// A stage whose parts are known, the disk's beside the others.
    private func overlapped(_ stage: PlanPrediction.Stage) -> PlanPrediction.Stage {
        var stage = stage
        let host = stage.memory + stage.computing
        stage.seconds = max(stage.disk, host) + min(stage.disk, host) * Self.unhidden
        return stage
    }

    /// Layers that are brought to a GPU, which computes with one while the next ones are on their way: those
    /// that pass from the disk on. Seconds.
    private func brought(_ traffic: WeightTraffic, way: Double, computing: Double) -> PlanPrediction.Stage {
        var stage = pass(traffic, ahead: passes.tokenAhead, memory: 0, computing: 0)
        stage.memory = way
        stage.computing += computing
        stage.seconds = max(stage.seconds, way, computing)
        return stage
    }

    /// Seconds that going through the weights once takes where they lie.
    private var weightSeconds: Double {
        let bytes = device.hostByteCount
        return Double(bytes) / rates.weightRate(of: bytes)
    }

    private var fixedSeconds: Double { Double(work.layerCount) * device.hostShare * rates.layerSeconds }

    /// What layers take for their channels beside products.
    private func channels(_ rows: Int, _ width: Int, _ layerCount: Int) -> Double {
        Double(rows) * Double(width * layerCount) * rates.channelSeconds
    }

    /// Looking up rows of the embedding for `count` tokens from all over the vocabulary: of one by itself, of
    /// many by all who read, what they share once.
    private func lookups(_ count: Int) -> PlanPrediction.Stage {
        var stage = PlanPrediction.Stage()
        guard let kept = plan.residency.embeddingTiles else { return stage }
        let tiles = Double(work.lookup.tileCount)
        // Of those that are met, the first few are there yet.
        let missed = Double(count) * max(0, 1 - Double(kept) / tiles)
        if count == 1 {
            stage.disk = missed * diskSeconds(work.lookup.traffic, reads: 1)
            stage.computing = missed * unpacking(work.lookup.traffic) * Double(rates.threadCount)
            stage.seconds = stage.disk + stage.computing
            return stage
        }
        let (traffic, blocks) = work.lookup.together(missed)
        stage.disk = diskSeconds(traffic, reads: blocks)
        stage.computing = unpacking(traffic)
        return overlapped(stage)
    }

    func token(after length: Int) -> PlanPrediction.Stage {
        // Several heads share a key, so that what is done with keys takes longer than reading them; where few
        // do, memory is waited for.
        let positions = device.hostShare * Double(length)
        let attention =
            positions * Double(2 * work.queryWidth * work.layerCount)
            / rates.tokenAttention(headSize: work.headSize)
        let keys = max(attention, positions * Double(work.keyByteCount) / memoryRate)
        return pass(
            passes.token, ahead: passes.tokenAhead, memory: weightSeconds, computing: fixedSeconds + keys)
            + lookups(1) + device.token(after: length)
    }

    /// A prompt chunk by chunk, the first of which brings `first`.
    func prompt(_ count: Int, first: WeightTraffic) -> PlanPrediction.Stage {
        var stage = PlanPrediction.Stage()
        var start = 0
        while start < count {
            let rows = device.rowsTogether(of: count - start)
            defer { start += rows }
            let seen = Double(rows) * (Double(start) + Double(rows + 1) / 2)
            let traffic = start == 0 ? first : passes.token
            if let (way, computing) = device.bringing(rows) {
                stage =
                    stage + lookups(rows) + brought(traffic, way: way, computing: computing)
                    + device.chunk(rows)
                continue
            }
            let attention =
                device.hostShare * seen * Double(2 * work.queryWidth * work.layerCount)
                / rates.attention(headSize: work.headSize)
            let products =
                device.hostShare
                * (work.layers.seconds(rows, on: rates) + channels(rows, work.hiddenSize, work.layerCount))
            // Few rows wait for the weights, many hide that.
            let waiting = max(0, weightSeconds - products)
            stage =
                stage + lookups(rows)
                + pass(
                    traffic, ahead: passes.tokenAhead, memory: waiting,
                    computing: products + attention + fixedSeconds) + device.chunk(rows)
        }
        return stage
    }

    /// So many images through the tower together, each of `tokens` visual tokens and compared with itself
    /// alone; nil where there is no tower.
    func images(_ count: Int, of tokens: Int) -> PlanPrediction.Stage? {
        guard let vision = work.vision else { return nil }
        if let stage = device.images(count, of: tokens, vision) { return stage }
        let each = Double(tokens * vision.patchesPerToken)
        let (pairs, patches, tokens) = (
            Double(count) * each * each, count * tokens * vision.patchesPerToken, count * tokens
        )
        let attention = pairs * Double(2 * vision.width * vision.blockCount) / rates.visionAttention
        return pass(
            passes.image, ahead: passes.imageAhead, memory: 0,
            computing: attention + channels(patches, vision.width, vision.blockCount)
                + vision.patch.seconds(patches, on: rates)
                + vision.token.seconds(tokens, on: rates))
    }

    /// Seconds for what loading does beside weights, of which `segmentCount` segments have some to read.
    private func getReady(_ segmentCount: Int) -> Double {
        let inventory = work.inventory
        // What has no weights is the tokenizer.
        let others = Set(inventory.segments.indices).subtracting(inventory.all)
        let opening = Self.opening + Double(inventory.byteCount(of: others)) * Self.tokenizing
        let isChosen = plan.parts.contains { !$0.residency.isWhole }
        let planning = isChosen ? Double(inventory.all.count) * Self.planning : 0
        return opening + planning + Double(segmentCount) * Self.segment
    }

    /// Threads that load read a block, make weights of it, and read the next, into memory that is new. The
    /// blocks that norms and biases lie in are read segment by segment where the rest of those is not held.
    func load() -> PlanPrediction.Stage {
        let segments = plan.parts.reduce(into: Set<Int>()) { $0.formUnion($1.residency.resident) }
        let held = work.inventory.traffic(ofSegments: segments)
        let vectors = work.inventory.all.filter { !segments.contains($0) }.map {
            work.inventory.traffic(ofVectorsOf: $0)
        }
        var stage = PlanPrediction.Stage()
        stage.disk =
            Double(held.stored) / rates.disk
            + vectors.reduce(0) { $0 + diskSeconds($1.traffic, reads: Double($1.count)) }
        stage.computing =
            getReady(segments.count + vectors.count { $0.count > 0 }) + unpacking(held)
            + vectors.reduce(0) { $0 + unpacking($1.traffic) }
            + Double(work.inventory.byteCount(of: segments)) * Self.touching
        stage.seconds = stage.disk + stage.computing
        return stage
    }
}
