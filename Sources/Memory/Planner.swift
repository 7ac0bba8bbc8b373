//! The planner: a pure function from what is asked, what is allowed and what a model is, to a plan or a refusal.

internal import Tensors

/// What a plan is asked to make room for; nil leaves the choice to the planner.
public struct PlanRequest: Sendable, Equatable {
    public var limits = LedgerLimits()
    public var contextLength: Int?
    /// Tokens that go through the decoder together.
    public var chunkTokens: Int?
    /// The most visual tokens of an image.
    public var imageTokens: Int?
    /// Bytes of visual features to keep; those of the largest image at least.
    public var featureByteCount: Int?

    public init() {}
}

/// How much memory the parts of a model take, in bytes, for whatever sizes are chosen.
public struct ModelSizes {
    public let inventory: WeightInventory
    /// The longest context that the model was made for.
    public let maximumContext: Int
    /// The most visual tokens that an image of any size becomes; 0 for a text-only model.
    public let maximumImageTokens: Int
    /// What the process holds before anything of the model is loaded, and what it is allowed to grow by
    /// beside the ledger's pieces.
    public let program: Int
    /// What reading weights takes beside where they go.
    public let reading: Int
    /// Keys and values of a context; nil where no number is large enough.
    public let keysAndValues: (_ contextLength: Int) -> Int?
    /// Activations.
    public let activations: (_ contextLength: Int, ActivationLimits) -> Int
    /// Features of a visual token; 0 for a text-only model.
    public let featureTokenBytes: Int
    /// Pixels that become a visual token; 0 for a text-only model.
    public let pageTokenBytes: Int

    public init(
        inventory: WeightInventory, maximumContext: Int, maximumImageTokens: Int, program: Int, reading: Int,
        keysAndValues: @escaping (Int) -> Int?,
        activations: @escaping (Int, ActivationLimits) -> Int,
        featureTokenBytes: Int, pageTokenBytes: Int
    ) {
        self.inventory = inventory
        self.maximumContext = maximumContext
        self.maximumImageTokens = maximumImageTokens
        self.program = program
        self.reading = reading
        self.keysAndValues = keysAndValues
        self.activations = activations
        self.featureTokenBytes = featureTokenBytes
        self.pageTokenBytes = pageTokenBytes
    }
}

/// Plans for a model whose every part lives in the host's memory.
public struct Planner {
    private let sizes: ModelSizes

    public init(_ sizes: ModelSizes) { self.sizes = sizes }

    /// Tokens that go through the decoder together, from the fastest choice on.
    private static let chunkChoices = [512, 256, 128, 64, 32]
    /// Positions whose logits are computed together: many only where memory is not limited.
    private static let logitRows = 64
    /// What features may take of a limit on memory, where it is not said: they save the tower's work, and so
    /// are worth less than weights that every token needs.
    private static let featureShare = 8
    /// A context that is taken where a limit leaves no room for more without reading weights again and again.
    private static let usualContext = 4096

    /// The plan, or why there is none.
    public func plan(_ request: PlanRequest) throws(PlanRefusal) -> Plan {
        guard let limit = hostLimit(request) else { return unlimited(request) }
        if let plan = best(request, limit: limit) { return plan }
        throw refusal(request, limit: limit)
    }

    private func hostLimit(_ request: PlanRequest) -> Int? {
        [request.limits.host, request.limits.total].compactMap { $0 }.min()
    }

    private func unlimited(_ request: PlanRequest) -> Plan {
        let activations = ActivationLimits(
            chunkTokens: request.chunkTokens ?? Self.chunkChoices[0], logitRows: Self.logitRows,
            imageTokens: request.imageTokens)
        let context = request.contextLength ?? sizes.maximumContext
        return make(
            request, context: context, activations,
            featureTokens: featureTokens(request, context: context, limit: nil), .whole(sizes.inventory))
    }

    /// The best plan of at most `limit` bytes; nil where there is none.
    private func best(_ request: PlanRequest, limit: Int) -> Plan? {
        if let context = request.contextLength { return best(request, context: context, limit: limit) }
        var contexts = [sizes.maximumContext]
        while let last = contexts.last, last > Self.usualContext { contexts.append(last / 2) }
        for context in contexts {
            // A longer context is worth no weight that would have to be read for each token.
            if let plan = best(request, context: context, limit: limit), plan.streamedByteCount == 0 {
                return plan
            }
        }
        var context = min(sizes.maximumContext, Self.usualContext)
        while context >= 1 {
            if let plan = best(request, context: context, limit: limit) { return plan }
            context /= 2
        }
        return nil
    }

    private func best(_ request: PlanRequest, context: Int, limit: Int) -> Plan? {
        let choices = request.chunkTokens.map { [$0] } ?? Self.chunkChoices
        for (index, chunk) in choices.enumerated() {
            let activations = ActivationLimits(
                chunkTokens: chunk, logitRows: 1, imageTokens: request.imageTokens)
            // Long chunks are worth a quarter of the memory, not more.
            let isLast = index == choices.count - 1
            guard isLast || sizes.activations(context, activations) <= limit / 4 else { continue }
            guard let keys = sizes.keysAndValues(context) else { return nil }
            let features = featureTokens(request, context: context, limit: limit)
            let rest =
                sizes.program + sizes.reading + keys + features * sizes.featureTokenBytes
                + context * sizes.pageTokenBytes + sizes.activations(context, activations)
            if rest < limit, let residency = Residency.best(sizes.inventory, budget: limit - rest) {
                return make(request, context: context, activations, featureTokens: features, residency)
            }
        }
        return nil
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
        _ residency: Residency
    ) -> Plan {
        let inventory = sizes.inventory
        let resident = inventory.byteCount(of: residency.resident)
        let vectors = inventory.all.reduce(0) { sum, index in
            sum + (residency.resident.contains(index) ? 0 : inventory.vectorsByteCount(of: index))
        }
        let rows = residency.embeddingTiles.map { Residency.embeddingByteCount(tiles: $0, inventory) } ?? 0
        let items = [
            ("program and tokenizer", sizes.program),
            ("keys and values", sizes.keysAndValues(context) ?? .max / 4),
            ("activations", sizes.activations(context, activations)),
            ("visual features", featureTokens * sizes.featureTokenBytes),
            ("page images", context * sizes.pageTokenBytes),
            ("weights, resident", resident),
            ("norms and biases", vectors),
            ("embedding rows", rows),
            ("weights that take turns", residency.arenaByteCount),
            ("reading weights", sizes.reading),
        ]
        let decoded = inventory.byteCount(of: inventory.decoder)
        return Plan(
            limits: request.limits, contextLength: context, activations: activations,
            featureTokens: featureTokens, residency: residency,
            items: items.filter { $0.1 > 0 }.map { Plan.Item(name: $0.0, place: .host, byteCount: $0.1) },
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
    private func refusal(_ request: PlanRequest, limit: Int) -> PlanRefusal {
        let context = request.contextLength ?? sizes.maximumContext
        return PlanRefusal(
            place: .host, limit: limit,
            needed: Self.least(above: limit) { best(request, limit: $0) != nil },
            contextLength: Self.most(below: context) {
                var smaller = request
                smaller.contextLength = $0
                return best(smaller, limit: limit) != nil
            },
            imageTokens: Self.most(below: request.imageTokens ?? sizes.maximumImageTokens) {
                var smaller = request
                smaller.imageTokens = $0
                return best(smaller, limit: limit) != nil
            })
    }

    /// The least number above `bound`, to the next MiB, for which `fits` holds.
    private static func least(above bound: Int, _ fits: (Int) -> Bool) -> Int {
        let step = 1 << 20
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
