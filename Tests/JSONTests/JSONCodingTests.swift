//! Types to JSON and back: held against Foundation's, byte for byte.

import Foundation
import Testing

@testable import JSON

/// A bit of everything that a type may hold.
private struct Sample: Codable, Equatable {
    enum Kind: String, Codable { case first, second }

    struct Inner: Codable, Equatable {
        var isGPU = true
        var aB: Int8 = -3
    }

    class Parent: Codable {
        var p = 7
    }

    var text = "x\u{0}\u{1}\u{7F}\u{2028}\"\\/\u{8}\u{C}\n\r\t\u{1F}é😀"
    var numbers = [1.0, 0.1, 1e16, 1e-5, 1e300, 9_007_199_254_740_992, -0.0, 1.5e-7, 0.5]
    var floats: [Float] = [1e-5, 16_777_216, 1e8, 3.4e38, 1.5625e-7, 500_000, 0.48145466]
    var whole = [Int.max, Int.min, 0]
    var unsigned = UInt64(Int.max)
    var kind = Kind.second
    var none: Int?
    var some: Int? = 5
    var holes: [Int?] = [1, nil]
    var inner = Inner()
    var list = [Inner(), Inner(isGPU: false, aB: 1)]
    var nested = [[[Int]]()]
    var empty: [String] = []
    var words = ["z": 1, "a10": 2, "a2": 3, "A": 4, "é": 5]
    var hasQKVBias = false
    var attention64 = 1
    var fourBitProducts = 1.0
}

@Suite struct JSONCodingTests {
    private func expected(
        _ value: some Encodable, _ formatting: JSONEncoder.OutputFormatting = [], snake: Bool = false
    ) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = formatting.union(.sortedKeys)
        if snake { encoder.keyEncodingStrategy = .convertToSnakeCase }
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    @Test func whatIsWrittenIsFoundationsByteForByte() throws {
        let sample = Sample()
        #expect(try JSONText(escapesSlashes: true).text(of: sample) == expected(sample))
        #expect(try JSONText().text(of: sample) == expected(sample, .withoutEscapingSlashes))
        #expect(
            try JSONText(isIndented: true).text(of: sample)
                == expected(sample, [.withoutEscapingSlashes, .prettyPrinted]))
        var plain = sample
        // Foundation leaves the keys of dictionaries as they are.
        plain.words = [:]
        #expect(
            try JSONText(keys: .snakeCase).text(of: plain)
                == expected(plain, .withoutEscapingSlashes, snake: true))
        #expect(try JSONText().text(of: 5) == "5")
        #expect(try JSONText().text(of: [Sample.Inner]()) == "[]")
    }

    @Test func everyFloatSurvives() throws {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let float = Float(bitPattern: .random(in: 0 ... .max, using: &generator))
            guard float.isFinite else { continue }
            let text = try JSONText().text(of: float)
            #expect(try text == expected(float))
            let read: Float = try JSONValue(parsing: Array(text.utf8)).decoded()
            #expect(read == float)
        }
    }

    @Test func whatIsNoNumberIsRefused() {
        for number in [Double.nan, .infinity, -.infinity] {
            #expect(throws: EncodingError.self) { try JSONText().text(of: [number]) }
            #expect(throws: EncodingError.self) { try JSONText().text(of: Float(number)) }
        }
    }

    @Test func whatIsWrittenIsReadBack() throws {
        for keys in [JSONKeys.unchanged, .snakeCase] {
            var sample = Sample()
            if case .snakeCase = keys { sample.words = ["a": 1] }
            let text = try JSONText(keys: keys, isIndented: true).text(of: sample)
            #expect(try JSONValue(parsing: Array(text.utf8)).decoded(keys: keys) == sample)
        }
    }

    /// A value in the place of each member of a sample: both refuse it, or both read the same.
    @Test func foundationReadsAndRefusesTheSame() throws {
        let text = try JSONText().text(of: Sample())
        let whole = try JSONValue(parsing: Array(text.utf8))
        guard case .object(let members) = whole else { fatalError("a sample is an object") }
        let others = [
            "null", "true", "0", "-1", "300", "5.0", "1e2", "0.5", "-0", "1e40", "\"first\"", "\"x\"", "[]",
            "[1]", "[null]", "[[]]", "[[[1]]]", "{}", #"{"a":1}"#, #"{"isGPU":false,"aB":-128}"#,
            #"{"isGPU":1,"aB":1}"#, #"[{"isGPU":false,"aB":200}]"#,
        ]
        var acceptedCount = 0
        for key in members.keys {
            for other in others + [nil] {
                var parts = members.filter { $0.key != key }.map { name, value in
                    "\"\(name)\":" + Self.text(of: value)
                }
                if let other { parts.append("\"\(key)\":\(other)") }
                let json = "{\(parts.joined(separator: ","))}"
                let theirs = try? JSONDecoder().decode(Sample.self, from: Data(json.utf8))
                let ours = try? JSONValue(parsing: Array(json.utf8)).decoded(as: Sample.self)
                #expect(ours == theirs, "\(key): \(other ?? "nothing")")
                if ours != nil { acceptedCount += 1 }
            }
        }
        #expect(acceptedCount > 30)
    }

    private static func text(of value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): (try? JSONText().text(of: value)) ?? ""
        case .array(let values): "[" + values.map(text).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { "\"\($0.key)\":" + text(of: $0.value) }.joined(separator: ",") + "}"
        }
    }

    @Test func aFaultNamesTheKeyAndTheTypes() throws {
        func fault(_ json: String) throws -> DecodingError? {
            let value = try JSONValue(parsing: Array(json.utf8))
            return #expect(throws: DecodingError.self) { try value.decoded(as: [String: [Int]].self) }
        }
        guard case .typeMismatch(let type, let context) = try fault(#"{"a":[1,"x"]}"#) else {
            Issue.record("another fault")
            return
        }
        #expect("\(type)" == "Int")
        #expect(context.codingPath.map(\.stringValue) == ["a", "Index 1"])
        #expect(context.debugDescription == "expected Int, found \"x\"")
        guard case .valueNotFound = try fault(#"{"a":null}"#) else {
            Issue.record("another fault")
            return
        }
    }
}
