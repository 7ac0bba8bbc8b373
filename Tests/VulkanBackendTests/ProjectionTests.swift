//! Holds projections of every weight format, prologue and epilogue against the CPU.

import TestSupport
import Tensors
import Testing

@testable import VulkanBackend

/// A prologue, by name.
enum PrologueKind: CaseIterable {
    case plain, rmsNorm, residual

    /// A prologue of `x`, with all else that it needs, and what else it writes.
    func prologue(_ x: Activation, _ bench: inout Bench) throws -> (Prologue, [Activation]) {
        switch self {
        case .plain: return (.plain(x), [])
        case .rmsNorm: return (.rmsNorm(x, weight: try bench.vector(x.columns).0, epsilon: 1e-5), [])
        case .residual:
            let (delta, _) = try bench.random(x.rows, x.columns, in: -30...30)
            let (sum, _) = try bench.random(x.rows, x.columns)
            return (
                .residual(
                    x, adding: delta, deltaWeight: try bench.vector(x.columns).0,
                    weight: try bench.vector(x.columns).0, epsilon: 1e-5, into: sum), [x, sum]
            )
        }
    }
}

/// An epilogue whose output is an activation, by name.
enum EpilogueKind: CaseIterable {
    case store, storeWithBias, swiglu, add

    /// An epilogue of so many outputs, and where it writes.
    func epilogue(rows: Int, outputs: Int, _ bench: inout Bench) throws -> (Epilogue, Activation) {
        let (y, _) = try bench.random(rows, self == .swiglu ? outputs / 2 : outputs)
        switch self {
        case .store: return (.store(y, bias: nil), y)
        case .storeWithBias: return (.store(y, bias: try bench.vector(outputs).0), y)
        case .swiglu: return (.swiglu(y), y)
        case .add: return (.add(y), y)
        }
    }
}

extension VulkanBackendTests {
    @Suite struct ProjectionTests {
        /// With codes the integers of a block are the same, so that only the sums over blocks are rounded
        /// otherwise; float products are as many roundings as there are inputs. Both are far below this.
        private static let rounding: Float = 4e-6
        /// A norm is off by a rounding or two; where that carries an activation over the middle between two
        /// codes, it moves by 1/127 of the largest of its block.
        private static let codeFlips: Float = 2e-3

        /// `byMatrices`: whether the rows went so. SwiGLU multiplies two outputs, both of which are off.
        private static func tolerance(
            _ format: WeightFormat, _ prologue: PrologueKind, _ end: EpilogueKind, byMatrices: Bool
        ) -> Float {
            if byMatrices { return end == .swiglu ? 2 * matrixRounding : matrixRounding }
            return format.type.isQuantized && prologue != .plain ? codeFlips : rounding
        }

        @Test(arguments: allFormats)
        func productsOfOddShapesAgree(format: WeightFormat) throws {
            let shapes = [
                (2, 1, 1), (3, 16, 32), (2, 18, 40), (5, 33, 37), (31, 65, 129), (33, 130, 96), (64, 64, 256),
                (70, 66, 200), (600, 50, 160), (1, 300, 700),
            ]
            for (rows, outputs, inputs) in shapes {
                let byMatrices = try goesByMatrices(format, rows: rows, columns: inputs)
                let numbers = try onBoth(byMatrices: byMatrices) { bench in
                    let (x, _) = try bench.random(rows, inputs)
                    let w = try bench.matrix(outputs, inputs, format)
                    let (output, y) = try EpilogueKind.storeWithBias.epilogue(
                        rows: rows, outputs: outputs, &bench)
                    bench.backend.project(.plain(x), w, output)
                    return try bench.values(y)
                }
                expectClose(
                    numbers, width: outputs,
                    tolerance: Self.tolerance(format, .plain, .storeWithBias, byMatrices: byMatrices),
                    byMatrices: byMatrices, "\(rows), \(outputs) x \(inputs)")
            }
        }

