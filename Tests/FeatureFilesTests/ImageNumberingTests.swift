//! Holds the numbers of images: equal for equal images alone, and never to be foreseen.

import TestSupport
import Testing

@testable import FeatureFiles

/// Bytes that `seed` decides.
private func bytes(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SeededGenerator(seed: seed)
    return (0..<count).map { _ in UInt8.random(in: 0 ... .max, using: &random) }
}

/// A numbering that `seed` decides.
private func numbering(_ seed: UInt64) -> ImageNumbering {
    ImageNumbering(secret: bytes(ImageNumbering.secretByteCount, seed: seed))
}

@Suite struct ImageNumberingTests {
    @Test func equalImagesHaveOneNumber() {
        let some = numbering(7)
        let pixels = bytes(31 * 17 * 3)
        let number = some.number(of: pixels.span, width: 31, height: 17, for: 5)
        #expect(number == some.number(of: Array(pixels).span, width: 31, height: 17, for: 5))
        #expect(number == numbering(7).number(of: pixels.span, width: 31, height: 17, for: 5))
    }

    @Test func sizeModelAndSecretMakeOtherNumbers() {
        let pixels = bytes(24 * 10 * 3)
        var numbers: Set<UInt128> = []
        for (width, height) in [(24, 10), (10, 24), (240, 1), (1, 240), (12, 20)] {
            for model in [0, 1, UInt128(1) << 64, .max] {
                for seed in 1...3 {
                    numbers.insert(
                        numbering(UInt64(seed))
                            .number(of: pixels.span, width: width, height: height, for: model))
                }
            }
        }
        #expect(numbers.count == 5 * 4 * 3)
    }

    /// Over lengths that the hash takes in different ways.
    @Test(arguments: [3, 48, 207, 210, 240, 480, 990, 1023, 1026, 9999])
    func everyBitOfAnImageCounts(byteCount: Int) {
        let some = numbering(3)
        var pixels = bytes(byteCount)
        var numbers: Set = [some.number(of: pixels.span, width: byteCount / 3, height: 1, for: 0)]
        let cases = min(caseCount(4000), byteCount * 8)
        for index in 0..<cases {
            let bit = index * (byteCount * 8) / cases
            pixels[bit / 8] ^= 1 << UInt8(bit % 8)
            numbers.insert(some.number(of: pixels.span, width: byteCount / 3, height: 1, for: 0))
            pixels[bit / 8] ^= 1 << UInt8(bit % 8)
        }
        #expect(numbers.count == cases + 1)
    }

    @Test func secretsAreRandom() {
        let secrets = (0..<20).map { _ in ImageNumbering().secret }
        #expect(Set(secrets).count == 20 && secrets.allSatisfy { $0.count == ImageNumbering.secretByteCount })
        #expect(secrets.allSatisfy { Set($0).count > 100 })
    }

    /// The images of the family below come to share what one secret sums up of them, some pairs in a million,
    /// whatever the secret is. Two secrets are of no such pair alike.
    @Test func imagesChosenToCollideDoNot() {
        let count = caseCount(1 << 19)
        let some = numbering(11)
        var random = SeededGenerator(seed: 12)
        var image = bytes(4096, seed: 13)
        var numbers: Set<UInt128> = []
        var images: Set<UInt64> = []
        while images.count < count {
            let choice = random.next() >> 4
            guard images.insert(choice).inserted else { continue }
            // The upper bits of every eighth word of the first block, so that the words add up to the same.
            var sum: UInt8 = 0
            for word in 0..<16 {
                let last = word == 15
                let bits = last ? (16 - sum % 16) % 16 : UInt8(choice >> (4 * UInt64(word)) & 15)
                image[word * 64 + 7] = image[word * 64 + 7] & 15 | bits << 4
                sum += bits
            }
            numbers.insert(some.number(of: image))
        }
        #expect(numbers.count == count)
    }
}
