//! Holds embedding, norms, gathered sums and copies against the CPU.

import TestSupport
import Tensors
import Testing

extension VulkanBackendTests {
    @Suite struct RowOperationsTests {
        /// A weight is a code times a scale: nothing is rounded twice, so that every bit is the same.
        @Test(arguments: allFormats)
        func embeddedRowsAreTheWeights(format: WeightFormat) throws {
            for (rows, columns) in [(1, 1), (18, 40), (33, 128), (100, 333)] {
                let (device, cpu) = try onBoth { bench in
                    let table = try bench.matrix(rows, columns, format)
                    let tokens = (0..<2 * rows + 1).map { _ in Int32(bench.generator.integer(below: rows)) }
                    let (y, _) = try bench.random(tokens.count, columns)
                    bench.backend.embed(tokens.span, table: table, into: y)
                    return try bench.values(y)
                }
                #expect(device == cpu, "\(rows) x \(columns)")
            }
        }

        /// Tokens are brought to the device as they are when they are asked for, and no later ones.
        @Test func embeddingsInARowKeepTheirTokens() throws {
            let (device, cpu) = try onBoth { bench in
                let table = try bench.matrix(50, 16, .f16)
                let ys = try (0..<200).map { _ in try bench.random(3, 16).0 }
                for (index, y) in ys.enumerated() {
                    let tokens = (0..<3).map { Int32((7 * index + $0) % 50) }
                    bench.backend.embed(tokens.span, table: table, into: y)
                }
                return try ys.map { try bench.values($0) }
            }
            #expect(device == cpu)
        }

        /// Rows go where they are asked for, whatever runs they lie in, and no others change.
        @Test(arguments: [[0], [4, 5, 6, 0, 1, 9], [9, 8, 7, 6], [2, 3, 5, 6, 8, 9]] as [[Int32]])
        func embeddedRowsGoToTheirPlaces(places: [Int32]) throws {
            let (device, cpu) = try onBoth { bench in
                let table = try bench.matrix(50, 33, .q4(group: 32))
                let tokens = places.map { _ in Int32(bench.generator.integer(below: 50)) }
                let (plain, _) = try bench.random(places.count, 33)
                let (y, before) = try bench.random(10, 33)
                bench.backend.embed(tokens.span, table: table, into: plain)
                bench.backend.embed(tokens.span, table: table, into: y, at: places.span)
                let (rows, all) = (try bench.values(plain), try bench.values(y))
                for row in 0..<10 {
                    let source = places.firstIndex(of: Int32(row)).map { rows[$0 * 33..<$0 * 33 + 33] }
                    #expect(all[row * 33..<row * 33 + 33] == source ?? before[row * 33..<row * 33 + 33])
                }
                return all
            }
            #expect(device == cpu)
        }

        /// A sum of squares in another order is off by a few roundings, and so is the root.
        @Test(arguments: [(1, 1), (3, 40), (2, 127), (5, 128), (600, 33), (2, 5000)])
        func normsAgree(rows: Int, columns: Int) throws {
            let numbers = try onBoth { bench in
                let (x, _) = try bench.random(rows, columns)
                let (weight, _) = try bench.vector(columns)
                let (y, _) = try bench.random(rows, columns)
                bench.backend.rmsNorm(x, weight: weight, epsilon: 1e-5, into: y)
                // In place.
                bench.backend.rmsNorm(x, weight: weight, epsilon: 1e-5, into: x)
                return try bench.values(y) + bench.values(x)
            }
            expectClose(numbers, width: columns, tolerance: 1e-6)
        }

        /// Squares of such values pass float32's range or fall below it; some rows hold what is no number.
        @Test func normsOfAnySizeAgree() throws {
            let factors: [Float] = [0, 0x1p-140, 1e-25, 1e-6, 1, 1e6, 1e15, 3e18, 1e19, 1e24, 1e30, 1e36]
            let odd: [Float] = [.nan, .infinity, -.infinity]
            let columns = 70
            let numbers = try onBoth { bench in
                let rows = factors.count + odd.count
                var values = factors.flatMap { factor in
                    bench.generator.floats(columns).map { $0 * factor }
                }
                for value in odd { values += bench.generator.floats(columns - 1) + [value] }
                let x = try bench.activation(values, rows, columns)
                let (weight, _) = try bench.vector(columns)
                let (y, _) = try bench.random(rows, columns)
                bench.backend.rmsNorm(x, weight: weight, epsilon: 1e-5, into: y)
                return try bench.values(y)
            }
            expectClose(numbers, width: columns, tolerance: 1e-6)
        }

