//! Texts within texts: held against the standard library's search.

import Testing
import TestSupport

@testable import TextSearch

@Test func whatTheStandardLibraryFindsIsFound() {
    var generator = SeededGenerator(seed: 3)
    func text(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in [0x61, 0x62].randomElement(using: &generator)! }
    }
    for _ in 0..<caseCount(2000) {
        let whole = text(.random(in: 0...12, using: &generator))
        let pattern = text(.random(in: 1...3, using: &generator))
        #expect(whole[...].firstPlace(of: pattern) == whole.firstRange(of: pattern))
        #expect(
            whole[...].pieces(between: pattern)
                == whole.split(separator: pattern, omittingEmptySubsequences: false))
        let (words, word) = (
            String(decoding: whole, as: UTF8.self), String(decoding: pattern, as: UTF8.self)
        )
        #expect(words.holds(word) == words.contains(word))
        #expect(words.pieces(between: word).joined(separator: "<>") == words.replacing(word, with: "<>"))
    }
}

@Test func aSliceIsSearchedWhereItIs() {
    let bytes = Array("xaxbx".utf8)
    #expect(bytes[1...3].firstPlace(of: Array("x".utf8)) == 2..<3)
    #expect(bytes[1...3].pieces(between: Array("x".utf8)) == [bytes[1...1], bytes[3...3]])
}

@Test func aMarkBeforeWhatJoinsItIsFound() {
    // One character of e and its accent: the standard library finds no e there.
    #expect("e\u{301}".holds("e"))
    #expect("a]\u{301}b".pieces(between: "]") == ["a", "\u{301}b"])
}
