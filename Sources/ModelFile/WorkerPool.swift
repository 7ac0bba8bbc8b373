//! Threads that do tasks while the thread that gave them goes on.

import Threads

/// A fixed set of threads that take tasks in the order in which they were given, urgent ones first. Whoever
/// gives a task says in the task itself how its end is told.
package final class WorkerPool: Sendable {
    /// What a thread does; `worker` is below `threadCount` and tells the threads apart.
    package typealias Task = @Sendable (_ worker: Int) -> Void

    /// More threads than these only wait: for the one that writes what they make, at some gigabytes a second,
    /// or for the disk. So the memory that threads hold has a bound.
    package static let maximumThreadCount = 32

    /// Threads that do tasks: as many as asked for, or as the system allows.
    package let threadCount: Int
    private let queue: Queue
    private let threads: JoinedThreads

    /// What the threads share. They hold it, and not the pool, which ends them when it goes.
    private final class Queue: Sendable {
        struct Tasks {
            var urgent: [Task] = []
            var ordinary: [Task] = []
            /// Whether a thread that finds no task is to end.
            var isClosed = false

            /// Takes the next task. The queues are as short as the windows of those who fill them, so taking
            /// from the front is cheap.
            mutating func next() -> Task? {
                if !urgent.isEmpty { return urgent.removeFirst() }
                return ordinary.isEmpty ? nil : ordinary.removeFirst()
            }
        }

        let tasks = Monitor(Tasks())

        func work(_ worker: Int) {
            enum Step { case work(Task), end }
            while true {
                let step = tasks.wait { tasks -> Step? in
                    if let task = tasks.next() { return .work(task) }
                    return tasks.isClosed ? .end : nil
                }
                guard case .work(let task) = step else { return }
                task(worker)
            }
        }
    }

    /// Starts the threads. Throws `outOfMemory`, which names `file`, where the system allows none.
    /// Precondition: at least one is asked for.
    package init(threadCount: Int, for file: String) throws(ModelFileError) {
        precondition(threadCount >= 1)
        let queue = Queue()
        var threads = JoinedThreads()
        for worker in 0..<min(threadCount, Self.maximumThreadCount) {
            guard threads.start({ queue.work(worker) }) else { break }
        }
        guard threads.count > 0 else {
            throw ModelFileError(.outOfMemory, file: file, "the system allows no thread")
        }
        self.queue = queue
        self.threadCount = threads.count
        self.threads = threads
    }

    /// The threads end once the tasks that were given are done; they are joined as the last property goes.
    deinit { queue.tasks.withLock(waking: .all) { $0.isClosed = true } }

    /// Has a thread do `task`; an urgent one before all that are not.
    package func submit(urgently isUrgent: Bool = false, _ task: @escaping Task) {
        queue.tasks.withLock(waking: .one) { tasks in
            if isUrgent { tasks.urgent.append(task) } else { tasks.ordinary.append(task) }
        }
    }
}
