//! JSON on standard output: one object on one line.

import FoundationEssentials
import Thimble

/// Results for programs to read.
enum JSONLine {
    /// Writes `value`: keys in snake_case, sorted.
    static func write(_ value: some Encodable) throws {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let data = try encoder.encode(value)
        try StandardStream.output.write(String(decoding: data, as: UTF8.self) + "\n")
    }
}
