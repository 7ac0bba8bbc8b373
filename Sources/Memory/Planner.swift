//! The planner: a pure function from what is asked and allowed, and what a model is, to a plan or a refusal.

internal import Tensors

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
    /// Whether the processor may compute layers that a GPU has no room for.
    public var mayOffload = true
    /// Layers that a GPU is to compute, where there is one; the processor computes the others.
    public var deviceLayerCount: Int?

    public init() {}
}

/// Plans for a model that one device computes, or a GPU and the processor together. Weights that pass through
/// an arena do so in the host's memory; a GPU holds all of its own.
public struct Planner {
    let sizes: ModelSizes

    public init(_ sizes: ModelSizes) { self.sizes = sizes }

    /// Tokens that go through the decoder together, from the fastest choice on. A GPU has room for more rows
    /// at once than the processor's caches have.
    var chunkChoices: [Int] {
        (sizes.place == .device ? [2048, 1024] : []) + [512, 256, 128, 64, 32]
    }
    /// What features may take of a limit on memory, where it is not said: they save the tower's work, and so
    /// are worth less than weights that every token needs.
    private static let featureShare = 8
    /// A context that is taken where a limit leaves no room for more without reading weights again and again.
    static let usualContext = 4096
    /// The least that is chosen by itself: a page and a question.
    static let leastContext = 1024

    /// The plan, or why there is none.
    public func plan(_ request: PlanRequest) throws(PlanRefusal) -> Plan {
        try plan(request, ladder(request))
    }

    /// The same with the ladder that the request has: many plans of one model need it made once.
    func plan(_ request: PlanRequest, _ ladder: ResidencyLadder) throws(PlanRefusal) -> Plan {
        if let plan = bestWhole(request, ladder) ?? bestSplit(request) { return plan }
        throw refusal(request, ladder)
    }

    /// Whether there is a plan within the limits, by one device or by two.
    func hasPlan(_ request: PlanRequest, _ ladder: ResidencyLadder) -> Bool {
        hasWhole(request, ladder) || bestSplit(request) != nil
    }

    func longest(_ request: PlanRequest) -> Int {
        min(sizes.maximumContext, request.contextCeiling ?? .max)
    }

    /// Bytes that a place may take; nil where nothing limits it.
    func limit(_ place: MemoryPlace, _ request: PlanRequest) -> Int? {
        [place == .device ? request.limits.device : request.limits.host, request.limits.total]
            .compactMap { $0 }.min()
    }

    /// Visual tokens whose features are kept: the largest image's at least, for the decoder to see it.
    func featureTokens(_ request: PlanRequest, context: Int, limit: Int?) -> Int {
        guard sizes.featureTokenBytes > 0 else { return 0 }
        let most = min(context, request.imageTokens ?? .max)
        let least = max(1, min(most, sizes.maximumImageTokens))
        if let asked = request.featureByteCount { return max(least, asked / sizes.featureTokenBytes) }
        guard let limit else { return context }
        return min(context, max(least, limit / Self.featureShare / sizes.featureTokenBytes))
    }

    /// Logits of one position at a time.
    func activations(
        _ request: PlanRequest, chunkTokens: Int, layerTokens: Int? = nil, unbroughtTokens: Int? = nil
    ) -> ActivationLimits {
        func within(_ tokens: Int?) -> Int? { tokens.map { min($0, chunkTokens) } }
        return ActivationLimits(
            chunkTokens: chunkTokens, layerTokens: within(layerTokens),
            unbroughtTokens: within(unbroughtTokens), logitRows: 1, imageTokens: request.imageTokens)
    }

    // MARK: What a plan takes

    /// What has been chosen of a plan, beside where weights live.
    struct Choice {
        let context: Int
        let activations: ActivationLimits
        let featureTokens: Int
    }

    /// What the process holds, wherever the model computes.
    func process(_ choice: Choice, mostFill: Int?) -> [Plan.Item] {
        [
            (Plan.program, sizes.program), (Plan.pages, choice.context * sizes.pageTokenBytes),
            (Plan.reading, sizes.reading(mostFill)), (Plan.spilling, sizes.spilling),
            (Plan.reserve, sizes.reserve),
        ].map { Plan.Item(name: $0.0, place: .host, byteCount: $0.1) }
    }

    /// What a share of the model takes beside weights; nil where no number is large enough.
    func working(_ choice: Choice, _ share: ModelShare, _ place: MemoryPlace) -> [Plan.Item]? {
        guard let keys = sizes.keysAndValues(choice.context, share.layers.count) else { return nil }
        return [
            ("keys and values", keys),
            ("activations", sizes.activations(choice.context, choice.activations, share, place)),
            ("visual features", share.isFirst ? choice.featureTokens * sizes.featureTokenBytes : 0),
        ].map { Plan.Item(name: $0.0, place: place, byteCount: $0.1) }
    }

    /// What weights take.
    func weights(
        _ residency: Residency, _ inventory: WeightInventory, _ place: MemoryPlace
    ) -> [Plan.Item] {
        let vectors = inventory.all.reduce(0) { sum, index in
            sum + (residency.resident.contains(index) ? 0 : inventory.vectorsByteCount(of: index))
        }
        let rows = residency.embeddingTiles.map { Residency.embeddingByteCount(tiles: $0, inventory) } ?? 0
        return [
            ("weights, resident", inventory.byteCount(of: residency.resident)),
            ("norms and biases", vectors),
            ("embedding rows", rows),
            ("weights that take turns", residency.arenaByteCount),
        ].map { Plan.Item(name: $0.0, place: place, byteCount: $0.1) }
    }

    func make(
        _ request: PlanRequest, _ choice: Choice, _ parts: [Plan.Part], _ passes: Residency.Passes,
        hasPassage: Bool = false, _ items: [Plan.Item]
    ) -> Plan {
        let inventory = sizes.inventory
        let decoded = inventory.byteCount(of: inventory.decoder)
        return Plan(
            limits: request.limits, contextLength: choice.context, activations: choice.activations,
            featureTokens: choice.featureTokens, parts: parts, passes: passes, hasPassage: hasPassage,
            items: items.inOrder, streamedByteCount: stored(parts[0].residency.decoder.passing),
            streamedVisionByteCount: stored(parts[0].residency.vision.passing),
            decodedByteCount: decoded
                + (inventory.tiesEmbedding ? inventory.byteCount(of: [inventory.embedding]) : 0))
    }

    private func stored(_ units: [WeightUnit]) -> Int {
        units.reduce(0) { $0 + sizes.inventory.storedByteCount(of: $1) }
    }
}

extension [Plan.Item] {
    /// As they are taken, those of a name and a place joined.
    fileprivate var inOrder: [Plan.Item] {
        let names = [
            Plan.program, "keys and values", Plan.keysOnTheirWay, "activations", "visual features",
            Plan.pages, "weights, resident", "norms and biases", "embedding rows", "weights that take turns",
            Plan.layersOnTheirWay, Plan.reading, Plan.spilling, Plan.reserve,
        ]
        return [MemoryPlace.host, .device].flatMap { place in
            names.compactMap { name in
                let sum = filter { $0.name == name && $0.place == place }.reduce(0) { $0 + $1.byteCount }
                return sum > 0 ? Plan.Item(name: name, place: place, byteCount: sum) : nil
            }
        }
    }
}
