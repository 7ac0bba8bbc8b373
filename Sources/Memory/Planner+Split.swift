//! Plans for a GPU and the processor together.

internal import Tensors

extension Planner {
    /// What bringing layers to a GPU may take of its memory: prompts are read once. Where layers pass from
    /// the disk, one more of them on the GPU saves a token little.
    private static let passageShare = 6
    private static let streamingPassageShare = 3
    /// What a longer chunk of a prompt may take of either memory.
    private static let chunkShare = 8
    /// Where the process's memory is limited and layers are brought to a GPU, they may each time come from
    /// the disk: a chunk is long then, and goes through a layer in parts of so many rows. The processor
    /// computes fewer rows together, for more of them are the GPU's alone.
    private static let broughtChunkChoices = [8192, 6144, 4096, 3072]
    private static let layerTokens = 512
    private static let unbroughtTokens = 128
    /// The most bytes on their way to a GPU at once where the process's memory is limited.
    private static let mostFill = 16 << 20

    private func maySplit(_ request: PlanRequest) -> Bool {
        sizes.place == .device
            && (request.deviceLayerCount.map { $0 < sizes.layerCount } ?? request.mayOffload)
    }

    /// The best plan for a model of which the processor computes the first layers: as few as can be, for a
    /// GPU reads its memory faster. Nil where there is none, or it may not be.
    func bestSplit(_ request: PlanRequest) -> Plan? {
        guard maySplit(request) else { return nil }
        if let context = request.contextLength { return bestSplit(request, context: context) }
        let longest = longest(request)
        var context = min(longest, Self.usualContext)
        while context >= min(longest, Self.leastContext) {
            if let plan = bestSplit(request, context: context) { return plan }
            context /= 2
        }
        return nil
    }

    /// The tower is the GPU's, for an image is much work, unless that takes more than half of its layers.
    private func bestSplit(_ request: PlanRequest, context: Int) -> Plan? {
        func best(hasHostTower: Bool) -> Plan? {
            bestSplit(request, context: context, hasHostTower: hasHostTower, hasPassage: true)
                ?? bestSplit(request, context: context, hasHostTower: hasHostTower, hasPassage: false)
        }
        let plan = best(hasHostTower: false)
        if sizes.inventory.vision.isEmpty { return plan }
        func layers(_ plan: Plan) -> Int { sizes.layerCount - plan.offloadedLayerCount }
        guard let other = best(hasHostTower: true) else { return plan }
        if let plan, 2 * layers(plan) >= layers(other) { return plan }
        return other
    }

    /// With the longest chunk of a prompt that takes no more than its share of either memory: what is left is
    /// layers.
    private func bestSplit(
        _ request: PlanRequest, context: Int, hasHostTower: Bool, hasPassage: Bool
    ) -> Plan? {
        let most = ModelSplit(
            layerCount: sizes.layerCount, hostLayerCount: sizes.layerCount, hasHostTower: hasHostTower)
        let isBroughtFar = hasPassage && limit(.host, request) != nil
        func activations(_ chunk: Int) -> ActivationLimits {
            guard isBroughtFar else { return self.activations(request, chunkTokens: chunk) }
            return self.activations(
                request, chunkTokens: chunk, layerTokens: Self.layerTokens,
                unbroughtTokens: Self.unbroughtTokens)
        }
        var lengths = chunkChoices
        if isBroughtFar {
            let all = Self.broughtChunkChoices + lengths
            // One of all that there may be is as good as a longer one.
            lengths = all.filter { length in !all.contains { $0 < length && $0 >= context } }
        }
        let choices = request.chunkTokens.map { [$0] } ?? lengths
        // Beside the shortest: products of any number of rows may want room for weights as their kernels take
        // them.
        func bytes(_ chunk: Int, _ share: ModelShare, _ place: MemoryPlace) -> Int {
            sizes.activations(context, activations(chunk), share, place)
        }
        let shortest = choices.last ?? 0
        let limited = [(most.host, MemoryPlace.host), (most.device, .device)].compactMap { share, place in
            limit(place, request).map {
                (
                    share: share, place: place, least: bytes(shortest, share, place),
                    growth: $0 / Self.chunkShare
                )
            }
        }
        for chunk in choices {
            let isShort = limited.allSatisfy { bytes(chunk, $0.share, $0.place) - $0.least <= $0.growth }
            guard chunk == shortest || isShort else { continue }
            let choice = Choice(
                context: context, activations: activations(chunk),
                featureTokens: featureTokens(request, context: context, limit: limit(.host, request)))
            let plan = fewestSplit(request, choice, hasHostTower: hasHostTower, hasPassage: hasPassage)
            if let plan { return plan }
        }
        return nil
    }

