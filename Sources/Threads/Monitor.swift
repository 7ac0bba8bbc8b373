//! State that threads share: one has it at a time, and others wait for what it becomes.

internal import Glibc

/// A value behind a lock, and a queue of those who wait for it to change.
///
/// A mutex and a condition of POSIX, because a thread sanitizer sees them: the order that the standard
/// library's `Mutex` and Dispatch's semaphores make is hidden from it, and it would take what they order for
/// races.
///
/// Not reentrant: a closure that is lent the state must not use the same monitor.
@safe package struct Monitor<State>: ~Copyable, @unchecked Sendable {
    // Each by itself on the heap, where it stays: their addresses are what threads know them by.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private let state: UnsafeMutablePointer<State>

    /// Whom a change may let go on.
    package enum Waiters: Sendable { case none, one, all }

    package init(_ state: sending State) {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe self.state = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(condition, nil)
        unsafe self.state.initialize(to: state)
    }

    deinit {
        unsafe state.deinitialize(count: 1)
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe state.deallocate()
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Lends the state to `body` while nobody else has it, and then lets `waiters` look at it again.
    package func withLock<Result>(
        waking waiters: Waiters = .none, _ body: (inout sending State) -> sending Result
    ) -> sending Result {
        unsafe pthread_mutex_lock(mutex)
        let result = unsafe body(&state.pointee)
        switch waiters {
        case .none: break
        case .one: unsafe pthread_cond_signal(condition)
        case .all: unsafe pthread_cond_broadcast(condition)
        }
        unsafe pthread_mutex_unlock(mutex)
        return result
    }

    /// Lends the state to `body` again and again, once now and once after each change that wakes this thread,
    /// until it returns something.
    package func wait<Result>(
        for body: (inout sending State) -> sending Result?
    ) -> sending Result {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        while true {
            if let result = unsafe body(&state.pointee) { return result }
            unsafe pthread_cond_wait(condition, mutex)
        }
    }
}
