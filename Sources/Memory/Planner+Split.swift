//! Plans for a GPU and the processor together.

internal import Tensors

extension Planner {
    /// What bringing layers to a GPU may take of its memory: prompts are read once.
    private static let passageShare = 6
    /// A page of keys and values has no more tokens.
    private static let mostPageTokens = 16

    func maySplit(_ request: PlanRequest) -> Bool {
        sizes.place == .device
            && (request.deviceLayerCount.map { $0 < sizes.layerCount } ?? request.mayOffload)
    }

    /// The best plan for a model of which the processor computes the first layers: as few as can be, for a
    /// GPU reads its memory faster. The tower is the GPU's where there is room for it: an image is much work.
    func bestSplit(_ request: PlanRequest) -> Plan? {
        func best(_ context: Int) -> Plan? {
            for hasHostTower in sizes.inventory.vision.isEmpty ? [false] : [false, true] {
                for hasPassage in [true, false] {
                    let plan = bestSplit(
                        request, context: context, hasHostTower: hasHostTower, hasPassage: hasPassage)
                    if let plan { return plan }
                }
            }
            return nil
        }
        if let context = request.contextLength { return best(context) }
        return firstFitting(request, best)
    }

    private func bestSplit(
        _ request: PlanRequest, context: Int, hasHostTower: Bool, hasPassage: Bool
    ) -> Plan? {
        func plan(_ hostLayerCount: Int) -> Plan? {
            let split = ModelSplit(
                layerCount: sizes.layerCount, hostLayerCount: hostLayerCount, hasHostTower: hasHostTower)
            let isLimited = limit(.host, request) != nil
            return self.best(
                request,
                [
                    Arrangement(.host, split.host, mostFill: nil),
                    Arrangement(
                        .device, split.device, mostFill: isLimited ? Self.mostFill : nil,
                        hasPassage: hasPassage),
                ], context: context)
        }
        if let count = request.deviceLayerCount { return plan(sizes.layerCount - max(count, 0)) }
        // The more layers are the processor's, the less the GPU holds. Where both share one memory, it may
        // take more than that to make room.
        var (low, high) = (1, sizes.layerCount)
        func fitsDevice(_ count: Int) -> Bool {
            var request = request
            request.limits = LedgerLimits(device: limit(.device, request))
            let split = ModelSplit(
                layerCount: sizes.layerCount, hostLayerCount: count, hasHostTower: hasHostTower)
            let share = Arrangement(.device, split.device, mostFill: nil, hasPassage: hasPassage)
            return self.best(request, [share], context: context) != nil
        }
        guard fitsDevice(high) else { return nil }
        while low < high {
            let middle = (low + high) / 2
            if fitsDevice(middle) { high = middle } else { low = middle + 1 }
        }
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
