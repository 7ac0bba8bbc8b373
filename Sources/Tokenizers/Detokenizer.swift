//! From ids to text, as they come.

/// Turns a stream of ids into text that never ends in half a character.
///
/// A token may end inside a character; its last bytes are then held until the character is complete or cannot
/// become so. Bytes that are not UTF-8 become U+FFFD, one for each maximal part of a character (Unicode 16,
/// section 3.9): all pieces joined are the text of all bytes decoded at once.
public struct Detokenizer: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    /// The start of a character that is not complete: at most three bytes.
    private var held: [UInt8] = []

    /// A detokenizer at the start of a text. Tokens marked as special yield no text where
    /// `skipsSpecialTokens`.
    public init(_ tokenizer: Tokenizer, skipsSpecialTokens: Bool = true) {
        self.tokenizer = tokenizer
        self.skipsSpecialTokens = skipsSpecialTokens
    }

    /// The text that is certain after `id`, beyond what was returned before. Ids of no token yield none.
    public mutating func append(_ id: Int32) -> String {
        if skipsSpecialTokens, tokenizer.isSpecial(id) { return "" }
        held.append(contentsOf: tokenizer.bytes(of: id))
        let certain = held.count - Self.incompleteByteCount(held)
        let text = String(decoding: held.prefix(certain), as: UTF8.self)
        held.removeFirst(certain)
        return text
    }

    /// The rest of the text: U+FFFD where a character was left incomplete. The next text may then follow.
    public mutating func finish() -> String {
        defer { held.removeAll() }
        return String(decoding: held, as: UTF8.self)
    }

    /// Bytes at the end that are the start of a character and could become one.
    private static func incompleteByteCount(_ bytes: [UInt8]) -> Int {
        for count in 1...3 where count <= bytes.count {
            let tail = bytes.suffix(count)
            let lead = tail[tail.startIndex]
            if lead & 0xC0 == 0x80 { continue }
            guard UTF8Scalar.length(ofLead: lead) > count else { return 0 }
            let isPossible =
                count == 1
                || UTF8Scalar.secondBytes(ofLead: lead).contains(tail[tail.startIndex + 1])
            return isPossible ? count : 0
        }
        return 0
    }
}

extension Tokenizer {
    /// The text of `ids`: what a detokenizer yields for all of them.
    public func decode(_ ids: some Sequence<Int32>, skippingSpecialTokens: Bool = true) -> String {
        var bytes: [UInt8] = []
        for id in ids where !(skippingSpecialTokens && isSpecial(id)) {
            bytes.append(contentsOf: self.bytes(of: id))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
