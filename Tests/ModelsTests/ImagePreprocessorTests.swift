//! The preprocessor gives the reference's sizes and pixels, and refuses what it cannot use.

import CPUBackend
import Foundation
import ModelFile
import Tensors
import TestSupport
import Testing

@testable import Models

private let mean: [Float] = [0.48145466, 0.4578275, 0.40821073]
private let deviation: [Float] = [0.26862954, 0.26130258, 0.27577711]

private func preprocessor(
    minimumPixels: Int = 12_544, maximumPixels: Int = 9_633_792, patchSize: Int = 14, mergeSize: Int = 2
) throws -> ImagePreprocessor {
    let settings = ImageSettings(
        minimumPixels: minimumPixels, maximumPixels: maximumPixels, mean: mean, standardDeviation: deviation)
    let vision = VisionConfiguration(
        hiddenSize: 64, depth: 1, headCount: 1, mergerIntermediateSize: 64, outputSize: 64,
        patchSize: patchSize,
        temporalPatchSize: 2, mergeSize: mergeSize, channelCount: 3, positionGridSize: 24,
        rmsNormEpsilon: 1e-5,
        ropeTheta: 10_000, hasQKVBias: false)
    return try ImagePreprocessor(settings: settings, vision: vision)
}

/// The patches of an image, `[patchCount, patchElementCount]`.
private func patches(
    _ preprocessor: ImagePreprocessor, of pixels: [UInt8], width: Int, height: Int
) throws -> (cut: PatchCut, values: [Float]) {
    let cut = try preprocessor.cut(width: width, height: height)
    let backend = CPUBackend(threadCount: 2)
    let count = cut.patchCount * cut.patchElementCount
    let patches = Activation(
        try backend.makeMemory(byteCount: count * 4, label: "patches"), rows: cut.patchCount,
        columns: cut.patchElementCount)
    try backend.useScratch(byteCount: backend.scratchByteCount(of: .patches(cut)))
    backend.cutPatches(pixels.span, cut, into: patches)
    return (cut, try backend.values(of: patches))
}

// MARK: sizes

private struct SizeRow: Decodable {
    var height: Int
    var width: Int
    var factor: Int
    var minimumPixels: Int
    var maximumPixels: Int
    /// Height and width; nil where the reference refuses the size.
    var result: [Int]?
}

@Test func sizesAreThoseOfTheReference() throws {
    let rows = try Fixtures.json("reference/preprocessing/sizes.json", as: [SizeRow].self)
    #expect(rows.count == 300)
    for row in rows {
        let preprocessor = try preprocessor(
            minimumPixels: row.minimumPixels, maximumPixels: row.maximumPixels, patchSize: row.factor / 2)
        let size = PixelSize(width: row.width, height: row.height)
        if let result = row.result {
            #expect(
                try preprocessor.smartResize(size) == PixelSize(width: result[1], height: result[0]), "\(row)"
            )
        } else {
            #expect(throws: ImagePreprocessorError.self, "\(row)") { try preprocessor.smartResize(size) }
        }
    }
}

// MARK: pixels

private struct PixelCase: Decodable, CustomStringConvertible {
    var name: String
    var width: Int
    var height: Int
    var isGrey: Bool
    var minimumPixels: Int
    var maximumPixels: Int
    var patchSize: Int
    var grid: [Int]

    var description: String { name }

    /// The image that make_preprocessing.py draws.
    var pixels: [UInt8] {
        (0..<height).flatMap { y in
            (0..<width).flatMap { x in
                (0..<3).map { channel -> UInt8 in
                    let k = isGrey ? 0 : channel
                    let speckle = (x * 7919 + y * 104_729 + x * y * (31 + k)) % 97
                    let tiles = (x / (5 + k) + y / (7 - k)) % 2 * 120
                    return UInt8((tiles + speckle + 3 * x + (k + 1) * y) % 256)
                }
            }
        }
    }

    static var all: [PixelCase] {
        (try? Fixtures.json("reference/preprocessing/cases.json")) ?? []
    }
}

