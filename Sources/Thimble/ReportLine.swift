//! Results as JSON: one object on one line.

internal import JSON

/// Writes results for programs to read.
package enum ReportLine {
    /// `value` with a line end: keys in snake_case, sorted.
    package static func json(_ value: some Encodable) throws(ThimbleError) -> String {
        do { return try JSONText(keys: .snakeCase).text(of: value) + "\n" } catch {
            throw ThimbleError(.internal, "a report is no JSON: \(error)")
        }
    }
}
