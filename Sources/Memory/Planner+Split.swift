//! Plans for a GPU and the processor together.

internal import Tensors

extension Planner {
    /// What bringing layers to a GPU may take of its memory: prompts are read once.
    private static let passageShare = 6
    /// What a longer chunk of a prompt may take of either memory.
    private static let chunkShare = 8
    /// A page of keys and values has no more tokens.
    private static let mostPageTokens = 16

    func maySplit(_ request: PlanRequest) -> Bool {
        sizes.place == .device
            && (request.deviceLayerCount.map { $0 < sizes.layerCount } ?? request.mayOffload)
    }

    /// The best plan for a model of which the processor computes the first layers: as few as can be, for a
    /// GPU reads its memory faster.
    func bestSplit(_ request: PlanRequest) -> Plan? {
        if let context = request.contextLength { return bestSplit(request, context: context) }
        return firstFitting(request) { bestSplit(request, context: $0) }
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

    /// With the longest chunk of a prompt that takes no more than an eighth of either memory: what is left
    /// is layers.
    private func bestSplit(
        _ request: PlanRequest, context: Int, hasHostTower: Bool, hasPassage: Bool
    ) -> Plan? {
        let most = ModelSplit(
            layerCount: sizes.layerCount, hostLayerCount: sizes.layerCount, hasHostTower: hasHostTower)
        func growth(_ chunk: Int, _ share: ModelShare, _ place: MemoryPlace) -> Int {
            func bytes(_ chunk: Int) -> Int {
                let limits = ActivationLimits(
                    chunkTokens: chunk, logitRows: 1, imageTokens: request.imageTokens)
                return sizes.activations(context, limits, share, place)
            }
            return bytes(chunk) - bytes(1)
        }
        let choices = request.chunkTokens.map { [$0] } ?? chunkChoices
        for (index, chunk) in choices.enumerated() {
            let isShort = [(most.host, MemoryPlace.host), (most.device, .device)].allSatisfy { share, place in
                limit(place, request).map { growth(chunk, share, place) <= $0 / Self.chunkShare } ?? true
            }
            guard isShort || index == choices.count - 1 else { continue }
            var request = request
            request.chunkTokens = chunk
            let plan = fewestSplit(
                request, context: context, hasHostTower: hasHostTower, hasPassage: hasPassage)
            if let plan { return plan }
        }
        return nil
    }

    /// The plan that leaves the processor the fewest layers.
    private func fewestSplit(
        _ request: PlanRequest, context: Int, hasHostTower: Bool, hasPassage: Bool
    ) -> Plan? {
        func device(_ hostLayerCount: Int, mostFill: Int?) -> (ModelSplit, Arrangement) {
            let split = ModelSplit(
                layerCount: sizes.layerCount, hostLayerCount: hostLayerCount, hasHostTower: hasHostTower)
            return (
                split, Arrangement(.device, split.device, mostFill: mostFill, hasPassage: hasPassage)
            )
        }
        func plan(_ hostLayerCount: Int) -> Plan? {
            let isLimited = limit(.host, request) != nil
            let (split, share) = device(hostLayerCount, mostFill: isLimited ? Self.mostFill : nil)
            return best(
                request, [Arrangement(.host, split.host, mostFill: nil), share], context: context)
        }
        if let count = request.deviceLayerCount { return plan(sizes.layerCount - max(count, 0)) }
        // The more layers are the processor's, the less the GPU holds.
        var alone = request
        alone.limits = LedgerLimits(device: limit(.device, request))
        func fitsDevice(_ count: Int) -> Bool {
            best(alone, [device(count, mostFill: nil).1], context: context) != nil
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

    /// What bringing the layers before `share` to it takes there: two places for a layer's weights, a layer's
    /// keys and values, and what a chunk adds to those of all. Nil where that is more than it is worth.
    func passage(
        to share: Arrangement, _ request: PlanRequest, context: Int, _ activations: ActivationLimits
    ) -> (layers: Int, keys: Int)? {
        let before = 0..<share.share.layers.lowerBound
        let largest = sizes.inventory.decoder[before].map { sizes.inventory.byteCount(of: [$0]) }.max() ?? 0
        // A chunk begins and ends within pages.
        let chunk = activations.chunkTokens + 2 * Self.mostPageTokens
        guard let visiting = sizes.keysAndValues(context, 1),
            let fresh = sizes.keysAndValues(chunk, before.count)
        else { return nil }
        let bytes = (layers: 2 * largest, keys: visiting + fresh)
        guard let limit = limit(share.place, request) else { return bytes }
        return bytes.layers + bytes.keys <= limit / Self.passageShare ? bytes : nil
    }
}
