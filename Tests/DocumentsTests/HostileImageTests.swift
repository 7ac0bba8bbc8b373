//! Image files that are made to exhaust memory, to take for ever, or to lie.

import Foundation
import TestSupport
import Testing

@testable import Documents

/// hostile.json, as make_hostile.py writes it.
enum HostileImages {
    struct Sixteen: Decodable {
        var file: Data
        var pixels: Data
    }

    private struct File: Decodable {
        var sixteen_bits: [String: Sixteen]
    }

    static func bytes(_ name: String) throws -> [UInt8] {
        let object = try JSONSerialization.jsonObject(with: Data(Fixtures.bytes("hostile.json")))
        let text = try #require((object as? [String: Any])?[name] as? String)
        return Array(try #require(Data(base64Encoded: text)))
    }

    static func sixteenBits() throws -> [String: Sixteen] {
        try JSONDecoder().decode(File.self, from: Data(Fixtures.bytes("hostile.json"))).sixteen_bits
    }

    static func image(_ name: String) throws -> [UInt8] {
        Array(try #require(ImageCase.all.first { $0.name == name }).file)
    }

    /// `bytes` with `part` in place of what stands at `offset`.
    static func patched(_ bytes: [UInt8], at offset: Int, _ part: [UInt8]) -> [UInt8] {
        var bytes = bytes
        bytes.replaceSubrange(offset..<offset + part.count, with: part)
        return bytes
    }

    static func bigEndian(_ value: Int, count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * (count - 1 - $0))) }
    }

    static func littleEndian(_ value: Int, count: Int) -> [UInt8] {
        Array(bigEndian(value, count: count).reversed())
    }

    /// The CRC of PNG chunks (ISO 3309).
    static func crc(_ bytes: some Sequence<UInt8>) -> Int {
        var crc: UInt32 = 0xFFFF_FFFF
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0xEDB8_8320 }
        }
        return Int(~crc)
    }

    /// A PNG file with another size in its header, whose CRC agrees.
    static func png(_ bytes: [UInt8], width: Int, height: Int) -> [UInt8] {
        let sized = patched(bytes, at: 16, bigEndian(width, count: 4) + bigEndian(height, count: 4))
        return patched(sized, at: 29, bigEndian(crc(sized[12..<29]), count: 4))
    }

    /// The offset of the first segment of a JPEG file whose marker is `marker`.
    static func segment(_ marker: UInt8, of bytes: [UInt8]) throws -> Int {
        try #require((2..<bytes.count - 1).first { bytes[$0] == 0xFF && bytes[$0 + 1] == marker })
    }
}

/// Memory and time, in child processes.
@Suite(
    .serialized, .enabled(if: !isThreadSanitized, "one thread in shadowed memory: neither is to be seen"))
struct LargeImageTests {
    /// 100 megapixels are refused by their header, before anything is taken for them.
    @Test func aHundredMegapixelsAreRefusedWithoutMemory() async throws {
        await #expect(processExitsWith: .success) {
            let files = try ["too_large.png", "too_large_interlaced.png"].map { try HostileImages.bytes($0) }
            try withMemoryGrowingAtMost(16 << 20) {
                for file in files {
                    let error = #expect(throws: DocumentError.self) { try RGBImage(decoding: file) }
                    let message = try #require(error?.message)
                    try #require(error?.kind == .tooLarge && message.contains("10000 x 10000"))
                }
            }
        }
    }

    /// What the limits let through takes at most 8 bytes a pixel.
    @Test(arguments: [
        "large.png", "large_interlaced.png", "large_transparent.png", "large.webp", "large_lossless.webp",
        "large_transparent.webp", "large_progressive.jpg",
    ])
    func aLargeImageKeepsToTheStatedMemory(_ name: String) async throws {
        await #expect(processExitsWith: .success) { [name = name as String] in
            let file = try HostileImages.bytes(name)
            let side = ["large.webp", "large_progressive.jpg"].contains(name) ? 4_000 : 8_000
            try withMemoryGrowingAtMost(8 * side * side + (16 << 20)) {
                let image = try RGBImage(decoding: file)
                try #require(image.width == side && image.height == side)
                try #require(image.pixels.prefix(3).elementsEqual(image.pixels.suffix(3)))
            }
        }
    }

    /// A thousand text chunks of 8 MB, in a file of as many times 8 KB.
    @Test func chunksThatUnfoldAreNotUnfolded() async throws {
        await #expect(processExitsWith: .success) {
            let chunk = try HostileImages.bytes("unfolding_chunk")
            var file = try HostileImages.image("rgb.png")
            file.insert(contentsOf: (0..<1_000).flatMap { _ in chunk }, at: 33)
            try withMemoryGrowingAtMost(16 << 20) { try #require(RGBImage(decoding: file).width == 13) }
        }
    }

    /// A progressive file's coefficients are held all at once: here 6 bytes a pixel.
    @Test func scansBeyondTheirMemoryAreRefused() async throws {
        await #expect(processExitsWith: .success) {
            let small = try HostileImages.bytes("small_progressive.jpg")
            let size = HostileImages.bigEndian(8_000, count: 2)
            let file = HostileImages.patched(
                small, at: try HostileImages.segment(0xC2, of: small) + 5, size + size)
            try withMemoryGrowingAtMost(16 << 20) {
                let error = #expect(throws: DocumentError.self) { try RGBImage(decoding: file) }
                try #require(error?.kind == .tooLarge && error?.message.contains("256 MiB") == true)
            }
        }
    }
}

@Suite struct LyingImageTests {
    @Test func sixteenBitChannelsAreThoseOfTheReference() throws {
        let cases = try HostileImages.sixteenBits()
        #expect(cases.count == 4)
        for (name, image) in cases {
            #expect(try RGBImage(decoding: Array(image.file)).pixels == Array(image.pixels), "\(name)")
        }
    }

