//! The character classes against those of the `tokenizers` package, for every code point.

import Testing

@testable import Tokenizers

struct CharacterClassTests {
    @Test func everyCodePointHasTheClassThatTheTokenizersPackageGivesIt() throws {
        var expected = [CharacterClass](repeating: .other, count: 0x11_0000)
        let text = String(decoding: try TokenizerFixtures.bytes("classes.txt"), as: UTF8.self)
        var ranges = 0
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            let kind: CharacterClass = ["letter": .letter, "number": .number, "space": .space][fields[0]]!
            for scalar in Int(fields[1], radix: 16)!...Int(fields[2], radix: 16)! { expected[scalar] = kind }
            ranges += 1
        }
        #expect(ranges > 800)
        let wrong = (0..<0x11_0000).filter { CharacterClass(UInt32($0)) != expected[$0] }
        #expect(wrong.isEmpty, "\(wrong.count) differ, the first U+\(String(wrong.first ?? 0, radix: 16))")
    }

    @Test func everyCodePointIsReadFromItsUTF8Form() {
        for value in UInt32(0)..<0x11_0000 where !(0xD800..<0xE000).contains(value) {
            let bytes = utf8(value)
            let scalar = UTF8Scalar(bytes.span, at: 0)
            if scalar.value != value || scalar.byteCount != bytes.count {
                Issue.record("U+\(String(value, radix: 16)) was read as \(scalar)")
            }
        }
    }

    @Test(arguments: [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x9F, 0xBF], [0xED, 0xA0, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
        [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xE2, 0x82], [0xE2, 0x82, 0x41], [0xFF],
    ])
    func bytesThatAreNotUTF8AreReadOneAtATime(_ bytes: [UInt8]) {
        let scalar = UTF8Scalar(bytes.span, at: 0)
        #expect(scalar.value == nil)
        #expect(scalar.byteCount == 1)
    }
}
