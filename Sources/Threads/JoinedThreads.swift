//! Threads of the system's, whose end somebody waits for.

internal import Glibc

/// Threads that have one owner. When the owner lets go of them, it waits until they have returned.
package struct JoinedThreads: ~Copyable, Sendable {
    private var threads: [pthread_t] = []

    /// Threads that were started and not yet joined.
    package var count: Int { threads.count }

    package init() {}

    deinit { for thread in threads { pthread_join(thread, nil) } }

    /// Starts a thread that runs `body`; returns whether the system allowed it.
    package mutating func start(_ body: @escaping @Sendable () -> Void) -> Bool {
        let context = unsafe Unmanaged.passRetained(Start(body))
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                // Taken apart first, so that the thread holds nothing but what `body` does.
                let body = unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body
                body()
                return nil
            }, context.toOpaque())
        guard status == 0 else {
            unsafe context.release()
            return false
        }
        threads.append(thread)
        return true
    }

    /// Waits until all have returned.
    package mutating func join() {
        for thread in threads { pthread_join(thread, nil) }
        threads.removeAll()
    }

    /// What a new thread is told.
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
}