    @Test(arguments: ["rgb.png", "rgba.png", "palette.png", "grey.png"])
    func aPNGLargerThanItsDataIsRefused(_ name: String) throws {
        let file = try HostileImages.image(name)
        for (width, height) in [(13, 10), (13, 5_000), (5_000, 9), (17, 9), (65_535, 1_000)] {
            let lying = HostileImages.png(file, width: width, height: height)
            let error = #expect(throws: DocumentError.self) { try RGBImage(decoding: lying) }
            #expect(error?.kind == .malformed, "\(width) x \(height)")
        }
        for (width, height) in [(0, 9), (13, 0), (1 << 31, 9), (0xFFFF_FFFF, 0xFFFF_FFFF)] {
            let lying = HostileImages.png(file, width: width, height: height)
            #expect(throws: DocumentError.self) { try RGBImage(decoding: lying) }
        }
        // Data beyond the last row is no harm, but the picture has the header's size.
        if let image = try? RGBImage(decoding: HostileImages.png(file, width: 13, height: 4)) {
            #expect(image.width == 13 && image.height == 4)
        }
    }

    @Test func aWrongChecksumIsRefused() throws {
        let file = try HostileImages.image("palette.png")
        var position = 8
        var chunks = 0
        while position < file.count {
            let length = file[position..<position + 4].reduce(0) { $0 << 8 | Int($1) }
            let crc = position + 8 + length
            let damaged = HostileImages.patched(file, at: crc, [file[crc] ^ 1])
            #expect(throws: DocumentError.self, "chunk at \(position)") { try RGBImage(decoding: damaged) }
            position = crc + 4
            chunks += 1
        }
        #expect(chunks == 4)
    }

    @Test(arguments: ["rgb.jpg", "progressive.jpg", "grey.jpg", "cmyk.jpg"])
    func aJPEGWhoseSizeIsNotItsDatasIsRefused(_ name: String) throws {
        let file = try HostileImages.image(name)
        let frame = try HostileImages.segment(name == "progressive.jpg" ? 0xC2 : 0xC0, of: file)
        for (height, width) in [(9_000, 13), (9, 9_000), (0, 13), (9, 0), (65_535, 65_535)] {
            let size = HostileImages.bigEndian(height, count: 2) + HostileImages.bigEndian(width, count: 2)
            let lying = HostileImages.patched(file, at: frame + 5, size)
            #expect(throws: DocumentError.self, "\(width) x \(height)") { try RGBImage(decoding: lying) }
        }
        // A second frame header, the same or another.
        let length = Int(file[frame + 2]) << 8 | Int(file[frame + 3])
        let header = Array(file[frame..<frame + 2 + length])
        for extra in [header, HostileImages.patched(header, at: 5, [0, 200, 0, 200])] {
            var doubled = file
            doubled.insert(contentsOf: extra, at: frame + header.count)
            #expect(throws: DocumentError.self) { try RGBImage(decoding: doubled) }
        }
    }

    @Test func scansWithoutEndAreRefused() throws {
        let file = try HostileImages.bytes("small_progressive.jpg")
        let last = try #require((0..<file.count - 2).last { file[$0] == 0xFF && file[$0 + 1] == 0xDA })
        // Each is sent as if it were the first of its coefficients, for libjpeg wants no bit refined twice.
        let body = HostileImages.patched(Array(file[last..<file.count - 2]), at: 9, [0])
        let bomb =
            Array(file.dropLast(2)) + Array(repeatElement(body, count: 200_000).joined()) + [0xFF, 0xD9]
        let error = #expect(throws: DocumentError.self) { try RGBImage(decoding: bomb) }
        #expect(error?.message.contains("scans") == true, "\(error?.message ?? "")")
    }

    /// A WebP file whose canvas is not its frame's size, whose container is too long or too short, and one
    /// that says it is animated.
    @Test(arguments: ["lossless.webp", "alpha.webp", "lossy.webp"])
    func aLyingWebPIsRefused(_ name: String) throws {
        let file = try HostileImages.image(name)
        let frame = file[12..<16].elementsEqual("VP8X".utf8) ? Array(file[30...]) : Array(file[12...])
        func container(_ width: Int, _ height: Int, flags: UInt8) -> [UInt8] {
            let canvas =
                HostileImages.littleEndian(width - 1, count: 3)
                + HostileImages.littleEndian(height - 1, count: 3)
            let chunks = Array("VP8X".utf8) + [10, 0, 0, 0, flags, 0, 0, 0] + canvas + frame
            return Array("RIFF".utf8) + HostileImages.littleEndian(4 + chunks.count, count: 4)
                + Array("WEBP".utf8)
                + chunks
        }
        #expect(try RGBImage(decoding: container(13, 9, flags: 0)).width == 13)
        for (width, height) in [(14, 9), (13, 8), (1, 1), (5_000, 5_000), (1 << 24, 1 << 24)] {
            let lying = container(width, height, flags: 0)
            #expect(throws: DocumentError.self, "\(width) x \(height)") { try RGBImage(decoding: lying) }
        }
        let animated = #expect(throws: DocumentError.self) {
            try RGBImage(decoding: container(13, 9, flags: 2))
        }
        #expect(animated?.message.contains("animation") == true)
        for size in [0, 4, file.count - 20, Int(UInt32.max)] {
            let lying = HostileImages.patched(file, at: 4, HostileImages.littleEndian(size, count: 4))
            #expect(throws: DocumentError.self, "container of \(size)") { try RGBImage(decoding: lying) }
        }
    }
}
