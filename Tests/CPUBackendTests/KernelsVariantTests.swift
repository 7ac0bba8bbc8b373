//! Holds every kernel variant this machine can run against the definition, by the conformance checks in C.

import CKernelConformance
import CKernels
import TestSupport
import Testing

@Suite struct KernelsVariantTests {
    /// What the conformance checks found wrong with a table; as far as the first family of them that found
    /// something, where that is all that is asked.
    private func failures(
        of kernels: UnsafePointer<thimble_kernels>, seed: UInt64, endsEarly: Bool = false
    ) -> (count: Int32, report: String) {
        let capacity = 4096
        var count: Int32 = 0
        let report = unsafe String(unsafeUninitializedCapacity: capacity) { buffer in
            unsafe buffer.withMemoryRebound(to: CChar.self) { text in
                let run = unsafe endsEarly ? thimble_conformance_probe : thimble_conformance_run
                count = unsafe run(kernels, seed, text.baseAddress, capacity)
            }
            return unsafe buffer.firstIndex(of: 0) ?? 0
        }
        return (count, report)
    }

    @Test func theDefinitionIsListedFirstAndNamesAreUnique() {
        let names = Kernels.available.map(\.testDescription)
        #expect(names.first == "scalar")
        #expect(Set(names).count == names.count)
        var one = unsafe [UnsafePointer<thimble_kernels>?](repeating: nil, count: 1)
        #expect(unsafe thimble_kernels_available(&one, 1) == 1)
    }

    @Test(
        .enabled(if: !isThreadSanitized, "one thread: there is no race to be seen"),
        arguments: Kernels.available, [1, 2])
    func everyVariantConforms(kernels: Kernels, seed: UInt64) {
        let found = unsafe failures(of: kernels.table, seed: seed)
        #expect(found.count == 0, "\(found.report)")
    }

    @Test(
        .enabled(if: !isSanitized, "it is the checks that are tried, which are run under a sanitizer, too"),
        arguments: IdleKernel.all)
    func aKernelThatDoesNothingIsFound(idle: IdleKernel) {
        var table = unsafe Kernels.scalar.table.pointee
        unsafe idle.replace(&table)
        let found = unsafe failures(of: &table, seed: 1, endsEarly: true)
        #expect(found.count > 0)
        #expect(found.report.contains(idle.name.prefix { $0 != "_" }))
    }
}

/// A kernel that does nothing, for one entry of a table: a check that passes all the same checks nothing.
@safe struct IdleKernel: CustomTestStringConvertible, Sendable {
    let name: String
    let replace: @Sendable (inout thimble_kernels) -> Void

    var testDescription: String { name }

    init(_ name: String, replace: @escaping @Sendable (inout thimble_kernels) -> Void) {
        self.name = name
        unsafe self.replace = replace
    }

    static let all: [IdleKernel] = [
        unsafe IdleKernel("quantize") { unsafe $0.quantize = { _, _, _, _, _, _ in } },
        unsafe IdleKernel("matmul_q4") { unsafe $0.matmul_q4 = { _, _, _, _, _, _, _ in } },
        unsafe IdleKernel("matmul_q8") { unsafe $0.matmul_q8 = { _, _, _, _, _, _, _ in } },
        unsafe IdleKernel("matmul_f16") { unsafe $0.matmul_f16 = { _, _, _, _, _, _, _, _ in } },
        unsafe IdleKernel("matmul_f32") { unsafe $0.matmul_f32 = { _, _, _, _, _, _, _, _ in } },
        unsafe IdleKernel("gather_row") { unsafe $0.gather_row = { _, _, _, _, _ in } },
        unsafe IdleKernel("rms_norm") { unsafe $0.rms_norm = { _, _, _, _, _ in } },
        unsafe IdleKernel("add_rms_norm") { unsafe $0.add_rms_norm = { _, _, _, _, _ in } },
        unsafe IdleKernel("layer_norm") { unsafe $0.layer_norm = { _, _, _, _, _, _ in } },
        unsafe IdleKernel("add") { unsafe $0.add = { _, _, _ in } },
        unsafe IdleKernel("add_scaled") { unsafe $0.add_scaled = { _, _, _, _ in } },
        unsafe IdleKernel("swiglu") { unsafe $0.swiglu = { _, _, _ in } },
        unsafe IdleKernel("gelu") { unsafe $0.gelu = { _, _, _ in } },
        unsafe IdleKernel("rope_interleaved") { unsafe $0.rope_interleaved = { _, _, _, _ in } },
        unsafe IdleKernel("rope_half") { unsafe $0.rope_half = { _, _, _, _ in } },
        unsafe IdleKernel("store_f16") { unsafe $0.store_f16 = { _, _, _ in } },
        unsafe IdleKernel("store_int8") { unsafe $0.store_int8 = { _, _, _, _ in } },
        unsafe IdleKernel("store_int5") { unsafe $0.store_int5 = { _, _, _, _ in } },
        unsafe IdleKernel("attention") { unsafe $0.attention = { _, _, _, _, _ in } },
        unsafe IdleKernel("resample_row") { unsafe $0.resample_row = { _, _, _ in } },
        unsafe IdleKernel("blend_rows") { unsafe $0.blend_rows = { _, _, _, _, _, _ in } },
    ]
}
