//! Where a GPU's time goes, as `bench --profile` prints it.

import Thimble

/// Dispatches of one name in a profile.
struct ProfileRow: Encodable {
    var name: String
    var count: Int
    /// Of all of them.
    var microseconds: Double
    var medianMicroseconds: Double

    /// One row a name, the costliest first; nil for no dispatches.
    static func rows(_ times: [DispatchTime]) -> [ProfileRow]? {
        if times.isEmpty { return nil }
        return Dictionary(grouping: times, by: \.name).map { name, times in
            let sorted = times.map { $0.seconds * 1e6 }.sorted()
            return ProfileRow(
                name: name, count: sorted.count, microseconds: sorted.reduce(0, +),
                medianMicroseconds: sorted[sorted.count / 2])
        }.sorted { ($0.microseconds, $0.name) > ($1.microseconds, $1.name) }
    }

    /// Lines for a person; none for no rows.
    static func table(_ rows: [ProfileRow], of what: String) -> [String] {
        if rows.isEmpty { return [] }
        let sum = rows.reduce(0) { $0 + $1.microseconds }
        let lines = rows.map { row in
            let share = (row.microseconds / sum * 100).fixed(1)
            return "\(row.microseconds.fixed(1)) us, \(share) %: \(row.name), \(row.count) x "
                + "\(row.medianMicroseconds.fixed(2)) us"
        }
        return ["\(what) by dispatch, \(sum.fixed(1)) us in all"] + lines.map { "  " + $0 }
    }
}
