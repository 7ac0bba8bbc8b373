//! The loop at hand, and what the threads of a pool tell each other.

internal import CKernels
internal import Synchronization
internal import Threads

/// A loop that is shared out, from its opening until all who have joined it have left.
///
/// How finely a loop is cut, and whether it is shared at all, follows from what loops of its kind have cost
/// so far (`LoopPlan`). Where iterations are alike, each thread has a share of its own, which it goes through
/// in order: nobody else touches its counter, and what the processor has read ahead of one claim is the next
/// one. Whoever is done takes from the ends of others' shares. Nothing is allocated after `init`.
@safe final class LoopBoard: @unchecked Sendable {
    /// As the pool's. Helpers do not look at it.
    var threadCount = 1

    /// What one unit of each kind of work has cost the caller of late, in nanoseconds.
    private var prices: [Float]
    /// What the loops have cost, in nanoseconds, since helpers were last woken that sleep.
    private var sleptThrough: Float = 0

    /// The loop at hand. Written while the loop is closed and nobody has joined, read by those who have
    /// joined and then found it open, so no thread sees half of it.
    private var loop: OpenLoop?
    /// Counts loops. What helpers without work look at.
    private let generation = LoneAtomic()
    /// Whether a loop may be joined.
    private let isOpen = Atomic<Bool>(false)
    /// The first iteration before, or after, the loop's own that no thread has claimed.
    private let before = LoneAtomic(), after = LoneAtomic()
    /// Iterations before, and of, the loop that are done.
    private let doneBefore = LoneAtomic(), done = LoneAtomic()
    /// `[seatCount]`: what belongs to one worker.
    private let seats: UnsafeMutablePointer<Seat>
    private let seatCount: Int
    private let stops = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    /// Where helpers sleep until there is another generation.
    private let bed = Monitor(())

    /// A worker's counters.
    private struct Seat: ~Copyable {
        /// Not 0 while its helper has joined the loop, or looks whether it may.
        let taken = LoneAtomic()
        /// What is left of its share.
        let share = LoopShare()
    }

    /// A loop as the threads see it.
    @safe private struct OpenLoop {
        let type: any ParallelLoop.Type
        /// Valid while the loop is open or somebody has joined it.
        let body: UnsafeRawPointer
        let count: Int
        let countBefore: Int
        let countAfter: Int
        let plan: LoopPlan
        let threadCount: Int
        /// Whether each worker has a share; else all of them have the first one.
        let hasShares: Bool
        let next: NextWeights?

        func run(_ stage: LoopStage, _ indices: Range<Int>, worker: Int) {
            unsafe type.run(at: body, stage, indices, worker: worker)
        }
    }

    init(seatCount: Int) {
        prices = LoopCost.Kind.allCases.map(Self.firstPrice)
        self.seatCount = seatCount
        unsafe seats = .allocate(capacity: seatCount)
        for worker in 0..<seatCount { unsafe (seats + worker).initialize(to: Seat()) }
    }

    deinit {
        unsafe seats.deinitialize(count: seatCount)
        unsafe seats.deallocate()
    }

    /// Sends the helpers home.
    func stop() {
        stops.store(true, ordering: .releasing)
        generation.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
        wakeSleepers()
    }

    /// What a unit is taken to cost before the first is measured: dear, so that first loops are shared.
    private static func firstPrice(_ kind: LoopCost.Kind) -> Float {
        kind == .unknown ? LoopPlan.wakeNanoseconds : 1
    }

    /// As the pool's.
    func run<Loop: ParallelLoop>(
        _ loop: Loop, count: Int, cost: LoopCost, _ grain: LoopGrain, next: NextWeights?
    ) {
        if count <= 0 { return }
        precondition(count <= LoopShare.mostIterations, "a loop of so many is cut coarser")
        let plan = LoopPlan(
            count: count, nanoseconds: prices[cost.kind.rawValue] * Float(cost.units), grain: grain,
            threadCount: threadCount)
        if plan.workers > 1 { return share(loop, count: count, plan, cost, next) }
        loop.prepare(worker: 0)
        if loop.countBefore > 0 { loop.runBefore(0..<loop.countBefore, worker: 0) }
        let start = nanosecondsNow()
        loop.run(0..<count, worker: 0)
        record(cost, iterations: count, nanoseconds: nanosecondsNow() - start)
        if loop.countAfter > 0 { loop.runAfter(0..<loop.countAfter, worker: 0) }
    }

    private func share<Loop: ParallelLoop>(
        _ loop: Loop, count: Int, _ plan: LoopPlan, _ cost: LoopCost, _ next: NextWeights?
    ) {
        unsafe withUnsafePointer(to: loop) { body in
            let open = unsafe OpenLoop(
                type: Loop.self, body: UnsafeRawPointer(body), count: count, countBefore: loop.countBefore,
                countAfter: loop.countAfter, plan: plan, threadCount: threadCount,
                hasShares: cost.kind.iterationsAreAlike, next: next)
            self.loop = open
            if open.countBefore > 0 {
                before.value.store(0, ordering: .relaxed)
                doneBefore.value.store(0, ordering: .relaxed)
            }
            if open.countAfter > 0 {
                after.value.store(0, ordering: .relaxed)
                done.value.store(0, ordering: .relaxed)
            }
            for worker in 0..<plan.workers {
                let all = worker == 0 ? 0..<count : 0..<0
                unsafe seats[worker].share.give(open.hasShares ? plan.share(of: worker) : all)
            }
            isOpen.store(true, ordering: .sequentiallyConsistent)
            generation.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
            wakeSleepers(for: plan)
            let (iterations, nanoseconds) = work(open, worker: 0)
            record(cost, iterations: iterations, nanoseconds: nanoseconds)
            isOpen.store(false, ordering: .sequentiallyConsistent)
            waitForHelpers(asking: next?.request(of: 0, threadCount: threadCount))
            self.loop = nil
        }
    }

