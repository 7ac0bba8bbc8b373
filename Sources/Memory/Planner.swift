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
    /// Positions whose logits are computed together: many only where memory is not limited.
    private static let logitRows = 64
    /// What features may take of a limit on memory, where it is not said: they save the tower's work, and so
    /// are worth less than weights that every token needs.
    private static let featureShare = 8
    /// A context that is taken where a limit leaves no room for more without reading weights again and again.
    private static let usualContext = 4096
    /// The least that is chosen by itself: a page and a question.
    private static let leastContext = 1024
    /// The most bytes on their way to a GPU at once where the process's memory is limited.
    static let mostFill = 16 << 20

    /// The plan, or why there is none.
    public func plan(_ request: PlanRequest) throws(PlanRefusal) -> Plan {
        if let plan = best(request) { return plan }
        throw refusal(request)
    }

    func longest(_ request: PlanRequest) -> Int {
        min(sizes.maximumContext, request.contextCeiling ?? .max)
    }

    /// Bytes that a place may take; nil where nothing limits it.
    func limit(_ place: MemoryPlace, _ request: PlanRequest) -> Int? {
        [place == .device ? request.limits.device : request.limits.host, request.limits.total]
            .compactMap { $0 }.min()
    }

    /// The best plan within the limits; nil where there is none.
    func best(_ request: PlanRequest) -> Plan? {
        if let plan = bestWhole(request) { return plan }
        return maySplit(request) ? bestSplit(request) : nil
    }

    // MARK: One device

    private var whole: [Arrangement] {
        [Arrangement(sizes.place, .whole(layerCount: sizes.layerCount), mostFill: nil)]
    }

    /// The best plan for a model in one place.
    private func bestWhole(_ request: PlanRequest) -> Plan? {
        if sizes.place == .device, request.deviceLayerCount ?? .max < sizes.layerCount { return nil }
        guard limit(sizes.place, request) != nil else { return unlimited(request) }
        if let context = request.contextLength { return best(request, whole, context: context) }
        let longest = longest(request)
        var contexts = [longest]
        while let last = contexts.last, last > Self.usualContext { contexts.append(last / 2) }
        for context in contexts {
            // A longer context is worth no weight that would have to be read for each token.
            if let plan = best(request, whole, context: context), plan.streamedByteCount == 0 {
                return plan
            }
        }
        return firstFitting(request) { best(request, whole, context: $0) }
    }

    /// The plan for the longest usual context that there is one for.
    func firstFitting(_ request: PlanRequest, _ plan: (_ context: Int) -> Plan?) -> Plan? {
        let longest = longest(request)
        var context = min(longest, Self.usualContext)
        while context >= min(longest, Self.leastContext) {
            if let plan = plan(context) { return plan }
            context /= 2
        }
        return nil
    }

    private func unlimited(_ request: PlanRequest) -> Plan? {
        let activations = ActivationLimits(
            chunkTokens: request.chunkTokens ?? chunkChoices[0], logitRows: Self.logitRows,
            imageTokens: request.imageTokens)
        let context = request.contextLength ?? longest(request)
        return fit(
            request, whole, context: context, activations,
            featureTokens: featureTokens(request, context: context, limit: nil))
    }

    // MARK: One arrangement

    /// A share of the model and who computes it.
    struct Arrangement {
        let place: MemoryPlace
        let share: ModelShare
        let mostFill: Int?
        /// Whether the layers before these are brought here for many rows.
        let hasPassage: Bool

        init(_ place: MemoryPlace, _ share: ModelShare, mostFill: Int?, hasPassage: Bool = false) {
            self.place = place
            self.share = share
            self.mostFill = mostFill
            self.hasPassage = hasPassage
        }
    }

    /// The plan with the longest chunk of a prompt that leaves room enough for weights.
    func best(_ request: PlanRequest, _ shares: [Arrangement], context: Int) -> Plan? {
        let choices = request.chunkTokens.map { [$0] } ?? chunkChoices
        // Long chunks are worth a quarter of the memory, not more.
        for (index, chunk) in choices.enumerated() {
            let activations = ActivationLimits(
                chunkTokens: chunk, logitRows: 1, imageTokens: request.imageTokens)
            let isShort = shares.allSatisfy { share in
                guard let limit = limit(share.place, request) else { return true }
                return sizes.activations(context, activations, share.share, share.place) <= limit / 4
            }
            guard index == choices.count - 1 || isShort else { continue }
            let features = featureTokens(
                request, context: context, limit: limit(shares[0].place, request))
            let plan = fit(request, shares, context: context, activations, featureTokens: features)
            if let plan { return plan }
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

    /// The plan of these sizes; nil where it would pass a limit.
    private func fit(
        _ request: PlanRequest, _ shares: [Arrangement], context: Int, _ activations: ActivationLimits,
        featureTokens: Int
    ) -> Plan? {
        let process = [
            (Plan.program, sizes.program), (Plan.pages, context * sizes.pageTokenBytes),
            (Plan.reading, sizes.reading(shares.last?.mostFill)),
        ]
        var items = process.map { Plan.Item(name: $0.0, place: .host, byteCount: $0.1) }
        for part in shares {
            guard let keys = sizes.keysAndValues(context, part.share.layers.count) else { return nil }
            let features = part.share.isFirst ? featureTokens * sizes.featureTokenBytes : 0
            items += [
                ("keys and values", keys),
                ("activations", sizes.activations(context, activations, part.share, part.place)),
                ("visual features", features),
                ("norms and biases", part.share.isFirst ? 0 : sizes.normBytes),
            ].map { Plan.Item(name: $0.0, place: part.place, byteCount: $0.1) }
            guard part.hasPassage else { continue }
            guard let passage = passage(to: part, request, context: context, activations) else { return nil }
            items += [
                (Plan.layersOnTheirWay, passage.layers), (Plan.keysOnTheirWay, passage.keys),
            ].map { Plan.Item(name: $0.0, place: part.place, byteCount: $0.1) }
        }
        var parts: [Plan.Part] = []
        // A GPU's weights first: the others may make do with what is left.
        for part in shares.reversed() {
            let inventory = sizes.inventory.part(part.share)
            guard let residency = residency(inventory, part.place, beside: items, request) else { return nil }
            items += weights(residency, inventory, part.place)
            parts.insert(
                Plan.Part(
                    place: part.place, share: part.share, residency: residency, mostFill: part.mostFill),
                at: 0)
        }
        let hasPassage = shares.contains { $0.hasPassage }
        // What is brought has to be there.
        if hasPassage, let host = parts.first(where: { $0.place == .host }),
            !host.residency.decoder.units.isEmpty
        {
            return nil
        }
        return make(
            request, context: context, activations, featureTokens: featureTokens, parts, hasPassage, items)
    }

    /// Where weights live beside `items`; nil where there is no room for them.
    private func residency(
        _ inventory: WeightInventory, _ place: MemoryPlace, beside items: [Plan.Item], _ request: PlanRequest
    ) -> Residency? {
        func taken(_ places: [MemoryPlace]) -> Int? {
            var sum = 0
            for item in items where places.contains(item.place) {
                let (next, overflows) = sum.addingReportingOverflow(item.byteCount)
                if overflows { return nil }
                sum = next
            }
            return sum
        }
        // What a GPU computes beside the processor leaves the process room for itself.
        guard let device = taken([.device]), let host = taken([.host]), let both = taken([.device, .host])
        else { return nil }
        let limits = request.limits
        if let limit = limits.host, host >= limit { return nil }
        let own = place == .device ? limits.device.map { $0 - device } : limits.host.map { $0 - host }
        let budget = [own, limits.total.map { $0 - both }].compactMap { $0 }.min()
        guard let budget else { return .whole(inventory) }
        guard budget > 0 else { return nil }
        if place == .host, request.mayStream { return Residency.best(inventory, budget: budget) }
        let whole = Residency.whole(inventory)
        return whole.byteCount(inventory) <= budget ? whole : nil
    }

    /// What weights take of memory.
    private func weights(
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

    private func make(
        _ request: PlanRequest, context: Int, _ activations: ActivationLimits, featureTokens: Int,
        _ parts: [Plan.Part], _ hasPassage: Bool, _ items: [Plan.Item]
    ) -> Plan {
        let inventory = sizes.inventory
        let decoded = inventory.byteCount(of: inventory.decoder)
        return Plan(
            limits: request.limits, contextLength: context, activations: activations,
            featureTokens: featureTokens, parts: parts, hasPassage: hasPassage, items: items.inOrder,
            streamedByteCount: stored(parts[0].residency.decoder.passing),
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
            Plan.pages,
            "weights, resident", "norms and biases", "embedding rows", "weights that take turns",
            Plan.layersOnTheirWay, Plan.reading,
        ]
        return [MemoryPlace.host, .device].flatMap { place in
            names.compactMap { name in
                let sum = filter { $0.name == name && $0.place == place }.reduce(0) { $0 + $1.byteCount }
                return sum > 0 ? Plan.Item(name: name, place: place, byteCount: sum) : nil
            }
        }
    }
}
