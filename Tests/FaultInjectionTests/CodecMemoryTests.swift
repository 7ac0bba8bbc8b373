//! Every allocation of the image codecs is refused in turn: out of memory each time, never a damaged image.

import CAllocationCounter
import CImages
import Foundation
import TestSupport
import Testing

/// An image file and how its format is decoded.
private struct ImageFile: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let file: Data

    var testDescription: String { name }
    var isWebP: Bool { name.hasSuffix(".webp") }

    static let all: [ImageFile] = {
        let data = try! Data(Fixtures.bytes("documents/images.json"))
        return try! JSONDecoder().decode([ImageFile].self, from: data)
    }()

    /// What comes of decoding with `number` allocations refused from `first` on.
    func decode(refusing number: Int64, from first: Int64) -> (cimages_status, allocation_report) {
        let limits = cimages_limits(max_width: 65_535, max_height: 65_535, max_pixels: 1 << 26)
        let bytes = [UInt8](file)
        return unsafe bytes.withUnsafeBufferPointer { buffer in
            allocation_refusal_begin(first, number)
            let image =
                if name.hasSuffix(".png") {
                    unsafe cimages_decode_png(buffer.baseAddress, buffer.count, limits)
                } else if isWebP {
                    unsafe cimages_decode_webp(buffer.baseAddress, buffer.count, limits)
                } else {
                    unsafe cimages_decode_jpeg(buffer.baseAddress, buffer.count, limits)
                }
            unsafe cimages_free(image.pixels)
            return unsafe (image.status, allocation_refusal_end())
        }
    }
}

/// Out of memory, or where a codec was refused once and made do with less, success.
private func isBorne(_ status: cimages_status, refusing number: Int64) -> Bool {
    status == CIMAGES_OUT_OF_MEMORY || (number == 1 && status == CIMAGES_OK)
}

@Suite(
    .enabled(
        if: allocation_counter_is_available() != 0, "a sanitizer, or another C library, has its own malloc"))
struct CodecMemoryTests {
    @Test(arguments: ImageFile.all) private func everyAllocationMayBeRefused(image: ImageFile) {
        let (status, report) = image.decode(refusing: 0, from: 0)
        #expect(status == CIMAGES_OK && report.calls > 0 && report.held_blocks == 0)
        // libwebp itself cannot bear a refusal. The first two calls are ours: the pixels, and memory for
        // transparency or the trial of what libwebp will take.
        for first in 0..<(image.isWebP ? 2 : report.calls) {
            for number in [1, Int64.max] {
                let (status, report) = image.decode(refusing: number, from: first)
                #expect(report.refused > 0, "\(number) from \(first) on")
                #expect(isBorne(status, refusing: number), "\(number) from \(first) on")
                #expect(report.held_blocks == 0, "\(number) from \(first) on")
            }
        }
    }

    @Test func everyAllocationOfAnEncoderMayBeRefused() {
        let pixels = (0..<300 * 200 * 3).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 7) }
        func encode(refusing number: Int64, from first: Int64) -> (cimages_status, allocation_report) {
            unsafe pixels.withUnsafeBufferPointer { buffer in
                allocation_refusal_begin(first, number)
                let file = unsafe cimages_encode_png(buffer.baseAddress, 300, 200, 3)
                unsafe cimages_free(file.bytes)
                return unsafe (file.status, allocation_refusal_end())
            }
        }
        let (status, report) = encode(refusing: 0, from: 0)
        #expect(status == CIMAGES_OK && report.calls > 0 && report.held_blocks == 0)
        for first in 0..<report.calls {
            for number in [1, Int64.max] {
                let (status, report) = encode(refusing: number, from: first)
                #expect(report.refused > 0, "\(number) from \(first) on")
                #expect(isBorne(status, refusing: number), "\(number) from \(first) on")
                #expect(report.held_blocks == 0, "\(number) from \(first) on")
            }
        }
    }
}
