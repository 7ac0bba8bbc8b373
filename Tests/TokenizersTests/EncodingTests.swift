//! Encoding and decoding against the `tokenizers` package: every code point, pairs, random strings and ids.

import TestSupport
import Testing

@testable import Tokenizers

struct EncodingTests {
    static let encodings = TokenizerFixtures.encodings

    @Test(arguments: encodings.variants)
    func examplesEncodeAsInTheTokenizersPackage(_ variant: Encodings.Variant) throws {
        let tokenizer = try variant.tokenizer()
        for (text, ids) in zip(Self.encodings.examples, variant.examples) {
            #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
        }
    }

    @Test(arguments: encodings.variants, Encodings.Subject.allCases)
    func runsGiveWhatTheTokenizersPackageGives(
        _ variant: Encodings.Variant, _ subject: Encodings.Subject
    ) throws {
        let tokenizer = try variant.tokenizer()
        let runs = variant.runs[subject.rawValue, default: []]
        for (run, expected) in runs.prefix(caseCount(runs.count)).enumerated() {
            var hash = IDHash()
            Self.encodings.forEachCase(of: subject, run: run, tokenizer) { hash.add($1) }
            guard hash.hexadecimal != expected else { continue }
            var cases = ""
            Self.encodings.forEachCase(of: subject, run: run, tokenizer) {
                cases += ($0.map(String.init) + ["->"] + $1.map(String.init)).joined(separator: " ") + "\n"
            }
            // One run is enough to find the fault.
            try #require(
                Bool(false),
                "run \(run) of \(subject); compare with what make_encodings.py prints of it:\n\(cases)")
        }
    }

    /// What the issue of exactness rests on: nobody shortens the recordings unnoticed.
    @Test func theTokenizersThatMatterAreRecordedInFull() throws {
        #expect(Self.encodings.representatives.count == 200)
        #expect(Self.encodings.examples.count >= 250)
        for file in ["reader.json", "glm4.json"] {
            let variant = try #require(Self.encodings.variants.first { $0.file == file })
            let runs: [String: Int] = variant.runs.mapValues { $0.count }
            #expect(runs == ["pairs": 200, "strings": 200, "codePoints": 272, "decodings": 40])
        }
        #expect(try TokenizerFixtures.tokenizer("glm4.json").count == 20_000)
    }

    @Test func bytesThatAreNotUTF8SurviveTheRoundTrip() throws {
        for variant in Self.encodings.variants {
            let tokenizer = try variant.tokenizer()
            var generator = StringGenerator(seed: 7)
            for _ in 0..<10_000 {
                let bytes = (0..<generator.below(40)).map { _ in UInt8(generator.below(256)) }
                let ids = tokenizer.encode(bytes)
                if ids.flatMap({ tokenizer.bytes(of: $0) }) != bytes {
                    Issue.record("\(bytes) became \(ids)")
                }
                #expect(tokenizer.decode(ids).utf8.elementsEqual(String(decoding: bytes, as: UTF8.self).utf8))
            }
        }
    }

    /// They have no UTF-8 form, so the reference cannot be asked; their three bytes are kept as they are.
    @Test func theBytesOfSurrogatesSurviveTheRoundTrip() throws {
        for file in ["reader.json", "glm4.json"] {
            let tokenizer = try TokenizerFixtures.tokenizer(file)
            for value in 0xD800..<0xE000 {
                let bytes = [0xED, UInt8(0x80 | value >> 6 & 0x3F), UInt8(0x80 | value & 0x3F)]
                let ids = tokenizer.encode(bytes)
                if ids.flatMap({ tokenizer.bytes(of: $0) }) != bytes {
                    Issue.record("\(bytes) became \(ids)")
                }
            }
        }
    }

    @Test func emptyTextHasNoTokens() throws {
        #expect(try TokenizerFixtures.tokenizer("reader.json").encode("").isEmpty)
    }

    /// A quadratic algorithm would take many minutes here.
    @Test(.timeLimit(.minutes(2)))
    func aWordOfManyThousandBytesIsEncodedInReasonableTime() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("mixed.json")
        var generator = StringGenerator(seed: 1)
        let letters = (0..<1 << 18).map { _ in UInt8(0x61 + generator.below(26)) }
        let texts: [[UInt8]] = [
            letters, Array(repeating: 0x61, count: 10_000_000), Array(repeating: 0x20, count: 10_000_000),
            Array(repeating: [0x20, 0x0A], count: 500_000).flatMap { $0 },
        ]
        for bytes in texts {
            let ids = tokenizer.encode(bytes)
            var end = 0
            let isWhole = ids.allSatisfy { id in
                let token = tokenizer.bytes(of: id)
                defer { end += token.count }
                return bytes[end...].prefix(token.count) == token
            }
            #expect(isWhole && end == bytes.count)
        }
    }
}
