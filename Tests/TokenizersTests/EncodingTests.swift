//! Encoding against the `tokenizers` package: pairs of characters, random strings, and strings in full.

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

    @Test(arguments: encodings.variants)
    func allPairsOfRepresentativesEncodeAsInTheTokenizersPackage(_ variant: Encodings.Variant) throws {
        let tokenizer = try variant.tokenizer()
        let points = Self.encodings.representatives
        #expect(points.count > 180)
        for (first, expected) in zip(points, variant.pairs) {
            var hash = IDHash()
            for second in points { hash.add(tokenizer.encode(utf8(first) + utf8(second))) }
            #expect(hash.hexadecimal == expected, "pairs that start with U+\(String(first, radix: 16))")
        }
    }

    @Test(arguments: encodings.variants)
    func randomStringsEncodeAsInTheTokenizersPackage(_ variant: Encodings.Variant) throws {
        let tokenizer = try variant.tokenizer()
        #expect(variant.batches.count * 500 >= 20_000)
        for (seed, expected) in variant.batches.enumerated() {
            var generator = StringGenerator(seed: UInt64(seed))
            var hash = IDHash()
            for _ in 0..<500 { hash.add(tokenizer.encode(generator.string(Self.encodings))) }
            #expect(hash.hexadecimal == expected, "the batch of seed \(seed)")
        }
    }

    @Test func theSpellingOfAnAddedTokenIsOrdinaryText() throws {
        for file in ["reader.json", "mixed.json"] {
            let tokenizer = try TokenizerFixtures.tokenizer(file)
            let added = Set(tokenizer.addedTokens.map(\.id))
            #expect(added.count >= 20)
            for ignoresMerges in [false, true] {
                let tokenizer = try TokenizerFixtures.tokenizer(file, ignoresMerges: ignoresMerges)
                for id in added {
                    let spelling = Array(tokenizer.bytes(of: id))
                    for text in [
                        spelling, [0x61] + spelling + [0x62], spelling + spelling, [0x20] + spelling,
                    ] {
                        let ids = tokenizer.encode(text)
                        #expect(added.isDisjoint(with: ids))
                        #expect(ids.flatMap { tokenizer.bytes(of: $0) } == text)
                    }
                }
            }
        }
    }

    @Test func bytesThatAreNotUTF8SurviveTheRoundTrip() throws {
        for variant in Self.encodings.variants {
            let tokenizer = try variant.tokenizer()
            var generator = StringGenerator(seed: 7)
            for _ in 0..<2_000 {
                let bytes = (0..<generator.below(40)).map { _ in UInt8(generator.below(256)) }
                #expect(tokenizer.encode(bytes).flatMap { tokenizer.bytes(of: $0) } == bytes)
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
        for bytes in [
            letters, Array(repeating: 0x61, count: 1 << 18), Array(repeating: 0x20, count: 1 << 18),
        ] {
            #expect(tokenizer.encode(bytes).flatMap { tokenizer.bytes(of: $0) } == bytes)
        }
    }
}
