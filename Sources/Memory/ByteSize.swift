//! A number of bytes, as people write it.

/// A number of bytes, from 0 on.
///
/// Written as digits, perhaps a fraction, and a unit: `900MiB`, `1.5GiB`, `25 GB`. Digits alone are bytes.
/// The case of a unit counts, for `MB` is a million bytes and `MiB` 1,048,576.
public struct ByteSize: Sendable, Hashable {
    /// The bytes; never negative.
    public let bytes: Int

    /// That many bytes, at least 0.
    public init(bytes: Int) {
        precondition(bytes >= 0, "a size of \(bytes) bytes")
        self.bytes = bytes
    }

    /// Every unit, the larger first.
    private static let units: [(name: String, bytes: Int)] = [
        ("TiB", 1 << 40), ("TB", 1_000_000_000_000), ("GiB", 1 << 30), ("GB", 1_000_000_000),
        ("MiB", 1 << 20), ("MB", 1_000_000), ("KiB", 1 << 10), ("kB", 1000), ("B", 1),
    ]
    /// Digits of a fraction: those after them are below a byte in every unit.
    private static let mostFractionDigits = 12
}

extension ByteSize: Comparable {
    public static func < (left: ByteSize, right: ByteSize) -> Bool { left.bytes < right.bytes }
}

extension ByteSize: LosslessStringConvertible {
    /// Parses a size; nil where `text` is none, or is more than can be counted. A fraction of a byte is
    /// dropped, so that a limit never becomes more than was said.
    public init?(_ text: String) {
        let digits = text.prefix { $0.isASCIIDigit || $0 == "." }
        var name = text[digits.endIndex...]
        if name.count > 1 && name.first == " " { name.removeFirst() }
        let unit: Int
        if name.isEmpty {
            unit = 1
        } else if let found = Self.units.first(where: { $0.name == name }) {
            unit = found.bytes
        } else {
            return nil
        }
        let parts = digits.split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }), let whole = Int(parts[0])
        else { return nil }
        var bytes = Int128(whole) * Int128(unit)
        if parts.count == 2 {
            guard !name.isEmpty, name != "B", parts[1].count <= Self.mostFractionDigits,
                let fraction = Int(parts[1])
            else { return nil }
            let scale = (0..<parts[1].count).reduce(Int128(1)) { product, _ in product * 10 }
            bytes += Int128(fraction) * Int128(unit) / scale
        }
        guard let bytes = Int(exactly: bytes) else { return nil }
        self.bytes = bytes
    }

    /// The shortest way to write exactly this size without a fraction.
    public var description: String {
        // Of units that leave the same number only 0 has more than one, and it is a number of bytes.
        let exact = Self.units.filter { bytes.isMultiple(of: $0.bytes) }
        let best = exact.min { bytes / $0.bytes < bytes / $1.bytes }
        return bytes == 0 ? "0B" : best.map { "\(bytes / $0.bytes)\($0.name)" } ?? "\(bytes)B"
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