    /// Moves the price of a kind an eighth of the way to what was just measured. A measurement that another
    /// process has disturbed counts for no more than twice what was thought.
    private func record(_ cost: LoopCost, iterations: Int, nanoseconds: Int) {
        guard cost.kind != .unknown, iterations > 0 else { return }
        let old = prices[cost.kind.rawValue]
        let measured = max(Float(nanoseconds) / (Float(iterations) * Float(cost.units)), 1e-6)
        prices[cost.kind.rawValue] = old + (min(measured, 2 * old) - old) / 8
    }

    /// Waits for the helpers that have joined; one that the system has not run yet is not waited for, so a
    /// busy machine costs this loop a helper and not a time slice.
    private func waitForHelpers(asking request: WeightRequest?) {
        var (wait, request) = (SpinWait(), request)
        for worker in 1..<threadCount {
            while unsafe seats[worker].taken.value.load(ordering: .sequentiallyConsistent) != 0 {
                if request?.askForMore() != true { wait.look() }
            }
        }
    }

    // MARK: Working on a loop

    /// Claims and runs iterations until there are none; returns how many of the loop's own, and how long they
    /// took. A helper that comes when others have done its share leaves again: to prepare would make them
    /// wait.
    private func work(_ loop: OpenLoop, worker: Int) -> (iterations: Int, nanoseconds: Int) {
        let own = loop.hasShares ? worker : 0
        if worker > 0, unsafe seats[own].share.isEmpty { return (0, 0) }
        unsafe loop.type.prepare(at: loop.body, worker: worker)
        if loop.countBefore > 0 {
            var count = 0
            while let claim = before.takeSlice(of: loop.countBefore, loop.plan.workers) {
                loop.run(.before, claim, worker: worker)
                count += claim.count
            }
            doneBefore.add(count, waitingFor: loop.countBefore)
        }
        let start = nanosecondsNow()
        var iterations = 0
        while let claim = unsafe seats[own].share.takeFirst({
            loop.hasShares ? loop.plan.claim(of: $0) : loop.plan.sharedClaim(of: $0)
        }) {
            loop.run(.own, claim, worker: worker)
            iterations += claim.count
        }
        for distance in 1..<(loop.hasShares ? loop.plan.workers : 1) {
            let other = (worker + distance) % loop.plan.workers
            while let claim = unsafe seats[other].share.takeLast({ loop.plan.sharedClaim(of: $0) }) {
                loop.run(.own, claim, worker: worker)
                iterations += claim.count
            }
        }
        let nanoseconds = nanosecondsNow() - start
        if loop.countAfter > 0 {
            done.add(iterations, waitingFor: loop.count)
            while let claim = after.takeSlice(of: loop.countAfter, loop.plan.workers) {
                loop.run(.after, claim, worker: worker)
            }
        }
        return (iterations, nanoseconds)
    }

    // MARK: Helpers

    /// Wakes those who sleep once the loops that they have slept through, this one included, were worth it.
    private func wakeSleepers(for plan: LoopPlan) {
        if sleepers.load(ordering: .sequentiallyConsistent) == 0 { return }
        sleptThrough += plan.nanoseconds
        guard sleptThrough >= LoopPlan.wakeNanoseconds else { return }
        sleptThrough = 0
        wakeSleepers()
    }

    private func wakeSleepers() {
        if sleepers.load(ordering: .sequentiallyConsistent) == 0 { return }
        bed.withLock(waking: .all) { _ in }
    }

    /// What a helper does all its life.
    func help(_ worker: Int) {
        var seen = 0
        var request: WeightRequest?
        while true {
            seen = waitForGeneration(after: seen, asking: request)
            if stops.load(ordering: .acquiring) { return }
            request = nil
            unsafe seats[worker].taken.value.store(1, ordering: .sequentiallyConsistent)
            if isOpen.load(ordering: .sequentiallyConsistent), let loop {
                if worker < loop.plan.workers { _ = work(loop, worker: worker) }
                request = loop.next?.request(of: worker, threadCount: loop.threadCount)
            }
            unsafe seats[worker].taken.value.store(0, ordering: .sequentiallyConsistent)
        }
    }

    private func waitForGeneration(after seen: Int, asking request: WeightRequest?) -> Int {
        var (wait, request) = (SpinWait(), request)
        while wait.isWorthwhile {
            let current = generation.value.load(ordering: .acquiring)
            if current != seen { return current }
            if request?.askForMore() != true { wait.look() }
        }
        sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { sleepers.wrappingSubtract(1, ordering: .relaxed) }
        return bed.wait { _ in
            let current = generation.value.load(ordering: .sequentiallyConsistent)
            return current == seen ? nil : current
        }
    }
}