    /// The plan that leaves the processor the fewest layers.
    private func fewestSplit(
        _ request: PlanRequest, _ choice: Choice, hasHostTower: Bool, hasPassage: Bool
    ) -> Plan? {
        func arrangement(_ hostLayerCount: Int, mostFill: Int?) -> (host: Arrangement, device: Arrangement) {
            let split = ModelSplit(
                layerCount: sizes.layerCount, hostLayerCount: hostLayerCount, hasHostTower: hasHostTower)
            return (
                Arrangement(place: .host, share: split.host, mostFill: nil, hasPassage: false),
                Arrangement(place: .device, share: split.device, mostFill: mostFill, hasPassage: hasPassage)
            )
        }
        func plan(_ hostLayerCount: Int) -> Plan? {
            let isLimited = limit(.host, request) != nil
            let shares = arrangement(hostLayerCount, mostFill: isLimited ? Self.mostFill : nil)
            return fit(request, choice, [shares.host, shares.device])
        }
        if let count = request.deviceLayerCount { return plan(sizes.layerCount - max(count, 0)) }
        // The more layers are the processor's, the less the GPU holds.
        var alone = request
        alone.limits = LedgerLimits(device: limit(.device, request))
        alone.mayStream = request.mayStream && limit(.host, request) != nil
        func fitsDevice(_ count: Int) -> Bool {
            fit(alone, choice, [arrangement(count, mostFill: nil).device]) != nil
        }
        var (low, high) = (1, sizes.layerCount)
        guard fitsDevice(high) else { return nil }
        while low < high {
            let middle = (low + high) / 2
            if fitsDevice(middle) { high = middle } else { low = middle + 1 }
        }
        // Where both share one memory, the GPU may take less than it could, to make room.
        for count in low...(request.limits.total == nil ? low : sizes.layerCount) {
            if let plan = plan(count) { return plan }
        }
        return nil
    }

    // MARK: One arrangement

    /// A share of the model and who computes it.
    private struct Arrangement {
        let place: MemoryPlace
        let share: ModelShare
        /// The most bytes that are brought there at once; nil for whole segments.
        let mostFill: Int?
        /// Whether the layers before these are brought here for many rows.
        let hasPassage: Bool
    }

    /// The plan of these sizes; nil where it would pass a limit.
    private func fit(_ request: PlanRequest, _ choice: Choice, _ shares: [Arrangement]) -> Plan? {
        var items = process(choice, mostFill: shares.last?.mostFill)
        for part in shares {
            guard let working = working(choice, part.share, part.place) else { return nil }
            items += working
            if !part.share.isFirst {
                // Of the last layer before these, to join what it has left.
                items.append(
                    Plan.Item(name: "norms and biases", place: part.place, byteCount: sizes.normBytes))
            }
            guard part.hasPassage else { continue }
            guard let passage = passage(to: part, request, choice) else { return nil }
            items += passage
        }
        var parts: [Plan.Part] = []
        var passes: Residency.Passes?
        // A GPU's weights first: the others may make do with what is left.
        for part in shares.reversed() {
            let inventory = sizes.inventory.part(part.share)
            guard let residency = residency(inventory, part.place, beside: items, request) else { return nil }
            items += weights(residency, inventory, part.place)
            passes = residency.passes(inventory)
            parts.insert(
                Plan.Part(
                    place: part.place, share: part.share, residency: residency, mostFill: part.mostFill),
                at: 0)
        }
        let hasPassage = shares.contains { $0.hasPassage }
        guard let passes else { preconditionFailure("somebody computes the model") }
        // Of a GPU's share alone it is not known yet.
        let mayPass = passes.token.units > 0 || shares.count == 1 && request.mayStream
        if hasPassage, !isWorthTaking(items, request, besideWeightsThatPass: mayPass) { return nil }
        return make(request, choice, parts, passes, hasPassage: hasPassage, items)
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
        // Many splits are tried, each with weights of its own: their ladders are not climbed.
        if place == .host, request.mayStream { return Residency.fitting(inventory, budget: budget) }
        let whole = Residency.whole(inventory)
        return whole.byteCount(inventory) <= budget ? whole : nil
    }

    /// Whether what bringing layers takes of a GPU's memory is within the share of it that this is worth.
    private func isWorthTaking(
        _ items: [Plan.Item], _ request: PlanRequest, besideWeightsThatPass: Bool
    ) -> Bool {
        guard let limit = limit(.device, request) else { return true }
        let names = [Plan.layersOnTheirWay, Plan.keysOnTheirWay]
        let taken = items.reduce(0) { $0 + (names.contains($1.name) ? $1.byteCount : 0) }
        return taken <= limit / (besideWeightsThatPass ? Self.streamingPassageShare : Self.passageShare)
    }

    /// What bringing the layers before `share` to it takes there: two places for a layer's weights, keys and
    /// values, a norm, and what a chunk adds to the keys and values of all. Nil where no number is
    /// large enough.
    private func passage(
        to share: Arrangement, _ request: PlanRequest, _ choice: Choice
    ) -> [Plan.Item]? {
        let before = 0..<share.share.layers.lowerBound
        let largest = sizes.inventory.decoder[before].map { sizes.inventory.byteCount(of: [$0]) }.max() ?? 0
        // A chunk begins and ends within pages.
        let chunk = choice.activations.chunkTokens + 2 * sizes.pageTokens
        guard let visiting = sizes.keysAndValues(choice.context, 1),
            let fresh = sizes.keysAndValues(chunk, before.count)
        else { return nil }
        let (layers, keys) = (2 * largest + sizes.normBytes, 2 * visiting + fresh)
        return [(Plan.layersOnTheirWay, layers), (Plan.keysOnTheirWay, keys)].map {
            Plan.Item(name: $0.0, place: share.place, byteCount: $0.1)
        }
    }
}
