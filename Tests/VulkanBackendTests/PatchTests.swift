//! Images become the same patches as on the CPU, to the byte.

import TestSupport
import Tensors
import Testing

extension VulkanBackendTests {
    @Suite struct PatchTests {
        private static let normalised = (0..<3).flatMap { channel in
            (0...255).map { Float($0) + Float(channel) / 4 }
        }

        private func cut(
            _ width: Int, _ height: Int, to newWidth: Int, _ newHeight: Int, patchSize: Int = 4,
            mergeSize: Int = 2, frameCount: Int = 2
        ) -> PatchCut {
            PatchCut(
                width: width, height: height, resizedWidth: newWidth, resizedHeight: newHeight,
                patchSize: patchSize, mergeSize: mergeSize, frameCount: frameCount,
                normalised: Self.normalised)
        }

        /// Cuts images one after another on each backend, with nothing in between.
        private func expectTheSame(_ cuts: [PatchCut], sourceLocation: SourceLocation = #_sourceLocation)
            throws
        {
            let (device, cpu) = try onBoth { bench in
                let made = try cuts.map { cut in
                    // Few values, far apart, so that the filter overshoots.
                    let pixels = (0..<cut.width * cut.height * 3).map { _ in
                        UInt8(bench.generator.integer(below: 5)) &* 63
                    }
                    let count = cut.patchCount * cut.patchElementCount
                    let patches = try bench.activation(
                        [Float](repeating: .nan, count: count), cut.patchCount, cut.patchElementCount)
                    bench.backend.cutPatches(pixels.span, cut, into: patches)
                    return patches
                }
                return try made.map { try bench.values($0) }
            }
            for (index, cut) in cuts.enumerated() {
                #expect(
                    device[index] == cpu[index],
                    "\(cut.width) x \(cut.height) to \(cut.resizedWidth) x \(cut.resizedHeight)",
                    sourceLocation: sourceLocation)
            }
        }

        @Test func everySizeGivesTheSamePatches() throws {
            try expectTheSame([
                cut(16, 24, to: 16, 24), cut(16, 50, to: 16, 24), cut(40, 24, to: 16, 24),
                cut(11, 7, to: 24, 16), cut(100, 90, to: 24, 32), cut(16, 9, to: 16, 32),
                cut(7, 24, to: 16, 24), cut(1, 1, to: 8, 8), cut(3, 700, to: 8, 8), cut(700, 3, to: 8, 8),
                cut(1, 1000, to: 1000, 8), cut(1000, 1, to: 8, 1000),
            ])
        }

        @Test func randomSizesGiveTheSamePatches() throws {
            var generator = SeededGenerator(seed: 5)
            try expectTheSame(
                (0..<60).map { _ in
                    let (patchSize, mergeSize) = (
                        generator.integer(in: 1...15), generator.integer(in: 1...3)
                    )
                    let unit = patchSize * mergeSize
                    let (gridWidth, gridHeight) = (
                        generator.integer(in: 1...6), generator.integer(in: 1...6)
                    )
                    return cut(
                        generator.integer(in: 1...150), generator.integer(in: 1...150), to: gridWidth * unit,
                        gridHeight * unit, patchSize: patchSize, mergeSize: mergeSize,
                        frameCount: generator.integer(in: 1...3))
                })
        }

        /// As large as a page, of the right size and not.
        @Test func aPageGivesTheSamePatches() throws {
            try expectTheSame([
                cut(588, 840, to: 588, 840, patchSize: 14), cut(640, 900, to: 588, 840, patchSize: 14),
                cut(33, 20, to: 28, 28, patchSize: 14),
            ])
        }
    }
}
