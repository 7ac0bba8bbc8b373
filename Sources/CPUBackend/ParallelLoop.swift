//! A loop that a thread pool can share out, and what is known of its cost.

/// The body of a loop whose iterations are independent.
///
/// A value rather than a closure: the pool hands its threads a pointer to it, where a closure that other
/// threads see would take a heap allocation for each loop.
protocol ParallelLoop {
    /// Runs the iterations of `indices`. `worker` tells the threads of one loop apart.
    func run(_ indices: Range<Int>, worker: Int)
}

extension ParallelLoop {
    /// `run` of the loop that `loop` points to: the way in for a thread that knows the type at run time only.
    static func run(at loop: UnsafeRawPointer, _ indices: Range<Int>, worker: Int) {
        unsafe loop.assumingMemoryBound(to: Self.self).pointee.run(indices, worker: worker)
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
        /// Rows gathered by weight; a unit is an element of a tap.
        case gather
        /// Rows of an image into patches; a unit is a pixel.
        case patches
        /// Bytes from memory to memory; a unit is a byte.
        case copying
        /// Of unknown cost: every iteration is worth a claim of its own.
        case unknown
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

/// How a loop is cut into claims: runs of iterations that a thread takes at a time.
struct LoopPlan: Equatable {
    /// Threads that the loop can keep busy, the caller included.
    let workers: Int
    /// The fewest iterations of a claim.
    let smallestClaim: Int
    /// What the loop costs one thread.
    let nanoseconds: Float

    /// A claim shorter than this would cost as much to take as to run.
    static let claimNanoseconds: Float = 4_000
    /// A thread that spins joins within a microsecond or two; for less work than this it need not.
    static let joinNanoseconds: Float = 4_000
    /// Waking a thread costs the waker some microseconds, and the thread comes some tens later.
    static let wakeNanoseconds: Float = 40_000

    /// Plans `count` iterations of `nanoseconds` each for at most `threadCount` threads; claims are
    /// multiples of `grain`.
    ///
    /// Precondition: all counts are positive.
    init(count: Int, nanoseconds: Float, grain: Int, threadCount: Int) {
        precondition(count > 0 && grain > 0 && threadCount > 0)
        let total = nanoseconds * Float(count)
        let shares = total / Self.joinNanoseconds
        let grains = (count + grain - 1) / grain
        workers = min(threadCount, grains, shares < Float(threadCount) ? max(Int(shares), 1) : threadCount)
        let least = Self.claimNanoseconds / max(nanoseconds, Self.claimNanoseconds / Float(1 << 20))
        smallestClaim = (Int(least.rounded(.up)) + grain - 1) / grain * grain
        self.nanoseconds = total
    }

    /// How many iterations the next claim takes where `remaining` are left: a quarter of an even share, so
    /// that claims shrink toward the end and no thread is left waiting for another's long one.
    func claim(of remaining: Int, grain: Int) -> Int {
        let share = remaining / (4 * workers) / grain * grain
        return min(remaining, max(share, smallestClaim))
    }
}
