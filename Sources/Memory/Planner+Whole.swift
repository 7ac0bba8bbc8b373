//! Plans for one device: what its memory is spent on, as there is more of it.

internal import Tensors

extension Planner {
    /// Positions whose logits are computed together: many only where memory is not limited.
    private static let logitRows = 64
    /// Tokens between two contexts up to the usual one.
    private static let contextStep = 256

    /// Where a device's weights may live; a GPU holds all of them.
    func ladder(_ request: PlanRequest) -> ResidencyLadder {
        let mayPass = sizes.place == .host && request.mayStream && ownLimit(request) != nil
        return ResidencyLadder(sizes.inventory, mayPass: mayPass)
    }

    /// The best plan for a model in one place; nil where there is none.
    func bestWhole(_ request: PlanRequest, _ ladder: ResidencyLadder) -> Plan? {
        guard mayBeWhole(request) else { return nil }
        guard let limit = ownLimit(request) else { return unlimited(request, ladder) }
        guard let share = shares(request, ladder)?.share(of: limit),
            let rung = ladder.best(within: share.weights)
        else { return nil }
        let choice = Choice(
            context: share.context, activations: activations(request, chunkTokens: share.chunkTokens),
            featureTokens: featureTokens(request, context: share.context, limit: limit))
        return whole(request, choice, rung)
    }

    /// Whether there is such a plan.
    func hasWhole(_ request: PlanRequest, _ ladder: ResidencyLadder) -> Bool {
        guard mayBeWhole(request) else { return false }
        guard let limit = ownLimit(request) else { return !contexts(request).isEmpty }
        return shares(request, ladder)?.isEnough(limit) ?? false
    }

    private func mayBeWhole(_ request: PlanRequest) -> Bool {
        sizes.place == .host || request.deviceLayerCount ?? .max >= sizes.layerCount
    }

    /// Bytes that the place of the model's parts may take. Beside a GPU, a total has all but the pages taken
    /// off that the process holds.
    private func ownLimit(_ request: PlanRequest) -> Int? {
        if sizes.place == .host { return limit(.host, request) }
        let rest = request.limits.total.map { $0 - sizes.process() }
        return [request.limits.device, rest].compactMap { $0 }.min()
    }

    /// What the process holds, as far as it counts against that.
    private func processBytes(_ request: PlanRequest, context: Int) -> Int {
        let pages = context * sizes.pageTokenBytes
        if sizes.place == .host { return sizes.process() + pages }
        return request.limits.total == nil ? 0 : pages
    }

    private func unlimited(_ request: PlanRequest, _ ladder: ResidencyLadder) -> Plan? {
        guard let context = contexts(request).last, let rung = ladder.best(within: .max) else { return nil }
        let choice = Choice(
            context: context,
            activations: ActivationLimits(
                chunkTokens: request.chunkTokens ?? chunkChoices[0], logitRows: Self.logitRows,
                imageTokens: request.imageTokens),
            featureTokens: featureTokens(request, context: context, limit: nil))
        return whole(request, choice, rung)
    }

    /// The plan of these sizes; nil where no number is large enough for one of them.
    private func whole(_ request: PlanRequest, _ choice: Choice, _ rung: ResidencyLadder.Rung) -> Plan? {
        let share = ModelShare.whole(layerCount: sizes.layerCount)
        guard let working = working(choice, share, sizes.place) else { return nil }
        let part = Plan.Part(place: sizes.place, share: share, residency: rung.residency, mostFill: nil)
        return make(
            request, choice, [part], rung.passes,
            process(choice, mostFill: nil) + working
                + weights(rung.residency, sizes.inventory, sizes.place))
    }

    /// How a limit is shared; nil where no limit on the device makes room in the process for any context.
    private func shares(_ request: PlanRequest, _ ladder: ResidencyLadder) -> MemoryShares? {
        let share = ModelShare.whole(layerCount: sizes.layerCount)
        // Asked for again and again.
        var known: [[Int]: Int] = [:]
        func activationBytes(_ context: Int, _ chunkTokens: Int) -> Int {
            if let bytes = known[[context, chunkTokens]] { return bytes }
            let limits = activations(request, chunkTokens: chunkTokens)
            let bytes = sizes.activations(context, limits, share, sizes.place)
            known[[context, chunkTokens]] = bytes
            return bytes
        }
        let contexts = contexts(request)
        if contexts.isEmpty { return nil }
        let chunks = request.chunkTokens.map { [$0] } ?? chunkChoices.reversed()
        return MemoryShares(
            contexts: contexts,
            usualContext: Self.usualContext, chunks: chunks,
            leastWeights: ladder.leastBudget, quietWeights: ladder.leastQuietBudget,
            rest: { context, chunkTokens, limit in
                guard let keys = sizes.keysAndValues(context, sizes.layerCount) else { return nil }
                let features = featureTokens(request, context: context, limit: limit)
                let (rest, overflows) = keys.addingReportingOverflow(
                    processBytes(request, context: context) + features * sizes.featureTokenBytes
                        + activationBytes(context, chunkTokens))
                return overflows ? nil : rest
            },
            // What a chunk takes beyond the shortest is worth a quarter of the memory, not more.
            worth: { 4 * (activationBytes($0, $1) - activationBytes($0, chunks[0])) })
    }

    /// Contexts to choose from, in rising order: those for which the process has room.
    private func contexts(_ request: PlanRequest) -> [Int] {
        let choices = request.contextLength.map { [$0] } ?? contextChoices(longest(request))
        guard sizes.place == .device, let host = limit(.host, request) else { return choices }
        return choices.filter { sizes.process() + $0 * sizes.pageTokenBytes <= host }
    }

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
}
