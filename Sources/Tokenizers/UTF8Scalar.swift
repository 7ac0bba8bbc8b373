//! Reading one character of UTF-8 at a time, from bytes that may be broken.

/// One character of a byte sequence.
struct UTF8Scalar {
    /// The code point, or nil where the bytes are not UTF-8.
    var value: UInt32?
    /// Bytes taken: 1 to 4; 1 where the bytes are not UTF-8.
    var byteCount: Int

    /// Reads the character at `index`, which must lie in `bytes`.
    ///
    /// Surrogates, overlong forms and values over U+10FFFF are not UTF-8 (Unicode 16, table 3-7).
    @inline(__always)
    init(_ bytes: Span<UInt8>, at index: Int) {
        let lead = bytes[index]
        if lead < 0x80 {
            self.init(value: UInt32(lead), byteCount: 1)
        } else {
            self.init(multibyte: bytes, at: index, lead: lead)
        }
    }

    private init(value: UInt32?, byteCount: Int) {
        self.value = value
        self.byteCount = byteCount
    }

    private init(multibyte bytes: Span<UInt8>, at index: Int, lead: UInt8) {
        let length = Self.length(ofLead: lead)
        guard length > 1, length <= bytes.count - index,
            Self.secondBytes(ofLead: lead).contains(bytes[index + 1])
        else {
            self.init(value: nil, byteCount: 1)
            return
        }
        var value = UInt32(lead) & (0x7F >> UInt32(length))
        for offset in 1..<length {
            let byte = bytes[index + offset]
            guard byte & 0xC0 == 0x80 else {
                self.init(value: nil, byteCount: 1)
                return
            }
            value = value << 6 | UInt32(byte & 0x3F)
        }
        self.init(value: value, byteCount: length)
    }

    /// Bytes of a character that starts with `lead`; 0 where none can.
    static func length(ofLead lead: UInt8) -> Int {
        switch lead {
        case 0..<0x80: 1
        case 0xC2..<0xE0: 2
        case 0xE0..<0xF0: 3
        case 0xF0..<0xF5: 4
        default: 0
        }
    }

    /// The bytes that may follow the lead of a multibyte character.
    static func secondBytes(ofLead lead: UInt8) -> ClosedRange<UInt8> {
        switch lead {
        case 0xE0: 0xA0...0xBF
        case 0xED: 0x80...0x9F
        case 0xF0: 0x90...0xBF
        case 0xF4: 0x80...0x8F
        default: 0x80...0xBF
        }
    }
}
