//! A loop that a thread pool can share out, and what is known of its cost.

/// The body of a loop whose iterations are independent.
///
/// A value rather than a closure: the pool hands its threads a pointer to it, where a closure that other
/// threads see would take a heap allocation for each loop.
///
/// What a loop needs first and what follows it can be stages of it, so that threads meet once and not thrice;
/// most loops have none.
protocol ParallelLoop {
    /// Runs the iterations of `indices`. `worker` tells the threads of one loop apart.
    func run(_ indices: Range<Int>, worker: Int)

    /// What a worker does by itself before all else. Worker 0 always does.
    func prepare(worker: Int)
    /// Short iterations that are all done before the first of the loop's own.
    var countBefore: Int { get }
    func runBefore(_ indices: Range<Int>, worker: Int)
    /// Short iterations that begin when all of the loop's own are done.
    var countAfter: Int { get }
    func runAfter(_ indices: Range<Int>, worker: Int)
}

/// Stages whose iterations are shared out.
enum LoopStage {
    case before, own, after
}

extension ParallelLoop {
    func prepare(worker: Int) {}
    var countBefore: Int { 0 }
    func runBefore(_ indices: Range<Int>, worker: Int) {}
    var countAfter: Int { 0 }
    func runAfter(_ indices: Range<Int>, worker: Int) {}

    /// A stage of the loop that `loop` points to: the way in for a thread that knows the type at run time
    /// only.
    static func run(at loop: UnsafeRawPointer, _ stage: LoopStage, _ indices: Range<Int>, worker: Int) {
        let loop = unsafe loop.assumingMemoryBound(to: Self.self)
        switch stage {
        case .before: unsafe loop.pointee.runBefore(indices, worker: worker)
        case .own: unsafe loop.pointee.run(indices, worker: worker)
        case .after: unsafe loop.pointee.runAfter(indices, worker: worker)
        }
    }

    /// Likewise, what a worker does first.
    static func prepare(at loop: UnsafeRawPointer, worker: Int) {
        unsafe loop.assumingMemoryBound(to: Self.self).pointee.prepare(worker: worker)
    }
}

extension ThreadPool {
    /// Calls `body(index, worker)` once for each index below `count`. For loops of which nothing is known and
    /// that are rare, as this allocates.
    func run(_ count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
        withoutActuallyEscaping(body) {
            run(ClosureLoop(body: $0), count: count, cost: LoopCost(.unknown, units: 1))
        }
    }
}

private struct ClosureLoop: ParallelLoop {
    let body: (_ index: Int, _ worker: Int) -> Void

    func run(_ indices: Range<Int>, worker: Int) {
        for index in indices { body(index, worker) }
    }
}

/// What one iteration of a loop costs: units of work of one kind, whose price the pool measures as it goes.
struct LoopCost {
    /// Loops whose units cost about the same.
    enum Kind: Int, CaseIterable {
        /// A product with few tokens, bound by memory; a unit is a byte of weights.
        case fewTokensF32, fewTokensF16, fewTokensQ8, fewTokensQ4
        /// A product with many tokens, bound by arithmetic; a unit is a multiplication.
        case manyTokensF32, manyTokensF16, manyTokensQ8, manyTokensQ4
        /// Rows taken through elementwise kernels and norms; a unit is an element.
        case rows
        /// Rows for the pages and their queries; a unit is an element.
        case attentionInputs
        /// Attention; a unit is one product of a query's and a key's elements.
        case attention
        /// Attention of few queries, bound by memory.
        case attentionOfFewTokens
        /// Rows of a table of weights, dequantised; a unit is an element.
        case embedding
        /// Rows gathered by weight; a unit is an element of a tap.
        case gather
        /// Rows of an image into patches; a unit is a pixel.
        case patches
        /// Bytes from memory to memory; a unit is a byte.
        case copying
        /// Of unknown cost: every iteration is worth a claim of its own.
        case unknown

