//! Sizes as people write them: what each means, what is none, and that each is read as it is printed.

import TestSupport
import Testing

@testable import Memory

@Suite struct ByteSizeTests {
    @Test(arguments: [
        ("0", 0), ("0B", 0), ("1", 1), ("1B", 1), ("007", 7), ("1048576", 1_048_576),
        ("1kB", 1000), ("1KiB", 1024), ("1MB", 1_000_000), ("900MiB", 943_718_400), ("2GiB", 2_147_483_648),
        ("2 GiB", 2_147_483_648), ("1.5GiB", 1_610_612_736), ("0.5KiB", 512), ("1.50KiB", 1536),
        ("25GB", 25_000_000_000), ("1TB", 1_000_000_000_000), ("1TiB", 1 << 40),
        // A fraction of a byte is dropped.
        ("0.0009kB", 0), ("1.9999kB", 1999), ("0.999999999999TiB", 1_099_511_627_774),
        ("9223372036854775807", Int.max), ("8388607TiB", 8_388_607 << 40),
    ])
    func aSizeIsThatManyBytes(_ text: String, _ bytes: Int) {
        #expect(ByteSize(text)?.bytes == bytes)
    }

    @Test(arguments: [
        "", " ", "B", "GiB", ".", ".5GiB", "5.GiB", "1.2.3GiB", "-1", "-1GiB", "+1GiB", "1e9", "1e9B", "nan",
        "NaN",
        "inf", "0x10", "1_000", "1,5GiB", "1.5", "1.5B", "1  GiB", " 1GiB", "1GiB ", "1G", "1g", "1gib",
        "1KB",
        "1kiB", "1PiB", "1GiB/s", "9223372036854775808", "8388608TiB", "99999999999999999999GiB",
        "1.0000000000001GiB", "\u{661}GiB", "1\u{A0}GiB", "1GiB\0", "½GiB",
    ])
    func whatIsNoSizeIsNone(_ text: String) {
        #expect(ByteSize(text) == nil)
    }

    @Test(arguments: [
        (0, "0B"), (1, "1B"), (1000, "1kB"), (1023, "1023B"), (1024, "1KiB"), (1_000_000, "1MB"),
        (943_718_400, "900MiB"), (1_610_612_736, "1536MiB"), (25_000_000_000, "25GB"), (1 << 40, "1TiB"),
        (2_147_483_648, "2GiB"), (Int.max, "9223372036854775807B"),
    ])
    func aSizeIsPrintedShort(_ bytes: Int, _ text: String) {
        #expect(ByteSize(bytes: bytes).description == text)
    }

    @Test func whatIsPrintedIsReadAsTheSame() {
        var random = SeededGenerator(seed: 5)
        for _ in 0..<caseCount(10_000) {
            let size = ByteSize.random(&random)
            #expect(ByteSize(size.description) == size, "\(size.bytes)")
        }
    }

    @Test func aSizeWithAFractionIsThatPartOfItsUnit() {
        var random = SeededGenerator(seed: 6)
        let units = [("kB", 1000), ("KiB", 1 << 10), ("MB", 1_000_000), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        for _ in 0..<caseCount(2000) {
            let (name, unit) = random.element(of: units)
            let (whole, thousandths) = (random.integer(below: 5000), random.integer(below: 1000))
            let digits = String(String(1000 + thousandths).dropFirst())
            #expect(
                ByteSize("\(whole).\(digits)\(name)")?.bytes == (whole * 1000 + thousandths) * unit / 1000)
        }
    }

    @Test func sizesAreOrderedByTheirBytes() {
        #expect(ByteSize(bytes: 999) < ByteSize(bytes: 1000))
        #expect(ByteSize("1MB")! < ByteSize("1MiB")!)
    }
}

extension ByteSize {
    /// A size of any magnitude, whole numbers of units among them.
    static func random(_ random: inout SeededGenerator) -> ByteSize {
        let bytes = Int(random.next() >> UInt64(1 + random.integer(below: 63)))
        let unit = random.element(of: [1, 1, 1000, 1024, 1_000_000, 1 << 20, 1_000_000_000, 1 << 30, 1 << 40])
        return ByteSize(bytes: bytes / unit * unit)
    }
}
