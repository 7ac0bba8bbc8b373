//! Fixtures of the tokenizer tests, and the generator of random strings that the Python side shares.

import Foundation
import Testing

@testable import Tokenizers

/// Files made by the scripts in Tests/Fixtures/tokenizers.
enum TokenizerFixtures {
    static func bytes(_ name: String) throws -> [UInt8] {
        let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        return Array(try Data(contentsOf: tests.appending(path: "Fixtures/tokenizers/\(name)")))
    }

    /// The tokenizer of a file, with another split pattern or treatment of whole words where said.
    static func tokenizer(
        _ file: String, pattern: SplitPattern? = nil, ignoresMerges: Bool? = nil
    ) throws -> Tokenizer {
        let read = try Tokenizer(json: bytes(file))
        return try Tokenizer(
            TokenizerContent(
                pattern: pattern ?? read.pattern, ignoresMerges: ignoresMerges ?? read.ignoresMerges,
                vocabulary: read.vocabulary, merges: read.merges.merges.map(\.pair),
                addedTokens: read.addedTokens))
    }

    static let encodings: Encodings = {
        // A missing fixture must fail loudly, and there is no test to report it to here.
        try! JSONDecoder().decode(Encodings.self, from: Data(bytes("encodings.json")))
    }()
}

/// encodings.json, as make_encodings.py writes it.
struct Encodings: Decodable {
    var representatives: [UInt32]
    var snippets: [String]
    var examples: [String]
    var variants: [Variant]

    /// What is recorded in runs, each with one hash over its cases.
    enum Subject: String, CaseIterable {
        case pairs, strings, codePoints, decodings
    }

    struct Variant: Decodable, CustomTestStringConvertible {
        var file: String
        var pattern: String
        var ignoreMerges: Bool
        var runs: [String: [String]]
        var examples: [[Int32]]

        var testDescription: String { "\(file) \(pattern)\(ignoreMerges ? " ignoring merges" : "")" }

        func tokenizer() throws -> Tokenizer {
            let pattern = SplitPattern.allCases.first { "\($0)" == self.pattern }
            return try TokenizerFixtures.tokenizer(file, pattern: pattern, ignoresMerges: ignoreMerges)
        }
    }

    /// The cases of a run with their results, both as the numbers that make_encodings.py has for them.
    func forEachCase(
        of subject: Subject, run: Int, _ tokenizer: Tokenizer,
        _ body: (_ case: [Int32], _ result: [Int32]) -> Void
    ) {
        func encode(_ text: [UInt8]) {
            body(
                String(decoding: text, as: UTF8.self).unicodeScalars.map { Int32($0.value) },
                tokenizer.encode(text))
        }
        var generator = StringGenerator(seed: UInt64(run))
        switch subject {
        case .pairs:
            for second in representatives { encode(utf8(representatives[run]) + utf8(second)) }
        case .strings:
            for _ in 0..<500 { encode(generator.string(self)) }
        case .codePoints:
            let first = run * 4_096
            for index in first..<min(first + 4_096, 0x11_0000 - 0x800) {
                encode(utf8(UInt32(index < 0xD800 ? index : index + 0x800)))
            }
        case .decodings:
            for _ in 0..<500 {
                let ids = generator.ids(tokenizer.count)
                body(ids, tokenizer.decode(ids).utf8.map { Int32($0) })
            }
        }
    }
}

/// SplitMix64 (Steele et al., 2014), and the strings that make_encodings.py makes with it.
struct StringGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func string(_ encodings: Encodings) -> [UInt8] {
        var out: [UInt8] = []
        for _ in 0..<1 + below(32) {
            switch below(8) {
            case 0..<3:
                out += encodings.snippets[below(encodings.snippets.count)].utf8
            case 3..<5:
                out += utf8(encodings.representatives[below(encodings.representatives.count)])
            case 5..<7:
                out.append(UInt8(0x20 + below(0x5F)))
            default:
                let c = UInt32(below(0x11_0000 - 0x800))
                out += utf8(c < 0xD800 ? c : c + 0x800)
            }
        }
        return out
    }

    /// A list of ids, a few of them beyond the last.
    mutating func ids(_ count: Int) -> [Int32] {
        (0..<1 + below(24)).map { _ in Int32(below(count + 8)) }
    }
}

/// The UTF-8 form of a code point.
func utf8(_ scalar: UInt32) -> [UInt8] { Array(String(Unicode.Scalar(scalar)!).utf8) }

/// FNV-1a, 64 bits, over ids as four little-endian bytes each.
struct IDHash {
    private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ ids: [Int32]) {
        for id in ids + [-1] {
            for shift in stride(from: 0, to: 32, by: 8) {
                let byte = UInt64(UInt8(truncatingIfNeeded: id >> Int32(shift)))
                value = (value ^ byte) &* 0x100_0000_01B3
            }
        }
    }

    var hexadecimal: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
