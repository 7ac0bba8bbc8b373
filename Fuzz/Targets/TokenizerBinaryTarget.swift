//! Fuzzes the binary form of a tokenizer, as model files carry it.

@testable import Tokenizers

/// Input: edits of the binary form (see `ByteEdits`), then records, of which the form is made: the first byte
/// says which.
///
///     0 to 127    a token: one byte of length (at most 15), its bytes
///     128 to 191  a merge: two ids of 2 bytes
///     192 to 223  the split pattern or the flags are changed: one byte
///     224 to 255  an added token: 2 bytes that its id is beyond the last one's, one byte of flags
///
/// The 256 tokens of single bytes come first by themselves.
struct TokenizerBinaryTarget: FuzzTarget {
    func run(_ input: [UInt8]) -> Bool {
        var reader = InputReader(input)
        let edits = ByteEdits(&reader, limit: 8)
        var form = BinaryForm()
        while !reader.isAtEnd { form.append(&reader) }
        var bytes = form.bytes
        edits.apply(to: &bytes)
        guard let tokenizer = try? Tokenizer(serialized: bytes) else { return false }
        expect(tokenizer.serialized() == bytes, "what was accepted is written otherwise")
        TokenizerChecks.checkText(tokenizer, text: input.suffix(64))
        return true
    }
}

/// The parts of the binary form; their sizes are written as they are.
private struct BinaryForm {
    private var pattern: UInt8 = 1
    private var flags: UInt8 = 0
    private var lengths: [UInt8] = Array(repeating: 1, count: 256)
    private var tokens: [UInt8] = Array(UInt8.min...UInt8.max)
    private var merges: [UInt8] = []
    private var added: [UInt8] = []
    private var lastAdded = -1

    mutating func append(_ reader: inout InputReader) {
        switch reader.byte() {
        case 0..<128:
            let token = reader.bytes(Int(reader.byte() % 16))
            lengths.append(UInt8(token.count))
            tokens += token
        case 128..<192:
            for _ in 0..<2 {
                merges += [reader.byte(), reader.byte(), 0, 0]
            }
        case 192..<224:
            let byte = reader.byte()
            if byte & 1 == 0 { pattern = byte >> 1 } else { flags = byte >> 1 }
        default:
            lastAdded += reader.uint16() + 1
            append(UInt32(truncatingIfNeeded: lastAdded), to: &added)
            added.append(reader.byte())
        }
    }

    var bytes: [UInt8] {
        var bytes = Array("TOKB".utf8) + [1, 0, pattern, flags]
        for size in [lengths.count, tokens.count, merges.count / 8, added.count / 5] {
            append(UInt32(size), to: &bytes)
        }
        for length in lengths { bytes += [length, 0] }
        return bytes + tokens + merges + added
    }

    private func append(_ value: UInt32, to bytes: inout [UInt8]) {
        for shift in [UInt32(0), 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
}
