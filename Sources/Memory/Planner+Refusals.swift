//! Why there is no plan, and what would make one.

internal import Tensors

extension Planner {
    /// What would make a plan: each suggestion has been planned with, and works.
    func refusal(_ request: PlanRequest, _ ladder: ResidencyLadder) -> PlanRefusal {
        if sizes.place == .device, let refusal = refusalOfBoth(request, ladder) { return refusal }
        let place = refusedPlace(request, ladder)
        let other: MemoryPlace = place == .device ? .host : .device
        let context = request.contextLength ?? longest(request)
        var refusal = PlanRefusal(
            place: place, limit: limit(place, request) ?? 0, needed: needed(place, request, ladder) ?? .max,
            contextLength: Self.most(below: context) {
                var smaller = request
                smaller.contextLength = $0
                return hasPlan(smaller, ladder)
            },
            imageTokens: Self.most(below: request.imageTokens ?? sizes.maximumImageTokens) {
                var smaller = request
                smaller.imageTokens = $0
                return hasPlan(smaller, ladder)
            })
        guard sizes.place == .device else { return refusal }
        refusal.otherNeeded = needed(other, request, ladder)
        refusal.deviceLayerCount = request.deviceLayerCount.flatMap { count in
            (0..<max(0, min(count, sizes.layerCount))).last { fewer in
                var fitting = request
                fitting.deviceLayerCount = fewer
                return hasPlan(fitting, ladder)
            }
        }
        return refusal
    }

    /// Where either limit is too low by itself; nil where raising one is enough.
    private func refusalOfBoth(_ request: PlanRequest, _ ladder: ResidencyLadder) -> PlanRefusal? {
        guard needed(.device, request, ladder) == nil, needed(.host, request, ladder) == nil else {
            return nil
        }
        var raised = request
        raised.limits.host = nil
        guard let device = needed(.device, raised, ladder) else { return nil }
        raised = request
        raised.limits.device = device
        var refusal = PlanRefusal(
            place: .device, limit: limit(.device, request) ?? 0, needed: device, contextLength: nil,
            imageTokens: nil)
        refusal.otherNeeded = needed(.host, raised, ladder)
        refusal.needsBoth = true
        return refusal
    }

    /// The limit that is too low: that of a GPU, unless no GPU would do.
    private func refusedPlace(_ request: PlanRequest, _ ladder: ResidencyLadder) -> MemoryPlace {
        guard sizes.place == .device else { return .host }
        return needed(.device, request, ladder) == nil && limit(.host, request) != nil ? .host : .device
    }

    /// The least limit of a place with which there is a plan while the other limits are as they are; nil
    /// where none helps.
    private func needed(
        _ place: MemoryPlace, _ request: PlanRequest, _ ladder: ResidencyLadder
    ) -> Int? {
        guard let limit = limit(place, request) else { return nil }
        func fits(_ byteCount: Int) -> Bool {
            var larger = request
            if place == .device { larger.limits.device = byteCount } else { larger.limits.host = byteCount }
            // A total that is what holds this place back is raised with it.
            if let total = request.limits.total { larger.limits.total = max(total, byteCount) }
            return hasPlan(larger, ladder)
        }
        guard fits(Self.unlimited) else { return nil }
        return Self.margin + Self.least(above: limit, fits)
    }

    /// More than any memory has, and few enough that sums of it are numbers. Bytes.
    private static let unlimited = 1 << 50
    /// Added to a limit that is suggested: what a process holds differs from run to run.
    private static let margin = 2 * mebibyte
    private static let mebibyte = 1 << 20

    /// The least number above `bound`, to the next MiB, for which `fits` holds.
    private static func least(above bound: Int, _ fits: (Int) -> Bool) -> Int {
        let step = mebibyte
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
