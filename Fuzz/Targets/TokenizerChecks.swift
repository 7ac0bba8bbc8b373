//! What holds of every tokenizer that is accepted.

@testable import Tokenizers

enum TokenizerChecks {
    /// Checks that the binary form gives the same tokenizer.
    static func checkBinaryForm(_ tokenizer: Tokenizer, text: ArraySlice<UInt8>) {
        let bytes = tokenizer.serialized()
        guard let again = try? Tokenizer(serialized: bytes) else {
            fatalError("an accepted tokenizer cannot be read from its binary form")
        }
        expect(again.serialized() == bytes, "the binary form changes when it is read and written")
        expect(
            again.encode(Array(text)) == tokenizer.encode(Array(text)), "the binary form encodes otherwise")
    }

    /// Checks that text comes back from its ids.
    static func checkText(_ tokenizer: Tokenizer, text: ArraySlice<UInt8>) {
        let text = Array(text)
        let ids = tokenizer.encode(text)
        expect(ids.flatMap { tokenizer.bytes(of: $0) } == text, "text does not come back from its ids")
        let added = Set(tokenizer.addedTokens.map(\.id))
        expect(added.isDisjoint(with: ids), "text yielded an added token")
        let string = String(decoding: text, as: UTF8.self)
        let trusted = tokenizer.encode(trusted: string)
        expect(
            trusted.flatMap { tokenizer.bytes(of: $0) } == Array(string.utf8),
            "trusted text does not come back from its ids")
        var detokenizer = Detokenizer(tokenizer, skipsSpecialTokens: false)
        var streamed = ""
        for id in ids { streamed += detokenizer.append(id) }
        streamed += detokenizer.finish()
        expect(
            streamed.utf8.elementsEqual(tokenizer.decode(ids, skippingSpecialTokens: false).utf8),
            "text that is streamed differs from text that is decoded at once")
    }
}
