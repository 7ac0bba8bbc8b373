//! What comes to the device beside what it computes: whole, after what it is to wait for, and before what
//! waits for it.

import CPUBackend
import TestSupport
import Tensors
import Testing
import VulkanBackend
import VulkanCompute

extension VulkanBackendTests {
    @Suite struct AsideTests {
        private func memory(_ byteCount: Int) throws -> any BackendMemory {
            try backend.makeMemory(byteCount: byteCount, label: "test")
        }

        private func bytes(_ memory: any BackendMemory, _ range: Range<Int>? = nil) throws -> [UInt8] {
            var found: [UInt8] = []
            try unsafe backend.read(memory, [range ?? 0..<memory.byteCount]) {
                unsafe found.append(contentsOf: $0)
            }
            return found
        }

        /// Less than is lent at once, as much, more, and more than the way holds.
        @Test(arguments: [4, 100, 4 << 20, (4 << 20) + 4, (37 << 20) + 12])
        func whatIsFilledAsideIsThere(byteCount: Int) throws {
            let backend = try backend
            let memory = try memory(byteCount + 8)
            var generator = SeededGenerator(seed: UInt64(byteCount))
            let seed = UInt8(truncatingIfNeeded: generator.next())
            func byte(_ index: Int) -> UInt8 { UInt8(truncatingIfNeeded: index * 31 + index >> 13) ^ seed }
            var next = 0
            unsafe backend.fillAside(memory, 4..<4 + byteCount, after: backend.mark()) { within, target in
                #expect(within.lowerBound == next && within.count == target.count)
                next = within.upperBound
                for index in within { unsafe target[index - within.lowerBound] = byte(index) }
            }
            #expect(next == byteCount)
            backend.joinAside()
            let found = try bytes(memory)
            let isSame = found == [0, 0, 0, 0] + (0..<byteCount).map(byte) + [0, 0, 0, 0]
            #expect(isSame)
        }

        /// Two places in turn, each filled again once what was in it has been copied on.
        @Test func placesTakeTurns() throws {
            let backend = try backend
            let (rows, size) = (60, 300_000)
            let places = try (0..<2).map { _ in try memory(size * 4) }
            let kept = try memory(rows * 8)
            var marks = [backend.mark(), backend.mark()]
            for row in 0..<rows {
                let place = places[row % 2]
                // What is filled in small pieces is whole all the same.
                let cut = row * size / rows
                for range in [0..<cut, cut..<size] where !range.isEmpty {
                    unsafe backend.fillAside(
                        place, range.lowerBound * 4..<range.upperBound * 4, after: marks[row % 2]
                    ) { _, target in
                        unsafe target.withMemoryRebound(to: Float.self) {
                            unsafe $0.update(repeating: Float(row))
                        }
                    }
                }
                backend.joinAside()
                for (half, index) in [0, size - 1].enumerated() {
                    backend.copy(
                        Activation(place, offset: index * 4, rows: 1, columns: 1),
                        to: Activation(kept, offset: row * 8 + half * 4, rows: 1, columns: 1))
                }
                marks[row % 2] = backend.mark()
            }
            let values = try backend.values(of: Activation(kept, rows: rows, columns: 2))
            #expect(values == (0..<rows).flatMap { [Float($0), Float($0)] })
        }

        /// The host's memory as it lies there, pages that end within one included.
        @Test(arguments: [4, 4096, 5000, (3 << 20) + 20])
        func memoryOfTheHostIsReached(byteCount: Int) throws {
            let (backend, cpu) = (try backend, CPUBackend(threadCount: 1))
            let source = try cpu.makeMemory(byteCount: byteCount, label: "test", use: .weights)
            let values = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 * 7 + $0 >> 9) }
            unsafe cpu.fill(source, 0..<byteCount) { unsafe $0.copyBytes(from: values) }
            var reached: (any BackendMemory)?
            try unsafe cpu.read(source, [0..<byteCount]) { reached = unsafe backend.reach($0, of: source) }
            // Not every driver has a way there.
            guard let image = reached else {
                #expect(backend.device.physical.kind != .cpu, "the driver on the processor has one")
                return
            }
            let target = try memory(byteCount + 4)
            backend.copyAside(image, to: target, after: backend.mark())
            backend.joinAside()
            // What is let go stays until the copy is done.
            reached = nil
            let isSame = try bytes(target) == values + [0, 0, 0, 0]
            #expect(isSame)
        }

        /// Bytes of what was computed before, while more is asked for; runs that are longer than what is lent
        /// at once, and ones of few bytes.
        @Test func whatIsReadAsideIsOfBefore() throws {
            let backend = try backend
            let count = 3 << 20
            let (first, second) = (try memory(count * 4), try memory(count * 4))
            for (memory, value) in [(first, Float(1)), (second, 2)] {
                backend.write(
                    [Float](repeating: value, count: count), to: Activation(memory, rows: 1, columns: count))
            }
            let kept = try memory(count * 4)
            func copy(_ source: any BackendMemory, to target: any BackendMemory) {
                backend.copy(
                    Activation(source, rows: 1, columns: count),
                    to: Activation(target, rows: 1, columns: count))
            }
            copy(first, to: kept)
            let mark = backend.mark()
            copy(second, to: first)
            var found: [Float] = []
            let runs = [0..<4, 8..<(9 << 20) + 4, count * 4 - 8..<count * 4]
            try unsafe backend.readAside(kept, runs, after: mark) { bytes in
                unsafe found.append(contentsOf: bytes.bindMemory(to: Float.self))
            }
            let isSame = found == [Float](repeating: 1, count: runs.reduce(0) { $0 + $1.count / 4 })
            #expect(isSame)
            #expect(try backend.values(of: Activation(first, rows: 1, columns: 1)) == [2])
        }

        /// What does not begin with a page is not reached.
        @Test func memoryWithinAPageIsNotReached() throws {
            let (backend, cpu) = (try backend, CPUBackend(threadCount: 1))
            let source = try cpu.makeMemory(byteCount: 8192, label: "test")
            try unsafe cpu.read(source, [64..<4096]) { bytes in
                let reached = unsafe backend.reach(bytes, of: source)
                #expect(reached == nil)
            }
        }

        /// A fill that fails leaves the way as it was.
        @Test func aFillMayFail() throws {
            struct Refusal: Error {}
            func refuse(_ memory: any BackendMemory, _ backend: VulkanBackend) throws(Refusal) {
                try unsafe backend.fillAside(memory, 0..<4 << 20, after: backend.mark()) {
                    (_, _) throws(Refusal) in throw Refusal()
                }
            }
            let backend = try backend
            let memory = try memory(4 << 20)
            for _ in 0..<9 {
                #expect(throws: Refusal.self) { try refuse(memory, backend) }
            }
            unsafe backend.fillAside(memory, 0..<4, after: backend.mark()) { _, target in
                unsafe target.copyBytes(from: [1, 2, 3, 4])
            }
            backend.joinAside()
            #expect(try bytes(memory, 0..<8) == [1, 2, 3, 4, 0, 0, 0, 0])
        }
    }
}
