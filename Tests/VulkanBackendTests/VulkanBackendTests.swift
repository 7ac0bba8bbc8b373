//! The suite of the Vulkan backend: one watched device, one backend on it, and the CPU beside them.

import CPUBackend
import Foundation
import TestSupport
import Tensors
import Testing
import VulkanCompute

@testable import VulkanBackend

/// Every test of the backend. One at a time, for a backend belongs to one thread at a time.
@Suite(
    .serialized,
    .enabled(
        if: ValidatedVulkan.isAvailable,
        "this machine has no Vulkan 1.3 that will do, or no Khronos validation layer"))
enum VulkanBackendTests {
    /// A message of the validation layer fails the test whose call it is about.
    nonisolated(unsafe) private static let opened = Result {
        let vulkan = try ValidatedVulkan { Issue.record("validation: \($0)") }
        let use = try matrixUse ?? .usual(on: vulkan.physical)
        return (vulkan, try VulkanBackend(vulkan.device, matrixUse: use))
    }

    /// What goes by cooperative matrices, by its number, where `THIMBLE_TEST_MATRICES` says it: on a device
    /// that has them each is worth a run.
    private static var matrixUse: MatrixUse? {
        get throws {
            guard let text = ProcessInfo.processInfo.environment["THIMBLE_TEST_MATRICES"] else { return nil }
            return try #require(Int(text).flatMap { MatrixUse(rawValue: $0) }, "0 to 3")
        }
    }

    static var vulkan: ValidatedVulkan { get throws { try unsafe opened.get().0 } }
    /// One for all tests, so that each pipeline is compiled once.
    static var backend: VulkanBackend { get throws { try unsafe opened.get().1 } }

    /// What `body` makes of the same random numbers on the device and on the CPU's kernels of definition.
    ///
    /// `byMatrices`: what `goesByMatrices` says of the body's products. Those the CPU then computes of the
    /// weights' float16 and of activations as they are, for codes of activations would be further off than
    /// the device is.
    static func onBoth<Outputs>(
        seed: UInt64 = 1, scratchByteCount: Int = 1 << 24, byMatrices: Bool = false,
        _ body: (inout Bench) throws -> Outputs
    ) throws -> (device: Outputs, cpu: Outputs) {
        func outputs(_ backend: any Backend, expandsWeights: Bool) throws -> Outputs {
            var bench = try Bench(
                backend, seed: seed, scratchByteCount: scratchByteCount, expandsWeights: expandsWeights)
            let outputs = try body(&bench)
            #expect(try bench.guardsAreWhole(), "an operation wrote beside an operand")
            return outputs
        }
        return (
            try outputs(backend, expandsWeights: false), try outputs(definition, expandsWeights: byMatrices)
        )
    }

    /// Whether the device multiplies rows by a matrix of that format by cooperative matrices: of float16, an
    /// activation being scaled by a power of two that its row has. A single row goes so where `columns` are
    /// too many for it to go by itself.
    static func goesByMatrices(_ format: WeightFormat, rows: Int = 2, columns: Int = 1) throws -> Bool {
        let layout = WeightLayout(rows: 1, columns: columns, format: format)
        let backend = try backend
        let goesAlone = rows == 1 && backend.vectorTuning.projectionCut(layout, pairs: 0) != nil
        return backend.usesMatrices(layout) && !goesAlone
    }

    /// Whether attention of many queries goes by cooperative matrices.
    static func attendsByMatrices(_ shape: AttentionShape) throws -> Bool {
        try backend.attendsByMatrices(headSize: shape.headSize, pageTokens: shape.pageTokens)
    }

    /// What a product by cooperative matrices is off by, of the largest in its row. An activation is off by
    /// 2^-12 of itself, give or take as much; signs differ, so that a sum is off by about as much of its
    /// usual size, and the worst of many by four times that.
    static let matrixRounding: Float = 1e-3

    /// The CPU with the kernels that all others are tested against.
    static var definition: CPUBackend { CPUBackend(threadCount: 2, variant: CPUBackend.variants[0]) }

    /// Holds numbers against the CPU's: what is not finite is the same, and the rest differs by no more than
    /// `tolerance` of the largest magnitude in its row of `width`, for that is what sums are rounded at.
    ///
    /// Vulkan lets a device take for zero what is smaller than any normal number. `byMatrices`: a row that is
    /// not finite throughout has no scale, so that nothing that comes of it need be told from the rest.
    static func expectClose(
        _ numbers: (device: [Float], cpu: [Float]), width: Int, tolerance: Float, byMatrices: Bool = false,
        _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(numbers.device.count == numbers.cpu.count, sourceLocation: sourceLocation)
        var worst = (error: Float(0), index: 0)
        for row in stride(from: 0, to: numbers.cpu.count, by: width) {
            let expected = numbers.cpu[row..<min(row + width, numbers.cpu.count)]
            let largest = expected.reduce(0) { $1.isFinite ? max($0, $1.magnitude) : $0 }
            for index in expected.indices {
                let (a, e) = (numbers.device[index], expected[index])
                var error: Float = .infinity
                if a == e || a.isNaN && e.isNaN || byMatrices && !a.isFinite && !e.isFinite {
                    error = 0
                } else if a.isFinite && e.isFinite {
                    let distance = (a - e).magnitude
                    error = distance < .leastNormalMagnitude ? 0 : distance / largest
                }
                if error > worst.error { worst = (error, index) }
            }
        }
        #expect(
            worst.error <= tolerance,
            """
            \(what): \(numbers.device[worst.index]) for \(numbers.cpu[worst.index]) at \(worst.index), \
            which is off by \(worst.error) of its row\(byMatrices ? ", by matrices" : "")
            """, sourceLocation: sourceLocation)
    }
}

/// The weights' formats.
let allFormats: [WeightFormat] =
    [.f32, .f16] + [32, 64, 128].flatMap { [WeightFormat.q8(group: $0), .q4(group: $0)] }
