//! The suite of the Vulkan backend: one watched device, one backend on it, and the CPU beside them.

import CPUBackend
import TestSupport
import Tensors
import Testing
import VulkanBackend
import VulkanCompute

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
        return (vulkan, try VulkanBackend(vulkan.device))
    }

    static var vulkan: ValidatedVulkan { get throws { try unsafe opened.get().0 } }
    /// One for all tests, so that each pipeline is compiled once.
    static var backend: VulkanBackend { get throws { try unsafe opened.get().1 } }

    /// What `body` makes of the same random numbers on the device and on the CPU's kernels of definition.
    static func onBoth<Outputs>(
        seed: UInt64 = 1, scratchByteCount: Int = 1 << 24, _ body: (inout Bench) throws -> Outputs
    ) throws -> (device: Outputs, cpu: Outputs) {
        func outputs(_ backend: any Backend) throws -> Outputs {
            var bench = try Bench(backend, seed: seed, scratchByteCount: scratchByteCount)
            let outputs = try body(&bench)
            #expect(try bench.guardsAreWhole(), "an operation wrote beside an operand")
            return outputs
        }
        return (try outputs(backend), try outputs(definition))
    }

    /// The CPU with the kernels that all others are tested against.
    static var definition: CPUBackend { CPUBackend(threadCount: 2, variant: CPUBackend.variants[0]) }

    /// Holds numbers against the CPU's: what is not finite is the same, and the rest differs by no more than
    /// `tolerance` of the largest magnitude in its row of `width`, for that is what sums are rounded at.
    ///
    /// `byMatrices`: what comes of a product that a device with cooperative matrices computes of float16,
    /// scaled by the row, where the CPU takes blocks of 8-bit codes. Those are off by 1/254 of their block's
    /// largest, and sums of them by less than a fiftieth of theirs; and a row that is not finite throughout
    /// has no scale.
    static func expectClose(
        _ numbers: (device: [Float], cpu: [Float]), width: Int, tolerance: Float, byMatrices: Bool = false,
        _ what: String = "", sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let isCoarse = byMatrices && (try? vulkan.physical.hasCooperativeMatrix) == true
        let tolerance = isCoarse ? max(tolerance, 0.02) : tolerance
        #expect(numbers.device.count == numbers.cpu.count, sourceLocation: sourceLocation)
        var worst = (error: Float(0), index: 0)
        for row in stride(from: 0, to: numbers.cpu.count, by: width) {
            let expected = numbers.cpu[row..<min(row + width, numbers.cpu.count)]
            let largest = expected.reduce(0) { $1.isFinite ? max($0, $1.magnitude) : $0 }
            for index in expected.indices {
                let (a, e) = (numbers.device[index], expected[index])
                var error: Float = .infinity
                if a == e || a.isNaN && e.isNaN || isCoarse && !a.isFinite && !e.isFinite {
                    error = 0
                } else if e.isFinite {
                    error = (a - e).magnitude / largest
                }
                if !(error <= worst.error) { worst = (error, index) }
            }
        }
        #expect(
            worst.error <= tolerance,
            """
            \(what): \(numbers.device[worst.index]) for \(numbers.cpu[worst.index]) at \(worst.index), \
            which is off by \(worst.error) of its row
            """, sourceLocation: sourceLocation)
    }
}

/// The weights' formats.
let allFormats: [WeightFormat] =
    [.f32, .f16] + [32, 64, 128].flatMap { [WeightFormat.q8(group: $0), .q4(group: $0)] }