        /// Whether an even share of the iterations is one of the time: then each thread has its own.
        var iterationsAreAlike: Bool { self != .attention && self != .unknown }
    }

    let kind: Kind
    let units: Int

    /// Precondition: `units` is positive.
    init(_ kind: Kind, units: Int) {
        precondition(units > 0)
        self.kind = kind
        self.units = units
    }
}

/// How many iterations of a loop a thread takes together.
struct LoopGrain: Equatable {
    /// What claims are multiples of.
    let size: Int
    /// The same of the last claims of a share, so that no thread waits long for another's: `size`, or a part
    /// of it where a smaller claim costs no more an iteration.
    let tail: Int

    /// Precondition: both are positive, and the first is a multiple of the second.
    init(size: Int, tail: Int) {
        precondition(tail > 0 && size > 0 && size % tail == 0)
        self.size = size
        self.tail = tail
    }
}

/// How a loop is cut into shares of threads, and these into claims: runs of iterations that a thread takes at
/// a time.
struct LoopPlan: Equatable {
    /// Threads that the loop can keep busy, the caller included.
    let workers: Int
    let count: Int
    let grain: LoopGrain
    /// The fewest iterations of a claim, but for a share's last ones.
    let smallestClaim: Int
    /// What the loop costs one thread.
    let nanoseconds: Float

    /// A claim shorter than this would cost as much to take as to run.
    static let claimNanoseconds: Float = 4_000
    /// A thread that spins joins within a microsecond or two; for less work than this it need not.
    static let joinNanoseconds: Float = 4_000
    /// Waking a thread costs the waker some microseconds, and the thread comes some tens later.
    static let wakeNanoseconds: Float = 40_000

    /// Plans `count` iterations of `nanoseconds` each for at most `threadCount` threads.
    ///
    /// Precondition: all counts are positive.
    init(count: Int, nanoseconds: Float, grain: LoopGrain, threadCount: Int) {
        precondition(count > 0 && threadCount > 0)
        let total = nanoseconds * Float(count)
        let shares = total / Self.joinNanoseconds
        let grains = (count + grain.size - 1) / grain.size
        workers = min(threadCount, grains, shares < Float(threadCount) ? max(Int(shares), 1) : threadCount)
        let least = Self.claimNanoseconds / max(nanoseconds, Self.claimNanoseconds / Float(1 << 20))
        smallestClaim = (Int(least.rounded(.up)) + grain.size - 1) / grain.size * grain.size
        self.count = count
        self.grain = grain
        self.nanoseconds = total
    }

    /// What worker `worker` begins with: as many iterations in a row as every other one has, in multiples of
    /// the grain's tail.
    func share(of worker: Int) -> Range<Int> {
        Self.share(of: worker, workers: workers, count: count, unit: grain.tail)
    }

    /// The share of one of `workers` of `count` iterations, in multiples of `unit`.
    static func share(of worker: Int, workers: Int, count: Int, unit: Int) -> Range<Int> {
        let units = (count + unit - 1) / unit
        return min(units * worker / workers * unit, count)..<min(units * (worker + 1) / workers * unit, count)
    }

    /// How many iterations a worker takes next of its own share, of which `left` are left: a quarter, so that
    /// it leaves others something to take from it should it be slow.
    func claim(of left: Int) -> Int { claim(left / 4, of: left) }

    /// How many are taken next of what belongs to all workers, or of another's share: a quarter of an even
    /// share, so that claims shrink toward the end and no thread is left waiting for another's long one.
    func sharedClaim(of left: Int) -> Int { claim(left / (4 * workers), of: left) }

    private func claim(_ wanted: Int, of left: Int) -> Int {
        // Where a grain by itself is long, the last ones are taken apart.
        if smallestClaim == grain.size, left <= 2 * grain.size { return min(left, grain.tail) }
        return min(left, max(wanted / grain.size * grain.size, smallestClaim))
    }
}
