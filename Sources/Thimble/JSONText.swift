//! Results as JSON: one object on one line.

internal import FoundationEssentials

/// Writes results for programs to read.
package enum JSONText {
    /// `value` with a line end: keys in snake_case, sorted.
    package static func line(_ value: some Encodable) throws(ThimbleError) -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do { return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n" } catch {
            throw ThimbleError(.internal, "a report is no JSON: \(error)")
        }
    }
}
