//! Files whose checksums are right and whose contents lie: an error, never a trap.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

@Suite struct HostileFileTests {
    let folder: TemporaryDirectory
    let path: String
    let original: [UInt8]
    let header: Header
    let json: [UInt8]

    init() throws {
        folder = try TemporaryDirectory()
        path = folder.path("sample.thimble")
        try SampleModel.write(to: path)
        original = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        let file = try ModelFile(path: path)
        header = file.header
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        json = try [UInt8](encoder.encode(file.manifest))
    }

    /// Opens and verifies a file with another manifest and right checksums; nil if there is no fault.
    func fault(manifest: [UInt8], declared: Int? = nil) throws -> ModelFileError? {
        let frame = BlockCompressor.frame(of: manifest)
        var header = header
        header.manifestStoredByteCount = UInt64(frame.count)
        header.manifestByteCount = UInt64(declared ?? manifest.count)
        header.manifestChecksum = ContainerFormat.checksum(frame[...])
        header.fileByteCount = header.manifestOffset + UInt64(frame.count)
        var bytes = header.encoded
        bytes += original[bytes.count..<Int(header.manifestOffset)]
        try Data(bytes + frame).write(to: URL(fileURLWithPath: path))
        do throws(ModelFileError) {
            try ModelFile(path: path).verify()
            return nil
        } catch {
            return error
        }
    }

    @Test func theSameManifestIsAccepted() throws {
        #expect(try fault(manifest: json) == nil)
    }

    @Test func aManifestOfAnotherLengthThanDeclaredIsRefused() throws {
        for declared in [0, 1, json.count - 1, json.count + 1, 16 << 20, (16 << 20) + 1] {
            #expect(try fault(manifest: json, declared: declared) != nil, "\(declared)")
        }
    }

    @Test func changedManifestsNeverTrap() throws {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var changed = json
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = changed.indices.randomElement(using: &random)!
                changed[place] = Array("0123456789-\"{}[],:eE.\u{0}x".utf8).randomElement(using: &random)!
            }
            _ = try fault(manifest: changed)
        }
    }

    @Test func everyNumberOfAManifestMayBeExtreme() throws {
        let text = String(decoding: json, as: UTF8.self)
        let numbers = text.matches(of: /[:\[,](-?[0-9][0-9.e+-]*)/)
        #expect(numbers.count > 40)
        for number in numbers {
            for value in [
                "-1", "0", "9223372036854775807", "18446744073709551616",
            ] {
                var changed = text
                changed.replaceSubrange(number.1.startIndex..<number.1.endIndex, with: value)
                _ = try fault(manifest: Array(changed.utf8))
            }
        }
    }

    @Test func emptyAndDeepManifestsAreRefused() throws {
        for text in ["", "{}", "null", "[]", String(repeating: "[", count: 100_000)] {
            #expect(try fault(manifest: Array(text.utf8)) != nil)
        }
    }

    /// What is wrong with decompressing `frame` to `count` bytes.
    func frameFault(_ frame: [UInt8], count: Int) -> String? {
        let scratch = BlockScratch()
        var room = [UInt8](repeating: 0, count: count)
        return unsafe frame.withUnsafeBytes { source in
            unsafe room.withUnsafeMutableBytes { unsafe scratch.decompress(source, into: $0) }
        }
    }

    @Test func framesThatAreNotExactlyTheBlockAreRefused() {
        let raw = SampleModel.bytes(5000, seed: 9)
        let frame = BlockCompressor.frame(of: raw)
        #expect(frameFault(frame, count: 5000) == nil)
        #expect(frameFault(frame, count: 4999) != nil)
        #expect(frameFault(frame, count: 5001) != nil)
        #expect(frameFault(frame + [0], count: 5000) != nil)
        #expect(frameFault(frame + BlockCompressor.frame(of: []), count: 5000) != nil)
        #expect(frameFault([], count: 5000) != nil)
        for length in stride(from: 0, to: frame.count, by: 7) {
            #expect(frameFault(Array(frame[..<length]), count: 5000) != nil)
        }
        for place in frame.indices {
            // The content's checksum finds what the frame's structure does not.
            var changed = frame
            changed[place] ^= 0x10
            _ = frameFault(changed, count: 5000)
        }
    }
}
