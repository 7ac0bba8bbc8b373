//! The planner: a pure function from what is asked and allowed, and what a model is, to a plan or a refusal.

public import Tensors

/// What a plan is asked to make room for; nil leaves the choice to the planner.
public struct PlanRequest: Sendable, Equatable {
    public var limits = LedgerLimits()
    public var contextLength: Int?
    /// The longest context that is chosen where none is asked for.
    public var contextCeiling: Int?
    /// Tokens that go through the decoder together.
    public var chunkTokens: Int?
    /// The most visual tokens of an image.
    public var imageTokens: Int?
    /// Bytes of visual features to keep; those of the largest image at least.
    public var featureByteCount: Int?
    /// Whether weights may be read from the file as they are used.
    public var mayStream = true

    public init() {}
}

/// How much memory the parts of a model take, in bytes, for whatever sizes are chosen.
public struct ModelSizes {
    public let inventory: WeightInventory
    /// Where weights, keys and values, and activations live: in a GPU's memory, or the process's.
    public let place: MemoryPlace
    /// The longest context that the model was made for.
    public let maximumContext: Int
    /// The most visual tokens that an image of any size becomes; 0 for a text-only model.
    public let maximumImageTokens: Int
    /// What the process holds before anything of the model is loaded.
    public let program: Int
    /// What the process is allowed to grow by beside the ledger's pieces.
    public let reserve: Int
    /// What reading weights takes beside where they go.
    public let reading: Int
    /// What the way of keys and values to disk and back takes.
    public let spilling: Int
    /// Keys and values of a context; nil where no number is large enough.
    public let keysAndValues: (_ contextLength: Int) -> Int?
    /// Activations.
    public let activations: (_ contextLength: Int, ActivationLimits) -> Int
    /// Features of a visual token; 0 for a text-only model.
    public let featureTokenBytes: Int
    /// Pixels that become a visual token; 0 for a text-only model.
    public let pageTokenBytes: Int

    /// What the process holds beside pages' images, wherever the model computes.
    var process: Int { program + reserve + reading + spilling }

    public init(
        inventory: WeightInventory, place: MemoryPlace, maximumContext: Int, maximumImageTokens: Int,
        program: Int, reserve: Int, reading: Int, spilling: Int = 0,
        keysAndValues: @escaping (Int) -> Int?,
        activations: @escaping (Int, ActivationLimits) -> Int,
        featureTokenBytes: Int, pageTokenBytes: Int
    ) {
        self.inventory = inventory
        self.place = place
        self.maximumContext = maximumContext
        self.maximumImageTokens = maximumImageTokens
        self.program = program
        self.reserve = reserve
        self.reading = reading
        self.spilling = spilling
        self.keysAndValues = keysAndValues
        self.activations = activations
        self.featureTokenBytes = featureTokenBytes
        self.pageTokenBytes = pageTokenBytes
    }
}

/// Plans for a model that one device computes. Weights that pass through an arena do so in the host's memory;
/// a GPU holds all of them.
public struct Planner {
    private let sizes: ModelSizes

    public init(_ sizes: ModelSizes) { self.sizes = sizes }

    /// Tokens that go through the decoder together, from the fastest choice on. A GPU has room for more rows
    /// at once than the processor's caches have.
    private var chunkChoices: [Int] {
        (sizes.place == .device ? [2048, 1024] : []) + [512, 256, 128, 64, 32]
    }
    /// Positions whose logits are computed together: many only where memory is not limited.
    private static let logitRows = 64
    /// What features may take of a limit on memory, where it is not said: they save the tower's work, and so
    /// are worth less than weights that every token needs.
    private static let featureShare = 8
    /// A context that is taken where a limit leaves no room for more without reading weights again and again.
    private static let usualContext = 4096
    /// Tokens between two contexts up to the usual one.
    private static let contextStep = 256
    /// The least that is chosen by itself: a page and a question.
    private static let leastContext = 1024

    /// The plan, or why there is none.
    public func plan(_ request: PlanRequest) throws(PlanRefusal) -> Plan {
        if sizes.place == .device, let host = hostLimit(request) {
            // What the process holds beside the GPU's memory cannot be made less than for the least context.
            let context = request.contextLength ?? min(longest(request), Self.leastContext)
            let process = processBytes(context: context)
            if process > host {
                let smaller = Self.most(below: context) { processBytes(context: $0) <= host }
                throw PlanRefusal(
                    place: .host, limit: host, needed: process.roundedUpToMebibyte,
                    contextLength: request.contextLength == nil ? nil : smaller, imageTokens: nil)
            }
        }
        guard let limit = limit(request) else { return unlimited(request) }
        let ladder = ResidencyLadder(
            sizes.inventory, mayPass: sizes.place == .host && request.mayStream)
        if let plan = best(request, ladder, limit: limit) { return plan }
        throw refusal(request, ladder, limit: limit)
    }

