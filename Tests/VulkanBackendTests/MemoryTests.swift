//! Memory of the device: zeroed, filled and read in the order asked for, and kept while operations use it.

import TestSupport
import Tensors
import Testing
import VulkanBackend
import VulkanCompute

extension VulkanBackendTests {
    @Suite struct MemoryTests {
        private func memory(_ byteCount: Int, _ use: MemoryUse = .working) throws -> any BackendMemory {
            try backend.makeMemory(byteCount: byteCount, label: "test", use: use)
        }

        /// Small ranges go through the staging memory, larger ones beside it.
        @Test(arguments: [4, 64, 4096, 1 << 20, (1 << 20) + 4, 1 << 21, (1 << 21) + 4, (1 << 23) + 12])
        func whatIsFilledIsRead(byteCount: Int) throws {
            let backend = try backend
            var generator = SeededGenerator(seed: UInt64(byteCount))
            let count = byteCount / 4
            let whole = Activation(try memory(byteCount + 8), rows: 1, columns: count + 2)
            backend.write([Float](repeating: -1, count: count + 2), to: whole)
            let inside = Activation(whole.memory, offset: 4, rows: 1, columns: count)
            let values = (0..<count).map { _ in generator.uniform() }
            backend.write(values, to: inside)
            #expect(try backend.values(of: whole) == [-1] + values + [-1])
            #expect(try backend.values(of: inside) == values)
            // Twice, in both ways of filling.
            backend.write(values.reversed(), to: inside)
            backend.write([7], to: Activation(whole.memory, offset: 4 * (count / 2 + 1), rows: 1, columns: 1))
            var expected = Array(values.reversed())
            expected[count / 2] = 7
            #expect(try backend.values(of: inside) == expected)
        }

        /// Many small runs, and ones that are larger than what the host is lent at once; none at all, too.
        @Test func runsOfBytesAreReadInOrder() throws {
            let backend = try backend
            var generator = SeededGenerator(seed: 11)
            let byteCount = (3 << 20) + 5
            let memory = try memory(byteCount)
            let bytes = (0..<byteCount).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            unsafe backend.fill(memory, 0..<byteCount) { unsafe $0.copyBytes(from: bytes) }
            for most in [1, 7, 100, 5000, 1 << 20, byteCount] {
                let runs = (0..<generator.integer(in: 1...20)).map { _ in
                    let start = generator.integer(below: byteCount)
                    return start..<min(byteCount, start + generator.integer(in: 0...most))
                }
                var found: [UInt8] = []
                try unsafe backend.read(memory, runs) { unsafe found.append(contentsOf: $0) }
                #expect(found == runs.flatMap { bytes[$0] })
            }
            try unsafe backend.read(memory, []) { _ in Issue.record("bytes of no run") }
        }

        /// Many times what the staging memory holds, each fill between operations that read what was there.
        @Test func fillsTakePlaceInTheOrderAskedFor() throws {
            let backend = try backend
            var generator = SeededGenerator(seed: 3)
            let source = Activation(try memory(6 << 20), rows: 1, columns: 6 << 18)
            backend.write([Float](repeating: 0, count: source.columns), to: source)
            var copies: [(copy: Activation, value: Float)] = []
            for step in 1...300 {
                // Mostly small, often up to what goes through the ring, seldom beyond.
                let limit = generator.element(of: [100, 3000, 250_000, step % 50 == 0 ? 1 << 20 : 9000])
                let count = generator.integer(in: 1...limit)
                backend.write(
                    [Float](repeating: Float(step), count: count),
                    to: Activation(source.memory, rows: 1, columns: count))
                let copy = Activation(try memory(8), rows: 1, columns: 2)
                // The last and the first that was filled.
                let end = Activation(source.memory, offset: (count - 1) * 4, rows: 1, columns: 1)
                backend.copy(end, to: Activation(copy.memory, rows: 1, columns: 1))
                backend.copy(
                    Activation(source.memory, rows: 1, columns: 1),
                    to: Activation(copy.memory, offset: 4, rows: 1, columns: 1))
                copies.append((copy, Float(step)))
            }
            for (copy, value) in copies { #expect(try backend.values(of: copy) == [value, value]) }
        }

        @Test func aFillThatFailsLeavesTheRestInOrder() throws {
            struct Refusal: Error {}
            let backend = try backend
            for byteCount in [64, 3 << 20] {
                let memory = try memory(byteCount)
                let all = Activation(memory, rows: 1, columns: byteCount / 4)
                for _ in 0..<10 {
                    #expect(throws: Refusal.self) {
                        try unsafe backend.fill(memory, 0..<byteCount) { _ throws(Refusal) in throw Refusal()
                        }
                    }
                    backend.write([Float](repeating: 2, count: all.columns), to: all)
                }
                #expect(try backend.values(of: all).allSatisfy { $0 == 2 })
                var lent = -1
                unsafe backend.fill(memory, 4..<4) { lent = $0.count }
                #expect(lent == 0)
            }
        }

        /// A model's loader fills one memory while it fills another.
        @Test func aFillInsideAFillLeavesBoth() throws {
            try expectFillsInsideFills(of: backend)
        }

        /// So it is where what is filled goes through the host's memory.
        @Test func aFillInsideAFillOfHiddenMemoryLeavesBoth() throws {
            try expectFillsInsideFills(of: HiddenMemory.backend)
        }

