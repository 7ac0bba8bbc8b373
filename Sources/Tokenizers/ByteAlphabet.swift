//! GPT-2's spelling of bytes as printable characters, which tokenizer.json uses for tokens.

/// The one-to-one map between bytes and characters of byte-level tokenizers (GPT-2's `bytes_to_unicode`).
///
/// The printable bytes of Latin-1 stand for themselves, and the 68 others, in rising order, for U+0100
/// onwards.
enum ByteAlphabet {
    /// The byte of each code point up to U+0143, or nil where the alphabet has none.
    private static let bytes: [UInt8?] = {
        var bytes = [UInt8?](repeating: nil, count: 0x144)
        var replacement = 0x100
        for byte in UInt8.min...UInt8.max {
            switch byte {
            case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF:
                bytes[Int(byte)] = byte
            default:
                bytes[replacement] = byte
                replacement += 1
            }
        }
        return bytes
    }()

    /// The bytes that `spelling` stands for, or nil where it has a character outside the alphabet.
    static func bytes(of spelling: some StringProtocol) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(spelling.utf8.count)
        for scalar in spelling.unicodeScalars {
            guard scalar.value < bytes.count, let byte = bytes[Int(scalar.value)] else { return nil }
            result.append(byte)
        }
        return result
    }
}
