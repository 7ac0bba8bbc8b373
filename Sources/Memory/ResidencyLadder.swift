//! The choice of a residency: with more memory no pass ever has more to read.

/// The residencies that are chosen from, in rising order of what they take.
///
/// More memory makes units and their ring larger, and moves whole segments out of the arena, in steps that
/// may cost some pass a little more than the memory gained. So a residency is one of these only if a token
/// reads no more than with those before, and no other pass much more than with any of them; and each is
/// predicted as the worst of those from it on, so that none is predicted slower than one before.
struct ResidencyLadder {
    struct Rung {
        /// The bytes that it may take.
        let budget: Int
        let residency: Residency
        /// What it is predicted with.
        var passes: Residency.Passes
    }

    /// Never empty; the last holds everything.
    private let rungs: [Rung]

    /// Budgets are looked at which have so many leading bits and zeros behind: what one budget is given does
    /// not depend on a byte more or less, and a 64th of it at most is left.
    private static let leadingBits = 7

    /// Those of a model whose weights may pass, or the one that holds everything.
    init(_ inventory: WeightInventory, mayPass: Bool = true) {
        let whole = Residency.whole(inventory)
        let all = whole.byteCount(inventory)
        var rungs: [Rung] = []
        var (reading, best) = (Int.max, nil as Residency.Passes?)
        var cuts = UnitCuts(inventory)
        for budget in mayPass ? Self.steps(below: all) : [] {
            guard let residency = Residency.fitting(&cuts, budget: budget) else { continue }
            let passes = residency.passes(inventory)
            guard passes.token.reading <= reading,
                best.map({ passes.isWithin($0, roughly: true) }) ?? true
            else { continue }
            rungs.append(Rung(budget: budget, residency: residency, passes: passes))
            reading = passes.token.reading
            best = best.map(passes.better) ?? passes
        }
        rungs.append(Rung(budget: all, residency: whole, passes: whole.passes(inventory)))
        for index in rungs.indices.dropLast().reversed() {
            rungs[index].passes = rungs[index].passes.worse(rungs[index + 1].passes)
        }
        self.rungs = rungs
    }

    /// The best that takes at most `budget` bytes; nil where there is none.
    func best(within budget: Int) -> Rung? { rungs.last { $0.budget <= budget } }

    /// The least budget that there is a residency for.
    var leastBudget: Int { rungs[0].budget }

    /// The least budget with which tokens read nothing of the file.
    var leastQuietBudget: Int {
        guard let rung = rungs.first(where: { $0.residency.decoder.passing.isEmpty }) else {
            preconditionFailure("the last holds everything")
        }
        return rung.budget
    }

    /// Every budget of so many leading bits below `all`, in order.
    private static func steps(below all: Int) -> [Int] {
        let least = 1 << (leadingBits - 1)
        var steps: [Int] = []
        var (mantissa, shift) = (least, 0)
        while mantissa << shift < all {
            steps.append(mantissa << shift)
            mantissa += 1
            if mantissa == 2 * least { (mantissa, shift) = (least, shift + 1) }
        }
        return steps
    }
}

extension Residency {
    /// The best residency that takes at most `budget` bytes; nil where there is none.
    public static func best(_ inventory: WeightInventory, budget: Int) -> Residency? {
        ResidencyLadder(inventory).best(within: budget)?.residency
    }
}