        @Test(arguments: [WeightFormat.f32, .f16, .q8(group: 64), .q4(group: 32)], PrologueKind.allCases)
        func everyPrologueAgreesWithEveryEpilogue(format: WeightFormat, kind: PrologueKind) throws {
            let (rows, outputs, inputs) = (7, 134, 200)
            let byMatrices = try goesByMatrices(format)
            for end in EpilogueKind.allCases {
                let numbers = try onBoth(byMatrices: byMatrices) { bench in
                    let (x, _) = try bench.random(rows, inputs, in: -4...4)
                    let (input, others) = try kind.prologue(x, &bench)
                    let w = try bench.matrix(outputs, inputs, format)
                    let (output, y) = try end.epilogue(rows: rows, outputs: outputs, &bench)
                    bench.backend.project(input, w, output)
                    return try (y: bench.values(y), others: others.flatMap { try bench.values($0) })
                }
                expectClose(
                    (numbers.device.y, numbers.cpu.y), width: end == .swiglu ? outputs / 2 : outputs,
                    tolerance: Self.tolerance(format, kind, end, byMatrices: byMatrices),
                    byMatrices: byMatrices, "\(end)")
                // The residual that goes out, and the one that came in.
                expectClose((numbers.device.others, numbers.cpu.others), width: inputs, tolerance: 1e-6)
            }
        }

        /// Real values of these models pass float16's range, and squares of them float32's.
        @Test(arguments: [WeightFormat.f32, .f16, .q8(group: 64), .q4(group: 32)], PrologueKind.allCases)
        func largeValuesAgree(format: WeightFormat, kind: PrologueKind) throws {
            let factors: [Float] = [0, 1e-30, 1e-6, 7e4, 1e6, 1e12, 3e30]
            let (outputs, inputs) = (34, 100)
            let byMatrices = try goesByMatrices(format)
            for end in [EpilogueKind.store, .add] {
                let numbers = try onBoth(byMatrices: byMatrices) { bench in
                    let values = factors.flatMap { factor in
                        bench.generator.floats(inputs).map { $0 * factor }
                    }
                    let x = try bench.activation(values, factors.count, inputs)
                    let (input, others) = try kind.prologue(x, &bench)
                    let w = try bench.matrix(outputs, inputs, format)
                    let (output, y) = try end.epilogue(rows: factors.count, outputs: outputs, &bench)
                    bench.backend.project(input, w, output)
                    return try (y: bench.values(y), others: others.flatMap { try bench.values($0) })
                }
                expectClose(
                    (numbers.device.y, numbers.cpu.y), width: outputs,
                    tolerance: Self.tolerance(format, kind, end, byMatrices: byMatrices),
                    byMatrices: byMatrices, "\(end)")
                expectClose((numbers.device.others, numbers.cpu.others), width: inputs, tolerance: 1e-6)
            }
        }

        /// A row that holds what is no number, or is infinite, gives what it gives on the CPU, and its
        /// neighbours give what they do without it.
        @Test(arguments: [WeightFormat.f32, .f16, .q8(group: 64), .q4(group: 32)], PrologueKind.allCases)
        func whatIsNotFiniteSpreadsTheSame(format: WeightFormat, kind: PrologueKind) throws {
            let odd: [[Float]] = [[], [.nan], [], [.infinity], [-.infinity], [.infinity, -.infinity], []]
            let (outputs, inputs) = (34, 100)
            let byMatrices = try goesByMatrices(format)
            for end in EpilogueKind.allCases {
                let numbers = try onBoth(byMatrices: byMatrices) { bench in
                    let values = odd.flatMap { bench.generator.floats(inputs - $0.count) + $0 }
                    let x = try bench.activation(values, odd.count, inputs)
                    let (input, _) = try kind.prologue(x, &bench)
                    let w = try bench.matrix(outputs, inputs, format)
                    let (output, y) = try end.epilogue(rows: odd.count, outputs: outputs, &bench)
                    bench.backend.project(input, w, output)
                    return try bench.values(y)
                }
                expectClose(
                    numbers, width: end == .swiglu ? outputs / 2 : outputs,
                    tolerance: Self.tolerance(format, kind, end, byMatrices: byMatrices),
                    byMatrices: byMatrices, "\(end)")
                #expect(numbers.device.contains { !$0.isFinite } && numbers.device.contains { $0.isFinite })
            }
        }

