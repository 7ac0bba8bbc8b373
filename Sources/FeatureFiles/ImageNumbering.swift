//! The numbers of images: equal for equal images, and not to be foreseen by those who make images.

internal import CXXHash

/// A secret, and the numbers that it gives to images.
///
/// Two images of one number would be taken for each other, and an image may come from somebody who wishes
/// for that, so numbers depend on random bytes that nobody else knows. XXH3 is fast and no cipher: under one
/// secret, some 300,000 images can be chosen of which two come to share all 128 bits, whatever the secret
/// is, for their differences meet in a few bits of what it sums up. So the hashes under two secrets are
/// joined: no choice is known here that then takes fewer than 2^33 images, and a model has to look at each.
public struct ImageNumbering: Sendable {
    /// Bytes of one of the two secrets: as many as the hash mixes with a block of what it reads.
    private static let halfByteCount = 192
    static let secretByteCount = 2 * halfByteCount

    /// The two secrets, one behind the other.
    let secret: [UInt8]

    /// A numbering of its own, from the system's random numbers.
    public init() {
        var random = SystemRandomNumberGenerator()
        secret = (0..<Self.secretByteCount).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
    }

    /// The numbering of a secret that was kept. Precondition: it has `secretByteCount` bytes.
    init(secret: [UInt8]) {
        precondition(secret.count == Self.secretByteCount)
        self.secret = secret
    }

    /// The number of a text or of any other bytes.
    public func number(of bytes: [UInt8]) -> UInt128 { unsafe number(of: bytes.span.bytes, behind: nil, 0) }

    /// The number of an image as a model sees it. Takes no memory.
    ///
    /// `pixels` are red, green and blue bytes, `width x height x 3`; `model` is the number of everything else
    /// that decides what the model's tower makes of them.
    public func number(of pixels: Span<UInt8>, width: Int, height: Int, for model: UInt128) -> UInt128 {
        // The size belongs to the image: the same bytes in longer rows are another one.
        let head = (model.littleEndian, Int64(width).littleEndian, Int64(height).littleEndian)
        return unsafe withUnsafeBytes(of: head) { head in
            unsafe number(of: pixels.bytes, behind: head.baseAddress, head.count)
        }
    }

    private func number(
        of bytes: RawSpan, behind head: UnsafeRawPointer?, _ headByteCount: Int
    ) -> UInt128 {
        unsafe hash(of: bytes, behind: head, headByteCount, underSecret: 0)
            ^ hash(of: bytes, behind: head, headByteCount, underSecret: 1)
    }

    /// The hash under one of the two secrets, which is half of what makes a number.
    func hash(
        of bytes: RawSpan, behind head: UnsafeRawPointer?, _ headByteCount: Int, underSecret index: Int
    ) -> UInt128 {
        unsafe secret.withUnsafeBytes { secret in
            unsafe bytes.withUnsafeBytes { bytes in
                let hash = unsafe thimble_xxh3_128_secret(
                    secret.baseAddress! + index * Self.halfByteCount, Self.halfByteCount, head, headByteCount,
                    bytes.baseAddress, bytes.count)
                return UInt128(hash.high) << 64 | UInt128(hash.low)
            }
        }
    }
}