    private func longest(_ request: PlanRequest) -> Int {
        min(sizes.maximumContext, request.contextCeiling ?? .max)
    }

    /// Bytes that the place of the model's parts may take.
    private func limit(_ request: PlanRequest) -> Int? {
        let limits = request.limits
        switch sizes.place {
        case .host: return [limits.host, limits.total].compactMap { $0 }.min()
        case .device:
            let rest = limits.total.map { $0 - sizes.process }
            return [limits.device, rest].compactMap { $0 }.min()
        }
    }

    private func hostLimit(_ request: PlanRequest) -> Int? {
        [request.limits.host, request.limits.total].compactMap { $0 }.min()
    }

    /// What the process holds, whatever a device does.
    private func processBytes(context: Int) -> Int {
        sizes.process + context * sizes.pageTokenBytes
    }

    /// What the process holds, as far as it counts against the limit on the place of the model's parts.
    private func processBytes(_ request: PlanRequest, context: Int) -> Int {
        if sizes.place == .host { return processBytes(context: context) }
        // A total has had all but the pages taken off.
        return request.limits.total == nil ? 0 : context * sizes.pageTokenBytes
    }

    private func unlimited(_ request: PlanRequest) -> Plan {
        let activations = ActivationLimits(
            chunkTokens: request.chunkTokens ?? chunkChoices[0], logitRows: Self.logitRows,
            imageTokens: request.imageTokens)
        let context = request.contextLength ?? longest(request)
        let whole = Residency.whole(sizes.inventory)
        return make(
            request, context: context, activations,
            featureTokens: featureTokens(request, context: context, limit: nil), whole,
            whole.passes(sizes.inventory))
    }

    /// The best plan of at most `limit` bytes; nil where there is none.
    private func best(_ request: PlanRequest, _ ladder: ResidencyLadder, limit: Int) -> Plan? {
        guard let share = shares(request, ladder).share(of: limit),
            let rung = ladder.best(within: share.weights)
        else { return nil }
        return make(
            request, context: share.context, activations(request, chunkTokens: share.chunkTokens),
            featureTokens: featureTokens(request, context: share.context, limit: limit), rung.residency,
            rung.passes)
    }

    private func activations(_ request: PlanRequest, chunkTokens: Int) -> ActivationLimits {
        ActivationLimits(chunkTokens: chunkTokens, logitRows: 1, imageTokens: request.imageTokens)
    }

    private func shares(_ request: PlanRequest, _ ladder: ResidencyLadder) -> MemoryShares {
        // Asked for again and again.
        var known: [[Int]: Int] = [:]
        func activationBytes(_ context: Int, _ chunkTokens: Int) -> Int {
            if let bytes = known[[context, chunkTokens]] { return bytes }
            let bytes = sizes.activations(context, activations(request, chunkTokens: chunkTokens))
            known[[context, chunkTokens]] = bytes
            return bytes
        }
        let contexts =
            request.contextLength.map { [$0] }
            ?? contextChoices(longest(request)).filter { context in
                // No memory of a device makes room in the process.
                sizes.place == .host
                    || hostLimit(request).map { processBytes(context: context) <= $0 } ?? true
            }
        let chunks = request.chunkTokens.map { [$0] } ?? chunkChoices.reversed()
        return MemoryShares(
            contexts: contexts,
            usualContext: Self.usualContext, chunks: chunks,
            leastWeights: ladder.leastBudget, quietWeights: ladder.leastQuietBudget,
            rest: { context, chunkTokens, limit in
                guard let keys = sizes.keysAndValues(context) else { return nil }
                let features = featureTokens(request, context: context, limit: limit)
                let (rest, overflows) = keys.addingReportingOverflow(
                    processBytes(request, context: context) + features * sizes.featureTokenBytes
                        + activationBytes(context, chunkTokens))
                return overflows ? nil : rest
            },
            // What a chunk takes beyond the shortest is worth a quarter of the memory, not more.
            worth: { 4 * (activationBytes($0, $1) - activationBytes($0, chunks[0])) })
    }

    /// Contexts to choose from, in rising order.
    private func contextChoices(_ longest: Int) -> [Int] {
        let (least, usual) = (min(longest, Self.leastContext), min(longest, Self.usualContext))
        var choices = Array(stride(from: least, to: usual, by: Self.contextStep)) + [usual]
        var longer: [Int] = []
        var context = longest
        while context > usual {
            longer.append(context)
            context /= 2
        }
        choices += longer.reversed()
        return choices
    }

