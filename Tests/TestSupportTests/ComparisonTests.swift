//! The measures of error catch what they are for.

import TestSupport
import Testing

@Test func theLargestErrorAndItsPlaceAreFound() {
    let difference = Difference([1, 2, 3.5], from: [1, 2, 4])
    #expect(difference.maximum == 0.5)
    #expect(difference.index == 2)
    #expect(abs(difference.relativeRMS - (0.25 / 21 as Float).squareRoot()) < 1e-6)
}

@Test func whatIsNoNumberIsInfinitelyWrong() {
    let difference = Difference([1, .nan], from: [1, 2])
    #expect(difference.maximum == .infinity)
    #expect(difference.relativeRMS == .infinity)
    let agreement = LogitsAgreement([.nan, 0], from: [1, 0], vocabulary: 2)
    #expect(agreement.agreeingRows == 0)
    #expect(agreement.largestDivergence == .infinity)
}

@Test func equalLogitsAgreeAndDoNotDiverge() {
    var generator = SeededGenerator(seed: 1)
    let logits = generator.normals(60)
    let agreement = LogitsAgreement(logits, from: logits, vocabulary: 20)
    #expect(agreement.rowCount == 3)
    #expect(agreement.topOneAgreement == 1)
    #expect(agreement.largestDivergence < 1e-12)
}

@Test func aNearTieIsAllowedOnlyWithinItsAllowance() {
    let expected: [Float] = [1.0, 0.95, 0]
    let actual: [Float] = [0.9, 1.0, 0]
    #expect(LogitsAgreement(actual, from: expected, vocabulary: 3, nearTie: 0.1).agreeingRows == 1)
    let strict = LogitsAgreement(actual, from: expected, vocabulary: 3, nearTie: 0.01)
    #expect(strict.disagreements == [0])
}

@Test func theDivergenceOfAKnownPairIsRight() {
    // p = (3/4, 1/4), q = (1/2, 1/2): 3/4 ln(3/2) + 1/4 ln(1/2).
    let agreement = LogitsAgreement([0, 0], from: [1.098_612_3, 0], vocabulary: 2)
    #expect(abs(agreement.meanDivergence - 0.130_812) < 1e-5)
}

@Test func theGeneratorRepeatsItsPublishedSequence() {
    // SplitMix64 of seed 0 begins with 0xE220A8397B1DCDAF, ...; xoshiro256** is run from those four words.
    var generator = SeededGenerator(seed: 0)
    #expect(generator.next() == 0x99EC_5F36_CB75_F2B4)
    #expect(generator.next() == 0xBF6E_1F78_4956_452A)
    var normal = SeededGenerator(seed: 2)
    let values = normal.normals(20_000)
    let mean = values.reduce(0, +) / 20_000
    let variance = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 20_000
    #expect(abs(mean) < 0.03 && abs(variance - 1) < 0.05)
}
