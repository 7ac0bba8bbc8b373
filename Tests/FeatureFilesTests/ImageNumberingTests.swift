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

    /// A family of images, some of which come to share what one secret sums up of them, whatever the secret
    /// is: of a million, about ten pairs. Two secrets find no such pair alike.
    private func image(_ choice: UInt64) -> [UInt8] {
        var image = bytes(4096, seed: 13)
        // The upper bits of every eighth word of the first block, so that the words add up to the same.
        var sum: UInt8 = 0
        for word in 0..<16 {
            let bits = word == 15 ? (16 - sum % 16) % 16 : UInt8(choice >> (4 * UInt64(word)) & 15)
            image[word * 64 + 7] = image[word * 64 + 7] & 15 | bits << 4
            sum += bits
        }
        return image
    }

    /// Found by trying a million of the family.
    @Test(
        arguments: [
            (534_069_049_003_472_098, 1_020_208_286_215_748_205),
            (902_582_506_713_730_894, 20_289_733_660_247_262),
            (151_541_909_504_406_156, 833_724_894_177_761_036),
            (811_450_271_287_410_379, 470_404_802_972_264_817),
        ] as [(UInt64, UInt64)])
    func imagesThatOneSecretTakesForEachOtherHaveTwoNumbers(one: UInt64, other: UInt64) {
        let some = numbering(11)
        let images = [image(one), image(other)]
        let first = images.map { unsafe some.hash(of: $0.span.bytes, behind: nil, 0, underSecret: 0) }
        let second = images.map { unsafe some.hash(of: $0.span.bytes, behind: nil, 0, underSecret: 1) }
        #expect(images[0] != images[1] && first[0] == first[1] && second[0] != second[1])
        #expect(some.number(of: images[0]) != some.number(of: images[1]))
    }
}
