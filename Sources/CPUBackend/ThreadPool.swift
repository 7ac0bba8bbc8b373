//! Threads that share out the iterations of a loop.

internal import CKernels
internal import Glibc
internal import Synchronization

/// A fixed set of threads. `run` splits a loop over them and the caller; between loops they spin briefly, for
/// the next loop of a forward pass comes within microseconds, and then sleep.
@safe final class ThreadPool: @unchecked Sendable {
    /// Threads that work on a loop, the caller included: as many as asked for, or as the system allows.
    private(set) var threadCount = 1

    /// How often a thread looks before it sleeps or lets others run: some tens of microseconds.
    private static let spinCount = 4000

    private typealias Body = (_ index: Int, _ worker: Int) -> Void

    private let generation = Atomic<Int>(0)
    private let next = Atomic<Int>(0)
    /// Whether a loop may be joined.
    private let isOpen = Atomic<Bool>(false)
    /// Helpers that have joined the loop, or are looking whether they may.
    private let joined = Atomic<Int>(0)
    private let stops = Atomic<Bool>(false)
    private let sleepers = Atomic<Int>(0)
    /// The loop of this generation. Written while the loop is closed and nobody has joined, read by those who
    /// have joined and then found it open, so no thread sees half of it.
    private var iterationCount = 0
    private var body: Body?
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let wake: UnsafeMutablePointer<pthread_cond_t>
    private var threads: [pthread_t] = []

    /// Precondition: at least one thread.
    init(threadCount: Int) {
        precondition(threadCount >= 1)
        unsafe mutex = .allocate(capacity: 1)
        unsafe wake = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(wake, nil)
        while self.threadCount < threadCount, start(self.threadCount) { self.threadCount += 1 }
    }

    deinit {
        stops.store(true, ordering: .releasing)
        raiseGeneration()
        for thread in threads { pthread_join(thread, nil) }
        unsafe pthread_cond_destroy(wake)
        unsafe pthread_mutex_destroy(mutex)
        unsafe wake.deallocate()
        unsafe mutex.deallocate()
    }

    /// Calls `body(index, worker)` once for each index below `count`, on several threads at once, and returns
    /// when all have returned. `worker` is below `threadCount` and tells the threads apart. Not reentrant.
    func run(_ count: Int, _ body: (_ index: Int, _ worker: Int) -> Void) {
        if count <= 0 { return }
        if threadCount == 1 || count == 1 {
            for index in 0..<count { body(index, 0) }
            return
        }
        withoutActuallyEscaping(body) { escaping in
            self.body = escaping
            iterationCount = count
            next.store(0, ordering: .relaxed)
            isOpen.store(true, ordering: .sequentiallyConsistent)
            raiseGeneration()
            work(escaping, worker: 0)
            isOpen.store(false, ordering: .sequentiallyConsistent)
            waitForHelpers()
            self.body = nil
        }
    }

    /// Waits for the helpers that have joined; one that the system has not run yet is not waited for, so a
    /// busy machine costs this loop a helper and not a time slice. Spins, for they are about to end; where
    /// the machine has fewer free cores than threads, one of them may need this thread's core to get there.
    private func waitForHelpers() {
        var looks = 0
        while joined.load(ordering: .sequentiallyConsistent) > 0 {
            looks += 1
            if looks % Self.spinCount == 0 { sched_yield() } else { relax() }
        }
    }

    private func work(_ body: Body, worker: Int) {
        while true {
            let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
            if index >= iterationCount { return }
            body(index, worker)
        }
    }

    private func raiseGeneration() {
        generation.wrappingAdd(1, ordering: .sequentiallyConsistent)
        if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
            unsafe pthread_mutex_lock(mutex)
            unsafe pthread_cond_broadcast(wake)
            unsafe pthread_mutex_unlock(mutex)
        }
    }

    /// Starts one helper; returns whether the system allowed it.
    private func start(_ worker: Int) -> Bool {
        let context = unsafe Unmanaged.passRetained(Start(pool: self, worker: worker))
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                let (pool, worker) = (unsafe start.pool, start.worker)
                pool.loop(worker)
                return nil
            }, context.toOpaque())
        guard status == 0 else {
            unsafe context.release()
            return false
        }
        threads.append(thread)
        return true
    }

    /// What a new thread is told. The pool joins its threads before it goes, so they need not keep it alive.
    private final class Start {
        unowned(unsafe) let pool: ThreadPool
        let worker: Int
        init(pool: ThreadPool, worker: Int) {
            unsafe self.pool = pool
            self.worker = worker
        }
    }

    private func loop(_ worker: Int) {
        var seen = 0
        while true {
            seen = waitForGeneration(after: seen)
            if stops.load(ordering: .acquiring) { return }
            joined.wrappingAdd(1, ordering: .sequentiallyConsistent)
            if isOpen.load(ordering: .sequentiallyConsistent), let body { work(body, worker: worker) }
            joined.wrappingSubtract(1, ordering: .sequentiallyConsistent)
        }
    }

    private func waitForGeneration(after seen: Int) -> Int {
        for _ in 0..<Self.spinCount {
            let current = generation.load(ordering: .acquiring)
            if current != seen { return current }
            relax()
        }
        unsafe pthread_mutex_lock(mutex)
        sleepers.wrappingAdd(1, ordering: .sequentiallyConsistent)
        while generation.load(ordering: .sequentiallyConsistent) == seen {
            unsafe pthread_cond_wait(wake, mutex)
        }
        sleepers.wrappingSubtract(1, ordering: .relaxed)
        unsafe pthread_mutex_unlock(mutex)
        return generation.load(ordering: .acquiring)
    }
}

/// Tells the processor that this is a spin loop.
@inline(__always)
private func relax() { thimble_pause() }
