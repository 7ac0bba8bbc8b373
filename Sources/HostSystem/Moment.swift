//! Moments that only go forward.

import Glibc

/// A moment since the machine was started, by a clock that nobody sets; the machine's sleep counts.
package struct Moment: Comparable, Sendable {
    /// Since the machine was started.
    private let time: Duration

    package static var now: Moment {
        var now = timespec()
        unsafe clock_gettime(CLOCK_BOOTTIME, &now)
        return Moment(time: .seconds(now.tv_sec) + .nanoseconds(now.tv_nsec))
    }

    package func duration(to later: Moment) -> Duration { later.time - time }

    package static func < (left: Moment, right: Moment) -> Bool { left.time < right.time }
    package static func - (left: Moment, right: Moment) -> Duration { left.time - right.time }
    package static func + (moment: Moment, duration: Duration) -> Moment {
        Moment(time: moment.time + duration)
    }
}

extension Duration {
    /// As a number of seconds.
    package var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
