//! Fuzzes tokenizer.json.

@testable import Tokenizers

/// Input: the JSON, in which the first byte 1 stands for the 256 tokens of single bytes as entries of
/// `vocab`: every tokenizer that is accepted has them, and mutations of their two thousand bytes would find
/// nothing.
struct TokenizerJSONTarget: FuzzTarget {
    private let byteEntries: [UInt8]

    init() {
        let entries = (UInt32(0x21)..<0x144).compactMap { scalar -> String? in
            guard let scalar = Unicode.Scalar(scalar),
                let byte = ByteAlphabet.bytes(of: String(scalar))?.first
            else { return nil }
            return "\"" + (["\"", "\\"].contains(scalar) ? "\\" : "") + "\(scalar)\":\(byte)"
        }
        byteEntries = Array(entries.joined(separator: ",").utf8)
    }

    func run(_ input: [UInt8]) -> Bool {
        var json = input
        if let place = input.firstIndex(of: 1) { json.replaceSubrange(place...place, with: byteEntries) }
        guard let tokenizer = try? Tokenizer(json: json) else { return false }
        TokenizerChecks.checkText(tokenizer, text: input.suffix(64))
        TokenizerChecks.checkBinaryForm(tokenizer, text: input.suffix(64))
        return true
    }
}
