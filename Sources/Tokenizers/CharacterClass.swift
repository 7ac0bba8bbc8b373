//! The classes of characters that split patterns speak of: letters, numbers and white space.

/// What a split pattern can tell about a character.
enum CharacterClass: UInt8 {
    /// In none of the other classes; bytes that are not UTF-8 count here too.
    case other
    /// `\p{L}`.
    case letter
    /// `\p{N}`.
    case number
    /// `\s`.
    case space

    /// The class of a code point.
    @inline(__always)
    init(_ scalar: UInt32) {
        self = scalar < 0x1_0000 ? Self.basicPlane[Int(scalar)] : Self.search(scalar)
    }

    /// Classes of U+0000 to U+FFFF. Nearly all text lies here, so it is worth one byte a code point.
    private static let basicPlane: [CharacterClass] = {
        var table = [CharacterClass](repeating: .other, count: 0x1_0000)
        for (kind, ranges) in [(letter, letterRanges), (number, numberRanges), (space, spaceRanges)] {
            for start in stride(from: 0, to: ranges.count, by: 2) where ranges[start] < 0x1_0000 {
                for scalar in ranges[start]...min(ranges[start + 1], 0xFFFF) { table[Int(scalar)] = kind }
            }
        }
        return table
    }()

    /// The class of a code point beyond the basic plane, where there is no white space.
    private static func search(_ scalar: UInt32) -> CharacterClass {
        if contains(scalar, in: letterRanges) { return .letter }
        return contains(scalar, in: numberRanges) ? .number : .other
    }

    private static func contains(_ scalar: UInt32, in ranges: [UInt32]) -> Bool {
        var low = 0
        var high = ranges.count / 2
        while low < high {
            let middle = (low + high) / 2
            if scalar > ranges[2 * middle + 1] { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count / 2 && scalar >= ranges[2 * low]
    }
}
