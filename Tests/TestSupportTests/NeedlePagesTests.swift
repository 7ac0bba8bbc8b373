//! The needle pages are what the reader model's tests believe them to be.

import TestSupport
import Testing

@Test(arguments: 0..<40 as Range<UInt64>)
func everyNeedleStandsOnceOnItsPage(seed: UInt64) {
    let document = NeedlePages(
        seed: seed, pageCount: 1 + Int(seed % 3), needleCount: 1 + Int(seed % 8))
    #expect(document.needles.count == 1 + Int(seed % 8))
    #expect(Set(document.needles.map(\.key)).count == document.needles.count)
    for needle in document.needles {
        for (index, page) in document.pages.enumerated() {
            #expect(page.ranges(of: needle.key).count == (index == needle.page ? 1 : 0))
        }
        #expect(document.pages[needle.page].contains(needle.sentence))
        #expect(needle.question.contains(needle.key))
        #expect((4...8).contains(needle.answer.count) && needle.answer.allSatisfy { $0.isNumber })
    }
}

@Test(arguments: 0..<40 as Range<UInt64>)
func aPageIsNearlyFullAndPlainASCII(seed: UInt64) {
    for page in NeedlePages(seed: seed, pageCount: 2, charactersPerPage: 5_800, needleCount: 4).pages {
        #expect((5_700...5_800).contains(page.count))
        #expect(page.utf8.allSatisfy { (0x20...0x7E).contains($0) })
        #expect(!page.contains("{") && !page.contains("  "))
    }
}

@Test func digitsStandOnlyInNeedles() {
    let document = NeedlePages(seed: 5, needleCount: 3)
    let digits = document.pages[0].filter(\.isNumber).count
    #expect(digits == document.needles.reduce(0) { $0 + $1.value.count })
}

@Test func theSameSeedGivesTheSamePagesAndAnotherGivesOthers() {
    #expect(NeedlePages(seed: 9, needleCount: 2) == NeedlePages(seed: 9, needleCount: 2))
    #expect(NeedlePages(seed: 9, needleCount: 2) != NeedlePages(seed: 10, needleCount: 2))
}

@Test func sentencesRarelyRepeat() {
    let sentences = NeedlePages(seed: 3, needleCount: 0).pages[0].split(separator: ". ")
    #expect(sentences.count > 50)
    #expect(Set(sentences).count >= sentences.count - 1)
}