        /// One row of several, which lies wherever rows of an odd width end: what takes a single row is
        /// compiled for each prologue, epilogue and width.
        @Test(arguments: [WeightFormat.f32, .f16, .q8(group: 64), .q4(group: 32)], PrologueKind.allCases)
        func aRowAnywhereAgrees(format: WeightFormat, kind: PrologueKind) throws {
            let (outputs, inputs) = (50, 131)
            let byMatrices = try goesByMatrices(format, rows: 1, columns: inputs)
            for end in EpilogueKind.allCases {
                let numbers = try onBoth(byMatrices: byMatrices) { bench in
                    let (x, _) = try bench.random(3, inputs, in: -4...4)
                    let (input, others) = try kind.prologue(x, &bench)
                    let w = try bench.matrix(outputs, inputs, format)
                    let (output, y) = try end.epilogue(rows: 3, outputs: outputs, &bench)
                    for row in 0..<3 {
                        bench.backend.project(input.rows(row..<row + 1), w, output.rows(row..<row + 1))
                    }
                    return try (y: bench.values(y), others: others.flatMap { try bench.values($0) })
                }
                expectClose(
                    (numbers.device.y, numbers.cpu.y), width: end == .swiglu ? outputs / 2 : outputs,
                    tolerance: Self.tolerance(format, kind, end, byMatrices: byMatrices),
                    byMatrices: byMatrices, "\(end)")
                expectClose((numbers.device.others, numbers.cpu.others), width: inputs, tolerance: 1e-6)
            }
        }

        /// One row of what is as wide as shared memory allows, and beyond: a workgroup gathers fewer tiles,
        /// then has fewer threads, and at last the row goes the way of many. The validation layer holds what
        /// shaders declare against the limit.
        @Test(arguments: [WeightFormat.f32, .f16, .q8(group: 32), .q4(group: 64)])
        func aWideRowAgrees(format: WeightFormat) throws {
            let widths = format.type.isQuantized ? [10_200, 10_400] : [5_900, 7_900, 8_100]
            let outputs = 37
            for inputs in widths {
                let byMatrices = try goesByMatrices(format, rows: 1, columns: inputs)
                let numbers = try onBoth(byMatrices: byMatrices) { bench in
                    let (x, _) = try bench.random(1, inputs)
                    let (input, _) = try PrologueKind.plain.prologue(x, &bench)
                    let w = try bench.matrix(outputs, inputs, format)
                    let (output, y) = try EpilogueKind.storeWithBias.epilogue(
                        rows: 1, outputs: outputs, &bench)
                    bench.backend.project(input, w, output)
                    return try bench.values(y)
                }
                expectClose(
                    numbers, width: outputs,
                    tolerance: Self.tolerance(format, .plain, .storeWithBias, byMatrices: byMatrices),
                    byMatrices: byMatrices, "\(inputs)")
            }
        }

        /// Rows go through a projection in blocks of any length.
        @Test func rowsOfSeveralBlocksAgree() throws {
            let device = try VulkanBackendTests.backend
            let usual = device.rowBlocks
            defer { device.rowBlocks = usual }
            let (rows, outputs, inputs) = (700, 6, 33)
            for most in [256, 512, 768] {
                device.rowBlocks = RowBlocks(most: most)
                for kind in PrologueKind.allCases {
                    let numbers = try onBoth { bench in
                        let (x, _) = try bench.random(rows, inputs)
                        let (input, others) = try kind.prologue(x, &bench)
                        let w = try bench.matrix(outputs, inputs, .f32)
                        let (y, _) = try bench.random(rows, outputs)
                        bench.backend.project(input, w, .add(y))
                        return try bench.values(y) + others.flatMap { try bench.values($0) }
                    }
                    expectClose(
                        numbers, width: outputs, tolerance: Self.rounding, "\(kind) in blocks of \(most)")
                }
            }
        }

        /// Blocks are of about one length, in whole tiles, and no longer than scratch is planned for.
        @Test func blocksAreEven() {
            for processors in [nil, 1, 24, 108, 132] {
                let blocks = RowBlocks(processors: processors)
                #expect(blocks.most >= 4096 && blocks.most % 256 == 0)
                for rows in [1, 255, 2520, 4096, 4097, 5040, 8193, 20_160] {
                    let length = blocks.length(of: rows)
                    let count = (rows + length - 1) / length
                    #expect(length % 256 == 0 && length <= blocks.most)
                    #expect(count == (rows + blocks.most - 1) / blocks.most, "\(rows) rows")
                    #expect(count == 1 || rows - (count - 1) * length > length / 2, "\(rows) rows")
                }
            }
            #expect(RowBlocks(processors: 132).most == 8192 && RowBlocks(processors: 24).most == 4096)
        }
    }
}
