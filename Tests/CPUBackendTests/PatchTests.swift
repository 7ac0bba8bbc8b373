//! Images become the same patches on every variant and however many threads share the work.

import Tensors
import TestSupport
import Testing

@testable import CPUBackend

private let normalised = (0..<3).flatMap { channel in (0...255).map { Float($0) + Float(channel) / 4 } }

private func cut(
    _ width: Int, _ height: Int, to resized: (width: Int, height: Int), patchSize: Int = 4,
    mergeSize: Int = 2,
    frameCount: Int = 2
) -> PatchCut {
    PatchCut(
        width: width, height: height, resizedWidth: resized.width, resizedHeight: resized.height,
        patchSize: patchSize, mergeSize: mergeSize, frameCount: frameCount, normalised: normalised)
}

private func patches(_ pixels: [UInt8], _ cut: PatchCut, on backend: CPUBackend) throws -> [Float] {
    let count = cut.patchCount * cut.patchElementCount
    let patches = Activation(
        try backend.makeMemory(byteCount: count * 4, label: "patches"), rows: cut.patchCount,
        columns: cut.patchElementCount)
    try backend.useScratch(byteCount: backend.scratchByteCount(of: .patches(cut)))
    backend.cutPatches(pixels.span, cut, into: patches)
    return try backend.values(of: patches)
}

/// The resized image by the definition of an axis, one whole pass after the other.
private func resized(_ pixels: [UInt8], _ cut: PatchCut) -> [UInt8] {
    let narrowed = resample(pixels, cut.columns, lines: cut.height, lineStride: cut.width * 3, step: 3)
    let width = cut.resizedWidth
    // Columns of the narrowed image are lines of the second pass.
    var turned = [UInt8](repeating: 0, count: narrowed.count)
    for y in 0..<cut.height {
        for x in 0..<width * 3 { turned[(x / 3 * cut.height + y) * 3 + x % 3] = narrowed[y * width * 3 + x] }
    }
    let blended = resample(turned, cut.rows, lines: width, lineStride: cut.height * 3, step: 3)
    var result = [UInt8](repeating: 0, count: width * cut.resizedHeight * 3)
    for y in 0..<cut.resizedHeight {
        for x in 0..<width * 3 {
            result[y * width * 3 + x] = blended[(x / 3 * cut.resizedHeight + y) * 3 + x % 3]
        }
    }
    return result
}

/// Resamples each of `lines` along its pixels.
private func resample(
    _ pixels: [UInt8], _ axis: ResamplingAxis, lines: Int, lineStride: Int, step: Int
) -> [UInt8] {
    var starts = [Int32](repeating: -1, count: axis.outputs)
    var counts = starts
    var weights = [Int16](repeating: 99, count: axis.outputs * axis.capacity)
    let precision = unsafe starts.withUnsafeMutableBufferPointer { starts in
        unsafe counts.withUnsafeMutableBufferPointer { counts in
            unsafe weights.withUnsafeMutableBufferPointer { weights in
                unsafe axis.writeTaps(starts: starts, counts: counts, weights: weights)
            }
        }
    }
    var result: [UInt8] = []
    for line in 0..<lines {
        for output in 0..<axis.outputs {
            for channel in 0..<step {
                var sum = 1 << (Int(precision) - 1)
                for tap in 0..<Int(counts[output]) {
                    let pixel = pixels[line * lineStride + (Int(starts[output]) + tap) * step + channel]
                    sum += Int(weights[output * axis.capacity + tap]) * Int(pixel)
                }
                result.append(UInt8(min(max(sum >> Int(precision), 0), 255)))
            }
        }
    }
    return result
}

@Test(arguments: [
    (16, 24, 16, 24), (16, 50, 16, 24), (40, 24, 16, 24), (11, 7, 24, 16), (100, 90, 24, 32),
    (16, 9, 16, 32), (7, 24, 16, 24), (1, 1, 8, 8), (3, 700, 8, 8),
])
func everyPatchHoldsItsPartOfTheResizedImage(width: Int, height: Int, newWidth: Int, newHeight: Int) throws {
    var generator = SeededGenerator(seed: UInt64(width * 1000 + height))
    // Few values, far apart, so that the filter overshoots.
    let pixels = (0..<width * height * 3).map { _ in UInt8.random(in: 0...4, using: &generator) &* 63 }
    let cut = cut(width, height, to: (newWidth, newHeight))
    let image = resized(pixels, cut)
    var expected = [Float](repeating: .nan, count: cut.patchCount * cut.patchElementCount)
    for y in 0..<newHeight {
        for x in 0..<newWidth * 3 {
            let (column, channel) = (x / 3, x % 3)
            let patch = cut.patchIndex(row: y / cut.patchSize, column: column / cut.patchSize)
            let within = y % cut.patchSize * cut.patchSize + column % cut.patchSize
            for frame in 0..<cut.frameCount {
                let plane = channel * cut.frameCount + frame
                let at = (patch * 3 * cut.frameCount + plane) * cut.patchSize * cut.patchSize + within
                expected[at] = normalised[channel * 256 + Int(image[y * newWidth * 3 + x])]
            }
        }
    }
    for variant in CPUBackend.variants {
        for threads in [1, 3] {
            let backend = CPUBackend(threadCount: threads, variant: variant)
            // Scratch that an image before has left changes nothing.
            _ = try patches([UInt8](repeating: 7, count: 9 * 9 * 3), anotherCut, on: backend)
            #expect(try patches(pixels, cut, on: backend) == expected, "\(variant), \(threads) threads")
        }
    }
}

private let anotherCut = cut(9, 9, to: (8, 8))

@Test func anAxisOfTheSameLengthIsTheIdentity() {
    let pixels = (0..<60).map { UInt8($0 * 4) }
    let axis = ResamplingAxis(inputs: 20, outputs: 20)
    #expect(axis.isIdentity)
    #expect(resample(pixels, axis, lines: 1, lineStride: 60, step: 3) == pixels)
}

@Test func scratchIsAFewRows() {
    let scratch = PatchScratch(cut(1080, 2400, to: (1092, 2408), patchSize: 14), threadCount: 2)
    // Of each thread: eight rows under the filter and one more. And the taps; the whole resized image would
    // be 7.9 MB.
    #expect((2 * 1092 * 3 * 9..<200_000).contains(scratch.byteCount))
    let page = PatchScratch(cut(588, 840, to: (588, 840), patchSize: 14), threadCount: 2)
    #expect(page.byteCount == 0, "a page of the right size is not resized")
}
