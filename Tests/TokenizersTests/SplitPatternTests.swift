//! Words of the split patterns, where the details of regular expressions show.

import Testing

@testable import Tokenizers

struct SplitPatternTests {
    private func words(_ text: String, _ pattern: SplitPattern) -> [String] {
        let bytes = Array(text.utf8)
        var words: [String] = []
        var start = 0
        while start < bytes.count {
            let end = pattern.endOfWord(in: bytes.span, from: start)
            words.append(String(decoding: bytes[start..<end], as: UTF8.self))
            start = end
        }
        return words
    }

    @Test(arguments: [
        ("a  b", ["a", " ", " b"]), ("a \n b", ["a", " \n", " b"]), ("a  \n\n  ", ["a", "  \n\n", "  "]),
        ("x = 1234;\n\n\ty", ["x", " =", " ", "123", "4", ";\n\n", "\ty"]),
        ("I'll DON'T", ["I", "'ll", " DON", "'T"]),
        ("'sx", ["'s", "x"]), ("'ſx", ["'ſ", "x"]), ("'x", ["'x"]), ("\u{A0}a", ["\u{A0}a"]),
        ("\ra", ["\r", "a"]),
    ])
    func textIsSplitAsByGLM4(_ text: String, _ expected: [String]) {
        #expect(words(text, .tripleNumbers) == expected)
    }

    @Test func otherPatternsDifferWhereTheyShould() {
        #expect(words("x 1234", .singleNumbers) == ["x", " ", "1", "2", "3", "4"])
        #expect(words("x 1234'S \n\ny", .gpt2) == ["x", " 1234", "'", "S", " \n", "\n", "y"])
    }

    /// The `tokenizers` package matches `(?i:'s|'t|'m|'d)` with these and no other of all code points.
    @Test func onlyTheLongSFoldsToALetterOfContractions() {
        let folding = Set("dmstDMSTſ".unicodeScalars.map(\.value))
        for value in UInt32(0)..<0x11_0000 where CharacterClass(value) == .letter {
            let text = Array("'".utf8) + utf8(value) + Array("x".utf8)
            let end = SplitPattern.tripleNumbers.endOfWord(in: text.span, from: 0)
            if end != (folding.contains(value) ? text.count - 1 : text.count) {
                Issue.record("U+\(String(value, radix: 16)) ends its word at \(end)")
            }
        }
    }

    @Test func patternsAreKnownByTheirExactSpellingAlone() {
        for pattern in SplitPattern.allCases {
            #expect(SplitPattern(expression: pattern.expression) == pattern)
            #expect(SplitPattern(expression: pattern.expression + " ") == nil)
        }
    }
}
