//! Image files of every format and mode against the reference's pixels, and damaged files against refusal.

import Foundation
import Testing

@testable import Documents

/// One image file and the pixels that the reference's `convert_to_rgb` gives for it.
struct ImageCase: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let width: Int
    let height: Int
    let file: Data
    let pixels: Data

    var testDescription: String { name }

    static let all: [ImageCase] = {
        let data = try! Data(contentsOf: Fixtures.directory.appending(path: "images.json"))
        return try! JSONDecoder().decode([ImageCase].self, from: data)
    }()
}

@Suite struct ImageTests {
    @Test(arguments: ImageCase.all)
    func everyModeDecodesToThePixelsOfTheReference(_ image: ImageCase) throws {
        let decoded = try RGBImage(decoding: Array(image.file))
        #expect(decoded.width == image.width && decoded.height == image.height)
        // Codec builds differ by one step in the chroma of lossy files.
        let tolerance = image.name.hasSuffix(".png") || image.name.contains("less") ? 0 : 2
        let worst = zip(decoded.pixels, image.pixels).map { abs(Int($0) - Int($1)) }.max()
        #expect(worst! <= tolerance)
    }

    @Test(arguments: ImageCase.all)
    func everyTruncationIsRefused(_ image: ImageCase) {
        let bytes = Array(image.file)
        for length in 0..<bytes.count - 12 {
            #expect(throws: DocumentError.self, "cut to \(length) of \(bytes.count) bytes") {
                try RGBImage(decoding: Array(bytes[..<length]))
            }
        }
    }

    @Test(arguments: ImageCase.all)
    func damagedBytesNeverTrap(_ image: ImageCase) {
        let bytes = Array(image.file)
        var decoded = 0
        for position in bytes.indices {
            for value in [0x00, 0xFF, bytes[position] ^ 0x10] as [UInt8] {
                var damaged = bytes
                damaged[position] = value
                let limits = ImageLimits(maxPixels: 1_000_000)
                if let image = try? RGBImage(decoding: damaged, limits: limits) {
                    decoded += 1
                    #expect(image.pixels.count == image.width * image.height * 3)
                }
            }
        }
        #expect(decoded < bytes.count * 3)
    }

    @Test func aHeaderBeyondTheLimitsIsRefusedByItsNumbers() throws {
        let image = try #require(ImageCase.all.first { $0.name == "rgb.png" })
        let error = #expect(throws: DocumentError.self) {
            try RGBImage(decoding: Array(image.file), limits: ImageLimits(maxPixels: 100))
        }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("13 x 9") == true)
    }

    @Test func anEncodedPNGDecodesToItself() throws {
        let image = RGBImage(width: 5, height: 3, pixels: (0..<45).map { UInt8($0 * 5) })
        #expect(try RGBImage(decoding: image.encodedPNG()) == image)
        let grey = (0..<15).map { UInt8($0 * 17) }
        let file = try RGBImage.encodedPNG(grey: grey, width: 5, height: 3)
        #expect(try RGBImage(decoding: file).pixels == grey.flatMap { [$0, $0, $0] })
    }

    @Test func otherBytesAreNotAnImage() {
        let error = #expect(throws: DocumentError.self) { try RGBImage(decoding: Array("hello".utf8)) }
        #expect(error?.kind == .unsupported)
    }
}
