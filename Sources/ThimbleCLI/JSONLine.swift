//! JSON on standard output: one object on one line.

import Thimble

/// Results for programs to read.
enum JSONLine {
    /// Writes `value`: keys in snake_case, sorted.
    static func write(_ value: some Encodable) throws {
        try StandardStream.output.write(ReportLine.json(value))
    }
}
