//! Threads that do tasks while the thread that gave them goes on.

import Dispatch
import Glibc
import Synchronization

/// A fixed set of threads that take tasks in the order in which they were given, urgent ones first. Whoever
/// gives a task says in the task itself how its end is told.
@safe package final class WorkerPool: Sendable {
    /// What a thread does; `worker` is below `threadCount` and tells the threads apart.
    package typealias Task = @Sendable (_ worker: Int) -> Void

    /// More threads than these only wait: one thread copies and writes what they make, at some gigabytes a
    /// second. So the memory that threads hold has a bound.
    package static let maximumThreadCount = 32

    /// Threads that do tasks: as many as asked for, or as the system allows.
    package let threadCount: Int
    private let threads: [pthread_t]
    private let state: State

    /// What the threads share. They hold it, and not the pool, which ends them when it goes.
    private final class State: Sendable {
        struct Queue {
            var urgent: [Task] = []
            var ordinary: [Task] = []
        }

        let queue = Mutex(Queue())
        /// Counts the tasks that wait. A thread that finds none is told to end.
        let waiting = DispatchSemaphore(value: 0)

        func work(_ worker: Int) {
            while true {
                waiting.wait()
                // The queues are as short as the windows of those who fill them, so taking from the front is
                // cheap.
                let task = queue.withLock { queue -> Task? in
                    if !queue.urgent.isEmpty { return queue.urgent.removeFirst() }
                    return queue.ordinary.isEmpty ? nil : queue.ordinary.removeFirst()
                }
                guard let task else { return }
                task(worker)
            }
        }
    }

    /// Starts the threads. Throws `outOfMemory`, which names `file`, where the system allows none.
    /// Precondition: at least one is asked for.
    package init(threadCount: Int, for file: String) throws(ModelFileError) {
        precondition(threadCount >= 1)
        let state = State()
        var threads: [pthread_t] = []
        while threads.count < min(threadCount, Self.maximumThreadCount),
            let thread = Self.start(state, worker: threads.count)
        {
            threads.append(thread)
        }
        guard !threads.isEmpty else {
            throw ModelFileError(.outOfMemory, file: file, "the system allows no thread")
        }
        self.state = state
        self.threads = threads
        self.threadCount = threads.count
    }

    /// Waits until the tasks that were given are done.
    deinit {
        for _ in threads { state.waiting.signal() }
        for thread in threads { pthread_join(thread, nil) }
    }

    /// Has a thread do `task`; an urgent one before all that are not.
    package func submit(urgently isUrgent: Bool = false, _ task: @escaping Task) {
        state.queue.withLock { queue in
            if isUrgent { queue.urgent.append(task) } else { queue.ordinary.append(task) }
        }
        state.waiting.signal()
    }

    /// Starts one thread; nil where the system does not allow it.
    private static func start(_ state: State, worker: Int) -> pthread_t? {
        let context = unsafe Unmanaged.passRetained(Start(state: state, worker: worker))
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                let start = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                start.state.work(start.worker)
                return nil
            }, context.toOpaque())
        guard status == 0 else {
            unsafe context.release()
            return nil
        }
        return thread
    }

    /// What a new thread is told.
    private final class Start {
        let state: State
        let worker: Int
        init(state: State, worker: Int) {
            self.state = state
            self.worker = worker
        }
    }
}
