//! Threads that share out the iterations of a loop.

internal import CKernels
internal import Glibc
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
        let board = LoopBoard(seatCount: threadCount)
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
    /// returned. An iteration costs `cost`; a thread takes them in multiples of `grain`, the last ones of a
    /// share in those of `tail`. `worker` is below `threadCount`. Threads that are left without any begin to
    /// read `next`. Not reentrant.
    ///
    /// Precondition: `count` is below 2^31, `grain` a multiple of `tail`.
    func run<Loop: ParallelLoop>(
        _ loop: Loop, count: Int, cost: LoopCost, grain: Int = 1, tail: Int? = nil, next: NextWeights? = nil
    ) {
        board.run(
            loop, count: count, cost: cost, LoopGrain(size: grain, tail: tail ?? grain), next: next)
    }
}

/// Looks again and again, dearer each time: first pausing the processor, then letting other threads have it,
/// for where threads are more than free cores the one waited for may need this one's.
struct SpinWait {
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
func nanosecondsNow() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
