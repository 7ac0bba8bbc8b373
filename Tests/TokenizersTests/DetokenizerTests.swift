//! Streams of ids against the text of all of them at once.

import Testing

@testable import Tokenizers

struct DetokenizerTests {
    let tokenizer: Tokenizer

    init() throws { tokenizer = try TokenizerFixtures.tokenizer("mixed.json") }

    /// One id for each byte, so that every character is split at every place.
    private func byteIDs(_ bytes: [UInt8]) -> [Int32] { bytes.map { tokenizer.byteTokens[Int($0)] } }

    private func pieces(_ ids: [Int32], skipping: Bool = true) -> [String] {
        var detokenizer = Detokenizer(tokenizer, skipsSpecialTokens: skipping)
        return ids.map { detokenizer.append($0) } + [detokenizer.finish()]
    }

    @Test func charactersComeWholeAndAtOnce() {
        let text = "aé你🙂b"
        let pieces = pieces(byteIDs(Array(text.utf8)))
        #expect(pieces == ["a", "", "é", "", "", "你", "", "", "", "🙂", "b", ""])
    }

    @Test func aStreamCutAnywhereLosesOnlyItsIncompleteCharacter() {
        let bytes = Array("né 你好 🙂 👩‍👩‍👧 e\u{301}".utf8)
        for count in 0...bytes.count {
            let pieces = pieces(byteIDs(Array(bytes.prefix(count))))
            #expect(
                pieces.joined().utf8.elementsEqual(String(decoding: bytes.prefix(count), as: UTF8.self).utf8))
            // Before the end there is never a replacement character, for the bytes are good.
            #expect(!pieces.dropLast().joined().unicodeScalars.contains("\u{FFFD}"))
        }
    }

    @Test func randomBytesDecodeAsAllAtOnce() {
        var generator = StringGenerator(seed: 3)
        let leads: [UInt8] = [
            0xE0, 0xE2, 0xED, 0xEF, 0xF0, 0xF3, 0xF4, 0xC2, 0x80, 0x90, 0xA0, 0xBF, 0x41, 0xFF,
        ]
        for round in 0..<20_000 {
            let bytes = (0..<generator.below(12)).map { _ in
                round % 2 == 0 ? leads[generator.below(leads.count)] : UInt8(generator.below(256))
            }
            let joined = pieces(byteIDs(bytes)).joined()
            #expect(joined.utf8.elementsEqual(String(decoding: bytes, as: UTF8.self).utf8), "\(bytes)")
        }
    }

    @Test func textOfTheFixturesIsStreamedBack() {
        let encodings = TokenizerFixtures.encodings
        var generator = StringGenerator(seed: 12)
        for _ in 0..<1_000 {
            let bytes = generator.string(encodings)
            let ids = tokenizer.encode(bytes)
            #expect(Array(pieces(ids).joined().utf8) == bytes)
            #expect(Array(tokenizer.decode(ids).utf8) == bytes)
        }
    }

    @Test func specialTokensAreSkippedOnlyWhenAsked() throws {
        let user = try #require(tokenizer.id(ofSpecial: "<|user|>"))
        let think = try #require(tokenizer.id(ofSpecial: "<think>"))
        let ids = [think] + tokenizer.encode("x") + [user]
        #expect(pieces(ids).joined() == "<think>x", "<think> is added but not special")
        #expect(pieces(ids, skipping: false).joined() == "<think>x<|user|>")
        #expect(tokenizer.decode(ids) == "<think>x")
        #expect(tokenizer.decode(ids, skippingSpecialTokens: false) == "<think>x<|user|>")
    }

    @Test func idsOfNoTokenYieldNoText() {
        #expect(pieces([-1, .max, .min, Int32(tokenizer.count)]).joined().isEmpty)
    }
}