    /// Visual tokens whose features are kept: the largest image's at least, for the decoder to see it.
    private func featureTokens(_ request: PlanRequest, context: Int, limit: Int?) -> Int {
        guard sizes.featureTokenBytes > 0 else { return 0 }
        let most = min(context, request.imageTokens ?? .max)
        let least = max(1, min(most, sizes.maximumImageTokens))
        if let asked = request.featureByteCount { return max(least, asked / sizes.featureTokenBytes) }
        guard let limit else { return context }
        return min(context, max(least, limit / Self.featureShare / sizes.featureTokenBytes))
    }

    private func make(
        _ request: PlanRequest, context: Int, _ activations: ActivationLimits, featureTokens: Int,
        _ residency: Residency, _ passes: Residency.Passes
    ) -> Plan {
        let inventory = sizes.inventory
        let resident = inventory.byteCount(of: residency.resident)
        let vectors = inventory.all.reduce(0) { sum, index in
            sum + (residency.resident.contains(index) ? 0 : inventory.vectorsByteCount(of: index))
        }
        let rows = residency.embeddingTiles.map { Residency.embeddingByteCount(tiles: $0, inventory) } ?? 0
        let items = [
            (Plan.program, sizes.program),
            ("keys and values", sizes.keysAndValues(context) ?? .max / 4),
            ("activations", sizes.activations(context, activations)),
            ("visual features", featureTokens * sizes.featureTokenBytes),
            (Plan.pages, context * sizes.pageTokenBytes),
            ("weights, resident", resident),
            ("norms and biases", vectors),
            ("embedding rows", rows),
            ("weights that take turns", residency.arenaByteCount),
            (Plan.reading, sizes.reading),
            (Plan.spilling, sizes.spilling),
            (Plan.reserve, sizes.reserve),
        ]
        let decoded = inventory.byteCount(of: inventory.decoder)
        return Plan(
            limits: request.limits, contextLength: context, activations: activations,
            featureTokens: featureTokens, residency: residency, passes: passes,
            items: items.filter { $0.1 > 0 }.map { name, byteCount in
                Plan.Item(
                    name: name, place: Plan.heldByProcess.contains(name) ? .host : sizes.place,
                    byteCount: byteCount)
            },
            streamedByteCount: stored(residency.decoder.passing),
            streamedVisionByteCount: stored(residency.vision.passing),
            decodedByteCount: decoded
                + (inventory.tiesEmbedding ? inventory.byteCount(of: [inventory.embedding]) : 0))
    }

    private func stored(_ units: [WeightUnit]) -> Int {
        units.reduce(0) { $0 + sizes.inventory.storedByteCount(of: $1) }
    }

    // MARK: Refusals

    /// What would make a plan: each suggestion has been planned with, and works.
    private func refusal(_ request: PlanRequest, _ ladder: ResidencyLadder, limit: Int) -> PlanRefusal {
        func fits(_ request: PlanRequest, _ limit: Int) -> Bool { shares(request, ladder).isEnough(limit) }
        let context = request.contextLength ?? longest(request)
        return PlanRefusal(
            place: sizes.place, limit: limit,
            needed: Self.margin + Self.least(above: limit) { fits(request, $0) },
            contextLength: Self.most(below: context) {
                var smaller = request
                smaller.contextLength = $0
                return fits(smaller, limit)
            },
            imageTokens: Self.most(below: request.imageTokens ?? sizes.maximumImageTokens) {
                var smaller = request
                smaller.imageTokens = $0
                return fits(smaller, limit)
            })
    }

    /// Added to a limit that is suggested: what a process holds differs from run to run.
    private static let margin = 2 * Int.mebibyte

    /// The least number above `bound`, to the next MiB, for which `fits` holds.
    private static func least(above bound: Int, _ fits: (Int) -> Bool) -> Int {
        let step = Int.mebibyte
        var (low, high) = (bound / step, max(1, bound / step))
        while !fits(high * step) { (low, high) = (high, high * 2) }
        while high - low > 1 {
            let middle = (low + high) / 2
            if fits(middle * step) { high = middle } else { low = middle }
        }
        return high * step
    }

    /// The largest number below `bound` for which `fits` holds, to a sixteenth; nil where there is none.
    private static func most(below bound: Int, _ fits: (Int) -> Bool) -> Int? {
        var candidate = bound - max(1, bound / 16)
        while candidate >= 1 {
            if fits(candidate) { return candidate }
            candidate -= max(1, candidate / 16)
        }
        return nil
    }
}

extension Int {
    fileprivate static let mebibyte = 1 << 20
    fileprivate var roundedUpToMebibyte: Int { (self + .mebibyte - 1) / .mebibyte * .mebibyte }
}
