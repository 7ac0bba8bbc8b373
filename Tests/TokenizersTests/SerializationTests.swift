//! The binary form: round trips, and damaged bytes.

import Testing

@testable import Tokenizers

struct SerializationTests {
    @Test(arguments: TokenizerFixtures.encodings.variants)
    func aTokenizerReadBackIsTheSame(_ variant: Encodings.Variant) throws {
        let original = try variant.tokenizer()
        let bytes = original.serialized()
        let copy = try Tokenizer(serialized: bytes)
        #expect(copy.serialized() == bytes)
        #expect(copy.count == original.count)
        for token in original.addedTokens {
            let name = String(decoding: original.bytes(of: token.id), as: UTF8.self)
            #expect(copy.id(ofSpecial: name) == token.id)
            #expect(copy.isSpecial(token.id) == token.isSpecial)
        }
        for (text, ids) in zip(TokenizerFixtures.encodings.examples, variant.examples) {
            #expect(copy.encode(text) == ids)
        }
    }

    @Test func theFormIsAsDocumented() throws {
        let tokenizer = try TokenizerFixtures.tokenizer("reader.json")
        let bytes = tokenizer.serialized()
        #expect(Array(bytes.prefix(8)) == [0x54, 0x4F, 0x4B, 0x42, 1, 0, 2, 0])
        #expect(Array(bytes[8..<12]) == [0x00, 0x04, 0, 0])
        #expect(bytes.count == 24 + 2 * 1024 + tokenizer.vocabulary.bytes.count + 8 * 748 + 5 * 20)
        #expect(Array(bytes.suffix(5)) == [0xFF, 0x03, 0, 0, 1])
    }

    @Test func everyTruncationIsRefused() throws {
        let bytes = try small().serialized()
        for count in 0..<bytes.count {
            #expect(throws: TokenizerError.self) { try Tokenizer(serialized: Array(bytes.prefix(count))) }
        }
        #expect(throws: TokenizerError.self) { try Tokenizer(serialized: bytes + [0]) }
    }

    @Test func damagedBytesAreRefusedOrYieldAUsableTokenizer() throws {
        let original = try small().serialized()
        var generator = StringGenerator(seed: 21)
        var refused = 0
        for round in 0..<4_000 {
            var bytes = original
            // The header is damaged as often as all the rest, for that is where the lengths are.
            let range = round % 2 == 0 ? 24 : bytes.count
            for _ in 0...generator.below(3) { bytes[generator.below(range)] = UInt8(generator.below(256)) }
            do throws(TokenizerError) {
                let tokenizer = try Tokenizer(serialized: bytes)
                let text = generator.string(TokenizerFixtures.encodings)
                #expect(tokenizer.encode(text).flatMap { tokenizer.bytes(of: $0) } == text)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 2_000)
    }

    @Test func hugeSizesAreRefusedBeforeMemoryIsTaken() throws {
        let original = try small().serialized()
        for offset in stride(from: 8, to: 24, by: 4) {
            for size in [UInt8(0x7F), 0xFF] {
                var bytes = original
                for index in offset..<offset + 4 { bytes[index] = size }
                #expect(throws: TokenizerError.self) { try Tokenizer(serialized: bytes) }
            }
        }
    }

    /// A tokenizer of the 256 bytes, three merges and an added token, with an id that stands for no token.
    private func small() throws -> Tokenizer {
        var vocabulary = Vocabulary()
        for byte in UInt8.min...UInt8.max { vocabulary.append([byte]) }
        for token in ["ab", "abc", "abcab", "", "<|user|>"] { vocabulary.append(Array(token.utf8)) }
        let merges = [(0x61, 0x62), (256, 0x63), (257, 256)].map { TokenPair(left: $0.0, right: $0.1) }
        return try Tokenizer(
            TokenizerContent(
                pattern: .tripleNumbers, ignoresMerges: true, vocabulary: vocabulary, merges: merges,
                addedTokens: [AddedToken(id: 260, isSpecial: true)]))
    }
}