        private func expectFillsInsideFills(of backend: VulkanBackend) throws {
            func memory(_ byteCount: Int) throws -> any BackendMemory {
                try backend.makeMemory(byteCount: byteCount, label: "test")
            }
            for byteCount in [64, 1 << 20, 2 << 20] {
                for innerCount in [64, 1 << 20, 2 << 20] {
                    let (outer, inner) = (try memory(byteCount), try memory(innerCount))
                    let innermost = try memory(innerCount)
                    for round in 1..<6 {
                        unsafe backend.fill(outer, 0..<byteCount) { bytes in
                            unsafe bytes.initializeMemory(as: Float.self, repeating: Float(round))
                            unsafe backend.fill(inner, 0..<innerCount) { bytes in
                                unsafe bytes.initializeMemory(as: Float.self, repeating: Float(-round))
                                unsafe backend.fill(innermost, 0..<innerCount) { bytes in
                                    unsafe bytes.initializeMemory(as: Float.self, repeating: 100)
                                }
                            }
                        }
                        for (memory, value) in [(outer, round), (inner, -round), (innermost, 100)] {
                            let all = Activation(memory, rows: 1, columns: memory.byteCount / 4)
                            let first = try backend.values(of: all).first { $0 != Float(value) }
                            #expect(first == nil, "of \(byteCount) around \(innerCount), for \(value)")
                        }
                    }
                }
            }
        }

        /// Whatever was where it is now.
        @Test func workingMemoryIsZero() throws {
            let backend = try backend
            for byteCount in [4, 7, 4096, 1 << 20, (5 << 20) + 3] {
                for _ in 0..<4 {
                    let memory = try memory(byteCount)
                    #expect(memory.byteCount == byteCount)
                    let all = Activation(memory, rows: 1, columns: byteCount / 4)
                    #expect(try backend.values(of: all).allSatisfy { $0.bitPattern == 0 })
                    backend.write([Float](repeating: .nan, count: all.columns), to: all)
                    try backend.synchronize()
                }
            }
            #expect(try memory(0).byteCount == 0)
        }

        @Test func memoryThatTheDeviceDoesNotHaveIsRefused() throws {
            let error = #expect(throws: BackendError.self) { try memory(1 << 50, .weights) }
            #expect(error?.code == .outOfMemory && error?.message.contains("for test") == true)
            // And nothing else is lost.
            try backend.synchronize()
        }

        /// What operations use may be let go once they are asked for.
        @Test func memoryMayGoWhileOperationsUseIt() throws {
            let backend = try backend
            let y = Activation(try memory(400), rows: 1, columns: 100)
            for round in 0..<50 {
                do {
                    let x = Activation(try memory(400), rows: 1, columns: 100)
                    backend.write([Float](repeating: Float(round), count: 100), to: x)
                    backend.copy(x, to: y)
                }
                // Takes the place of x, were it gone.
                let other = Activation(try memory(400), rows: 1, columns: 100)
                backend.write([Float](repeating: -1, count: 100), to: other)
                #expect(try backend.values(of: y) == [Float](repeating: Float(round), count: 100))
            }
        }

        /// Many times what the stream submits together, with nothing waited for in between.
        @Test(arguments: [WeightFormat.f32, .f16])
        func aThousandOperationsKeepTheirOrder(format: WeightFormat) throws {
            let byMatrices = try goesByMatrices(format)
            let numbers = try onBoth(byMatrices: byMatrices) { bench in
                let (x, _) = try bench.random(3, 40)
                let (y, _) = try bench.random(3, 40)
                let (weight, _) = try bench.vector(40)
                let w = try bench.matrix(40, 40, format)
                for _ in 0..<200 {
                    bench.backend.rmsNorm(x, weight: weight, epsilon: 1e-5, into: y)
                    bench.backend.project(.plain(y), w, .add(x))
                    bench.backend.copy(x.rows(0..<1), to: y.rows(2..<3))
                    bench.backend.rmsNorm(y, weight: weight, epsilon: 1e-5, into: y)
                    bench.backend.project(.plain(y), w, .store(x, bias: weight))
                }
                return try bench.values(x) + bench.values(y)
            }
            #expect(numbers.cpu.allSatisfy { $0.isFinite })
            // Each step's roundings are carried on, and none grows: norms hold them.
            expectClose(numbers, width: 40, tolerance: byMatrices ? matrixRounding : 1e-4)
        }

        /// However they end; and where others compute with them, they are left as they were.
        @Test func memoryIsReadFromEndToEnd() throws {
            let backend = try backend
            let memories = try [0, 7, 16, 4099, 32 << 20].map { try memory($0, .weights) }
            let all = Activation(memories[4], rows: 1, columns: 8 << 20)
            backend.write([Float](repeating: 3, count: all.columns), to: all)
            let seconds = try #require(try backend.secondsToRead(memories))
            // No device reads 10 TB/s.
            #expect(seconds > Double(32 << 20) / 1e13)
            #expect(try backend.values(of: all).allSatisfy { $0 == 3 })
        }

        /// Pipelines that a backend has compiled serve the next, which compiles no more.
        @Test func pipelinesOfAnEarlierRunAreUsed() throws {
            let device = try vulkan.device
            func run(_ backend: VulkanBackend) throws -> [Float] {
                var bench = try Bench(backend)
                let (x, _) = try bench.random(3, 40)
                let (weight, _) = try bench.vector(40)
                backend.rmsNorm(x, weight: weight, epsilon: 1e-5, into: x)
                return try bench.values(x)
            }
            let first = try VulkanBackend(device)
            // Where there are matrices, opening looks how they are held.
            let isCompiled = try first.pipelineCache() != nil
            #expect(!isCompiled || device.physical.hasCooperativeMatrix)
            #expect(try first.pipelineCache() == nil, "nothing was compiled since")
            let expected = try run(first)
            let saved = try #require(try first.pipelineCache())
            #expect(try first.pipelineCache() == nil, "nothing was compiled since")
            for saved in [saved, Array(saved.dropLast()), []] {
                #expect(try run(try VulkanBackend(device, pipelines: saved)) == expected)
            }
        }
    }
}