@Test func theReferenceHasCases() { #expect(PixelCase.all.count >= 8) }

@Test(arguments: PixelCase.all)
private func patchesAreThoseOfTheReference(image: PixelCase) throws {
    let preprocessor = try preprocessor(
        minimumPixels: image.minimumPixels, maximumPixels: image.maximumPixels, patchSize: image.patchSize)
    let (cut, values) = try patches(
        preprocessor, of: image.pixels, width: image.width, height: image.height)
    #expect([cut.gridHeight, cut.gridWidth] == image.grid)
    let elements = cut.patchElementCount

    let expected = try NPY(contentsOf: Fixtures.url("reference/preprocessing/\(image.name).npy"))
    let plane = image.patchSize * image.patchSize
    #expect(expected.shape == [cut.patchCount, 3, image.patchSize, image.patchSize])
    var largestError: Float = 0
    for patch in 0..<cut.patchCount {
        for element in 0..<elements {
            let (channel, pixel) = (element / (2 * plane), element % plane)
            let byte = Float(expected.data[(patch * 3 + channel) * plane + pixel])
            let value = values[patch * elements + element] * (deviation[channel] * 255) + mean[channel] * 255
            largestError = max(largestError, (value - byte).magnitude)
        }
    }
    // The bytes are the reference's own; what is left is the rounding of undoing the normalisation here.
    #expect(largestError < 1e-3, "largest error \(largestError) of 255")
}

@Test func patchesOfAVisualTokenFollowEachOther() throws {
    // Each patch is one flat colour, its number in row-major order: nothing is resized.
    let preprocessor = try preprocessor(minimumPixels: 1, patchSize: 4)
    let (width, height) = (16, 8)
    let pixels = (0..<width * height).flatMap { index -> [UInt8] in
        let (y, x) = index.quotientAndRemainder(dividingBy: width)
        return Array(repeating: UInt8(y / 4 * 4 + x / 4), count: 3)
    }
    let (cut, values) = try patches(preprocessor, of: pixels, width: width, height: height)
    #expect((cut.gridHeight, cut.gridWidth) == (2, 4))
    let order = (0..<8).map { patch -> Int in
        let byte = values[patch * cut.patchElementCount] * (deviation[0] * 255) + mean[0] * 255
        return Int(byte.rounded())
    }
    #expect(order == [0, 1, 4, 5, 2, 3, 6, 7])
}

@Test func aFlatImageStaysFlat() throws {
    let preprocessor = try preprocessor()
    let pixels = [UInt8](repeating: 255, count: 77 * 333 * 3)
    let (_, values) = try patches(preprocessor, of: pixels, width: 77, height: 333)
    let white = (255 - mean[0] * 255) / (deviation[0] * 255)
    #expect(values[0] == white)
    #expect(values.allSatisfy { $0 > 1.9 && $0 < 2.3 })
}

// MARK: refusals

@Test func emptyImagesAreRefused() throws {
    let preprocessor = try preprocessor()
    #expect(throws: ImagePreprocessorError.emptyImage(width: 0, height: 10)) {
        try preprocessor.grid(width: 0, height: 10)
    }
    #expect(throws: ImagePreprocessorError.emptyImage(width: 10, height: -1)) {
        try preprocessor.grid(width: 10, height: -1)
    }
}

@Test func stripesAreRefused() throws {
    let preprocessor = try preprocessor()
    #expect(throws: ImagePreprocessorError.aspectRatioTooLarge(width: 8000, height: 30, limit: 200)) {
        try preprocessor.grid(width: 8000, height: 30)
    }
    #expect(try preprocessor.grid(width: 5600, height: 28) == ImageGrid(height: 2, width: 400))
}

@Test func sizesBeyondAnyImageAreRefusedWithoutOverflow() throws {
    let preprocessor = try preprocessor()
    for side in [65_536, Int(Int32.max), Int.max] {
        #expect(throws: ImagePreprocessorError.self) { try preprocessor.grid(width: side, height: side) }
    }
}

@Test func settingsThatAskForTooManyPixelsAreRefused() throws {
    let greedy = try preprocessor(minimumPixels: 1 << 39, maximumPixels: 1 << 40)
    #expect(throws: ImagePreprocessorError.self) { try greedy.grid(width: 100, height: 100) }
    #expect(throws: ImagePreprocessorError.self) { try greedy.grid(width: 1, height: 1) }
    let unbounded = try preprocessor(maximumPixels: 1 << 40)
    #expect(throws: ImagePreprocessorError.self) { try unbounded.grid(width: 60_000, height: 60_000) }
}

@Test(arguments: [
    (0, 1, 14, 2), (10, 9, 14, 2), (1, 1 << 50, 14, 2), (1, 9, 0, 2), (1, 9, 14, 0), (1, 9, 1 << 40, 2),
])
func unusableSettingsAreRefused(minimum: Int, maximum: Int, patchSize: Int, mergeSize: Int) {
    #expect(throws: ImagePreprocessorError.self) {
        try preprocessor(
            minimumPixels: minimum, maximumPixels: maximum, patchSize: patchSize, mergeSize: mergeSize)
    }
}
