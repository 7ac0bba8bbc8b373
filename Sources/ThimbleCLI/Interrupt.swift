//! SIGINT and SIGTERM: seen by the work at hand where it can stop cleanly, the end of the program elsewhere.

import Glibc
import Synchronization
import Thimble

/// The signals that ask the program to stop.
enum Interrupt {
    /// The signal that came while it was awaited; 0 for none.
    private static let pending = Atomic<Int32>(0)
    /// Whether somebody asks for `isPending`.
    private static let isAwaited = Atomic<Bool>(false)

    static var isPending: Bool { pending.load(ordering: .relaxed) != 0 }

    /// Takes over SIGINT and SIGTERM, and leaves SIGPIPE and SIGXFSZ to whoever writes.
    static func install() {
        // Swift initializes statics on first use, which a signal handler must not be.
        pending.store(0, ordering: .relaxed)
        isAwaited.store(false, ordering: .relaxed)
        for number in [SIGPIPE, SIGXFSZ] { signal(number, SIG_IGN) }
        var action = sigaction()
        unsafe action.__sigaction_handler.sa_handler = { number in Interrupt.arrive(number) }
        // Without SA_RESTART, a read from the terminal returns.
        // A parent may have started the program with its signals blocked.
        var signals = sigset_t()
        unsafe sigemptyset(&signals)
        for number in [SIGINT, SIGTERM] {
            unsafe sigaction(number, &action, nil)
            unsafe sigaddset(&signals, number)
        }
        unsafe sigprocmask(SIG_UNBLOCK, &signals, nil)
    }

    /// Runs `body`, which asks `isPending` and stops; a second signal ends the program at once.
    static func awaited<Result, Fault: Error>(_ body: () throws(Fault) -> Result) throws(Fault) -> Result {
        isAwaited.store(true, ordering: .relaxed)
        defer { isAwaited.store(false, ordering: .relaxed) }
        return try body()
    }

    /// The signal that came, which is then forgotten.
    static func take() -> Failure? {
        switch pending.exchange(0, ordering: .relaxed) {
        case 0: nil
        case SIGTERM: Failure(.terminated)
        default: Failure(.interrupted)
        }
    }

    /// Throws if a signal came.
    static func check() throws(Failure) {
        if let failure = take() { throw failure }
    }

    /// The handler: async-signal-safe calls only.
    private static func arrive(_ number: Int32) {
        guard isAwaited.load(ordering: .relaxed), pending.load(ordering: .relaxed) == 0 else {
            _exit(128 + number)
        }
        pending.store(number, ordering: .relaxed)
    }
}
