//! The number formats that keys and values can be stored in.

/// How keys and values are stored in pages.
public enum KVType: String, CaseIterable, Sendable {
    /// float16.
    case f16
    /// 8-bit codes, and a float32 scale for each head of a token.
    case int8
    /// 5-bit codes of rotated heads, and a step and a least value for each head of a token.
    case int5

    /// Elements of an int5 head whose codes lie together.
    static let blockSize = 32

    /// Bytes of one token's codes of a head, in whole words of 32 bits but for float16.
    public func codeByteCount(headSize: Int) -> Int {
        switch self {
        case .f16: headSize * 2
        case .int8: (headSize + 3) / 4 * 4
        case .int5: (headSize + Self.blockSize - 1) / Self.blockSize * 4 + (headSize + 7) / 8 * 4
        }
    }

    /// Bytes of what a token's head has beside its codes.
    public var scaleByteCount: Int { self == .f16 ? 0 : 4 }

    /// Bytes of one token's key or value of one head.
    public func byteCount(headSize: Int) -> Int { codeByteCount(headSize: headSize) + scaleByteCount }
}
