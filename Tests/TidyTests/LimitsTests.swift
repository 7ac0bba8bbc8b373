//! Holds the table of limits in docs/security.md against the constants in the sources.

import Foundation
import Testing

private let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// One row of the document's tables.
private struct StatedLimit: CustomStringConvertible {
    let number: Int
    /// Under Sources.
    let file: String
    let constant: String

    var description: String { "\(file): \(constant)" }
}

private func statedLimits() throws -> [StatedLimit] {
    let text = try String(contentsOf: root.appending(path: "docs/security.md"), encoding: .utf8)
    return text.matches(of: /\| ([0-9,]+) \| `([\w\/+.]+): (\w+)` \|/).compactMap { match in
        Int(match.1.replacing(",", with: "")).map {
            StatedLimit(number: $0, file: String(match.2), constant: String(match.3))
        }
    }
}

/// The value, or the upper end of the range, that `source` gives to `constant`: a number, or two with `<<` or
/// `*` between them.
private func value(of constant: String, in source: String) throws -> Int? {
    let number = "[0-9][0-9_]*"
    let declaration = "\\b\(constant)\\b(?:\\s*:\\s*\\w+)?\\s*=\\s*(?:\(number)\\.\\.\\.)?"
    let pattern = try Regex(
        declaration + "(\(number))(?:\\s*(<<|\\*)\\s*(\(number)))?",
        as: (Substring, Substring, Substring?, Substring?).self)
    guard let match = source.firstMatch(of: pattern) else { return nil }
    func integer(_ digits: Substring) -> Int? { Int(digits.replacing("_", with: "")) }
    guard let first = integer(match.output.1) else { return nil }
    guard let sign = match.output.2, let second = match.output.3.flatMap(integer) else { return first }
    return sign == "<<" ? first << second : first * second
}

@Test func everyStatedLimitIsTheOneInTheSources() throws {
    let limits = try statedLimits()
    #expect(limits.count > 30)
    for limit in limits {
        let source = try String(contentsOf: root.appending(path: "Sources/\(limit.file)"), encoding: .utf8)
        #expect(try value(of: limit.constant, in: source) == limit.number, "\(limit)")
    }
}

@Test func everyWholeNumberInAFileOfLimitsIsStated() throws {
    let stated = Set(try statedLimits().map(\.description))
    let sources = root.appending(path: "Sources")
    let files = (FileManager.default.enumerator(atPath: sources.path)?.compactMap { $0 as? String } ?? [])
        .filter { $0.hasSuffix("Limits.swift") }
    #expect(files.count >= 2)
    for file in files {
        let source = try String(contentsOf: sources.appending(path: file), encoding: .utf8)
        for name in source.matches(of: /static let (\w+) = [0-9]/).map({ String($0.1) }) {
            #expect(stated.contains("\(file): \(name)"), "\(file): \(name) is missing in docs/security.md")
        }
    }
}

@Test func numbersOfEverySpellingAreRead() throws {
    #expect(try value(of: "a", in: "static let a = 1_024") == 1024)
    #expect(try value(of: "a", in: "static let ab = 3\nlet a: Int = 4 << 20,") == 4 << 20)
    #expect(try value(of: "a", in: "static let a = 1...65_536") == 65_536)
    #expect(try value(of: "a", in: "enum { a = 8 * 2, b }") == 16)
    #expect(try value(of: "a", in: "static let b = 1") == nil)
}
