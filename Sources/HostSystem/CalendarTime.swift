//! The time of day.

import Glibc

/// Moments as people and other programs write them.
package enum CalendarTime {
    /// Seconds since 1970.
    package static var now: Int { time(nil) }

    /// A moment in UTC as ISO 8601 has it: `2026-01-31T23:59:00Z`.
    package static func iso8601(_ seconds: Int) -> String {
        var seconds: time_t = seconds
        var parts = unsafe tm()
        unsafe gmtime_r(&seconds, &parts)
        func digits(_ number: Int32, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        let date = unsafe [
            digits(parts.tm_year + 1900, 4), digits(parts.tm_mon + 1, 2), digits(parts.tm_mday, 2),
        ]
        let time = unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec].map { digits($0, 2) }
        return "\(date.joined(separator: "-"))T\(time.joined(separator: ":"))Z"
    }
}