        /// The CPU's erf and the device's are each within some roundings of the function.
        @Test(arguments: [(1, 1), (3, 40), (2, 128), (300, 33), (2, 5000)])
        func layerNormsWithGELUAgree(rows: Int, columns: Int) throws {
            let numbers = try onBoth { bench in
                let (x, _) = try bench.random(rows, columns, in: -100...200)
                let (weight, _) = try bench.random(1, columns, in: -3...3)
                let (bias, _) = try bench.vector(columns)
                let (y, _) = try bench.random(rows, columns)
                let weights = Vector(weight.memory, offset: weight.offset, count: columns)
                bench.backend.layerNormGELU(x, weight: weights, bias: bias, epsilon: 1e-5, into: y)
                bench.backend.layerNormGELU(x, weight: weights, bias: bias, epsilon: 1e-5, into: x)
                return try bench.values(y) + bench.values(x)
            }
            expectClose(numbers, width: columns, tolerance: 2e-6)
        }

        @Test func layerNormsOfAnySizeAgree() throws {
            let factors: [Float] = [0, 1e-25, 1e-6, 1, 1e6, 1e15]
            let columns = 70
            let numbers = try onBoth { bench in
                var values = factors.flatMap { factor in
                    bench.generator.floats(columns).map { $0 * factor }
                }
                values += bench.generator.floats(columns - 1) + [.nan]
                let x = try bench.activation(values, factors.count + 1, columns)
                let ((weight, _), (bias, _)) = (try bench.vector(columns), try bench.vector(columns))
                let (y, _) = try bench.random(factors.count + 1, columns)
                bench.backend.layerNormGELU(x, weight: weight, bias: bias, epsilon: 1e-5, into: y)
                return try bench.values(y)
            }
            expectClose(numbers, width: columns, tolerance: 2e-6)
        }

        /// A grid of whole tokens.
        private func grid(_ height: Int, _ width: Int, mergeSize: Int) -> PatchCut {
            PatchCut(
                width: width, height: height, resizedWidth: width, resizedHeight: height, patchSize: 1,
                mergeSize: mergeSize, frameCount: 1, normalised: [Float](repeating: 0, count: 3 * 256))
        }

        /// Each pair of taps is products and a sum, which a device may round together.
        @Test(arguments: [(1, 1, 1), (5, 33, 4), (12, 128, 4), (7, 1000, 3)])
        func gatheredRowsAgree(tokens: Int, columns: Int, taps: Int) throws {
            for mergeSize in 1...3 {
                let cut = grid(tokens * mergeSize, 2 * mergeSize, mergeSize: mergeSize)
                let numbers = try onBoth { bench in
                    let (table, _) = try bench.vector(21 * columns)
                    let (y, _) = try bench.random(cut.patchCount, columns)
                    let count = cut.sideCount * taps
                    let memory = try bench.makeMemory(byteCount: 24 + 8 * count)
                    let indices = (0..<count).map { _ in Int32(bench.generator.integer(below: 11)) }
                    unsafe bench.backend.fill(memory, 24 + 4 * count..<memory.byteCount) { bytes in
                        unsafe indices.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
                    }
                    let gather = WeightedGather(
                        indicesOffset: 24 + 4 * count,
                        weights: Activation(memory, offset: 24, rows: cut.sideCount, columns: taps))
                    bench.backend.write(bench.generator.floats(count, in: -2...2), to: gather.weights)
                    bench.backend.addGathered(gather, over: cut, table: table, to: y)
                    return try bench.values(y)
                }
                expectClose(numbers, width: columns, tolerance: 2e-6, "\(cut.gridHeight) rows")
            }
        }

        @Test func whatSpreadsIsTheSame() throws {
            for (height, width, mergeSize, columns) in [
                (1, 1, 1, 1), (6, 4, 2, 32), (9, 3, 3, 7), (8, 40, 2, 150),
            ] {
                let cut = grid(height, width, mergeSize: mergeSize)
                let numbers = try onBoth { bench in
                    let (sides, _) = try bench.random(cut.sideCount, columns)
                    let (y, _) = try bench.random(cut.patchCount, 2 * columns)
                    bench.backend.spread(sides, over: cut, into: y)
                    return try bench.values(y)
                }
                #expect(numbers.device == numbers.cpu, "\(height) x \(width)")
            }
        }

        @Test func copiesAreWhole() throws {
            let numbers = try onBoth { bench in
                let (x, _) = try bench.random(300, 33)
                let (y, _) = try bench.random(300, 33)
                bench.backend.copy(x, to: y)
                bench.backend.copy(x.rows(10..<11), to: y.rows(2..<3))
                bench.backend.copy(x.rows(0..<0), to: y.rows(0..<0))
                return try bench.values(y)
            }
            #expect(numbers.device == numbers.cpu)
        }
    }
}
