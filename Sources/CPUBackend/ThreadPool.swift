//! Threads that share out the iterations of a loop.

internal import CKernels
internal import Glibc
internal import Synchronization
internal import Threads

/// A fixed set of threads. `run` splits a loop over them and the caller; between loops they spin briefly, for
/// the next loop of a forward pass comes within microseconds, and then sleep.
final class ThreadPool: @unchecked Sendable {
    private let board: LoopBoard
    private var helpers = JoinedThreads()

    /// Threads that work on a loop, the caller included: as many as asked for, or as the system allows.
    let threadCount: Int

    /// Precondition: at least one thread.
    init(threadCount: Int) {
        precondition(threadCount >= 1)
        // What helpers know is another object than what they end with: they keep that one alive.
        let board = LoopBoard()
        var helpers = JoinedThreads()
        for worker in 1..<threadCount {
            guard helpers.start({ board.help(worker) }) else { break }
        }
        self.threadCount = helpers.count + 1
        board.threadCount = helpers.count + 1
        self.board = board
        self.helpers = helpers
    }

    deinit {
        board.stop()
        helpers.join()
    }

    /// Runs the iterations below `count`, each once, on several threads at once, and returns when all have
    /// returned. An iteration costs `cost`; a thread takes them in multiples of `grain`. `worker` is below
    /// `threadCount`. Not reentrant.
    func run<Loop: ParallelLoop>(_ loop: Loop, count: Int, cost: LoopCost, grain: Int = 1) {
        board.run(loop, count: count, cost: cost, grain: grain)
    }
}

/// The loop at hand, and what the threads of a pool tell each other.
///
/// How finely a loop is cut, and whether it is shared at all, follows from what loops of its kind have cost
/// so far (`LoopPlan`). Nothing is allocated after `init`.
@safe private final class LoopBoard: @unchecked Sendable {
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
    /// The first iteration that no thread has claimed.
    private let next = LoneAtomic()
    /// Whether a loop may be joined.
    private let isOpen = Atomic<Bool>(false)
    /// Helpers that have joined the loop, or are looking whether they may.
    private let joined = LoneAtomic()
    private let stops = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    /// Where helpers sleep until there is another generation.
    private let bed = Monitor(())

    /// A loop as the threads see it.
    @safe private struct OpenLoop {
        let type: any ParallelLoop.Type
        /// Valid while the loop is open or somebody has joined it.
        let body: UnsafeRawPointer
        let count: Int
        let grain: Int
        let plan: LoopPlan
    }

    init() { prices = LoopCost.Kind.allCases.map(Self.firstPrice) }

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
    func run<Loop: ParallelLoop>(_ loop: Loop, count: Int, cost: LoopCost, grain: Int) {
        if count <= 0 { return }
        let plan = LoopPlan(
            count: count, nanoseconds: prices[cost.kind.rawValue] * Float(cost.units), grain: grain,
            threadCount: threadCount)
        if plan.workers > 1 { return share(loop, count: count, grain: grain, plan, cost) }
        let start = nanosecondsNow()
        loop.run(0..<count, worker: 0)
        record(cost, iterations: count, since: start)
    }

    private func share<Loop: ParallelLoop>(
        _ loop: Loop, count: Int, grain: Int, _ plan: LoopPlan, _ cost: LoopCost
    ) {
        unsafe withUnsafePointer(to: loop) { body in
            let open = unsafe OpenLoop(
                type: Loop.self, body: UnsafeRawPointer(body), count: count, grain: grain, plan: plan)
            self.loop = open
            next.value.store(0, ordering: .relaxed)
            isOpen.store(true, ordering: .sequentiallyConsistent)
            generation.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
            wakeSleepers(for: plan)
            let start = nanosecondsNow()
            record(cost, iterations: work(open, worker: 0), since: start)
            isOpen.store(false, ordering: .sequentiallyConsistent)
            waitForHelpers()
            self.loop = nil
        }
    }

    /// Moves the price of a kind an eighth of the way to what was just measured. A measurement that another
    /// process has disturbed counts for no more than twice what was thought.
    private func record(_ cost: LoopCost, iterations: Int, since start: Int) {
        guard cost.kind != .unknown, iterations > 0 else { return }
        let old = prices[cost.kind.rawValue]
        let measured = max(Float(nanosecondsNow() - start) / (Float(iterations) * Float(cost.units)), 1e-6)
        prices[cost.kind.rawValue] = old + (min(measured, 2 * old) - old) / 8
    }

    /// Waits for the helpers that have joined; one that the system has not run yet is not waited for, so a
    /// busy machine costs this loop a helper and not a time slice.
    private func waitForHelpers() {
        var wait = SpinWait()
        while joined.value.load(ordering: .sequentiallyConsistent) > 0 { wait.look() }
    }

    /// Claims and runs iterations until there are none; returns how many.
    private func work(_ loop: OpenLoop, worker: Int) -> Int {
        var done = 0
        var first = next.value.load(ordering: .relaxed)
        while first < loop.count {
            let size = loop.plan.claim(of: loop.count - first, grain: loop.grain)
            let (exchanged, original) = next.value.weakCompareExchange(
                expected: first, desired: first + size, ordering: .relaxed)
            guard exchanged else {
                first = original
                continue
            }
            unsafe loop.type.run(at: loop.body, first..<first + size, worker: worker)
            done += size
            first = next.value.load(ordering: .relaxed)
        }
        return done
    }

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
        while true {
            seen = waitForGeneration(after: seen)
            if stops.load(ordering: .acquiring) { return }
            joined.value.wrappingAdd(1, ordering: .sequentiallyConsistent)
            if isOpen.load(ordering: .sequentiallyConsistent), let loop, worker < loop.plan.workers {
                _ = work(loop, worker: worker)
            }
            joined.value.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
    }

    private func waitForGeneration(after seen: Int) -> Int {
        var wait = SpinWait()
        while wait.isWorthwhile {
            let current = generation.value.load(ordering: .acquiring)
            if current != seen { return current }
            wait.look()
        }
        sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        defer { sleepers.wrappingSubtract(1, ordering: .relaxed) }
        return bed.wait { _ in
            let current = generation.value.load(ordering: .sequentiallyConsistent)
            return current == seen ? nil : current
        }
    }
}

/// An integer without neighbours: threads that look at one do not slow those that count with another. Two
/// cache lines apart, for processors fetch them in pairs.
private struct LoneAtomic: ~Copyable {
    let value = Atomic<Int>(0)
    private let padding = InlineArray<15, Int>(repeating: 0)
}

/// Looks again and again, dearer each time: first pausing the processor, then letting other threads have it,
/// for where threads are more than free cores the one waited for may need this one's.
private struct SpinWait {
    private var looks = 0
    private var start = 0

    /// Looks between two readings of the clock.
    private static let looksPerReading = 64
    /// How long a look only pauses.
    private static let pausingNanoseconds = 20_000
    /// How long a thread without work keeps looking before it sleeps: the gap between two loops of a pass,
    /// and between two tokens, is shorter.
    private static let nanoseconds = 100_000
    private var elapsed = 0

    /// Whether the wait has been short.
    var isWorthwhile: Bool { elapsed < Self.nanoseconds }

    mutating func look() {
        looks += 1
        if looks % Self.looksPerReading == 1 || elapsed >= Self.pausingNanoseconds {
            let now = nanosecondsNow()
            if looks == 1 { start = now }
            elapsed = now - start
        }
        if elapsed < Self.pausingNanoseconds { thimble_pause() } else { sched_yield() }
    }
}

/// A clock that only goes forward, read without entering the kernel.
private func nanosecondsNow() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
