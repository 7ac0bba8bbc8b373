//! The device sees each operation's block table as it was when that was asked for, however tables change.

import TestSupport
import Tensors
import Testing

extension VulkanBackendTests {
    @Suite struct BlockTableTests {
        private let shape = AttentionShape(heads: 1, kvHeads: 1, headSize: 16, pageTokens: 4)

        /// Attention of one query that sees all keys alike, over pages whose values are the page's number:
        /// the mean of the numbers in the table.
        private func attend(_ table: BlockTable, _ memory: any BackendMemory, _ bench: inout Bench) throws
            -> Activation
        {
            let queries = try bench.activation([Float](repeating: 0, count: 16), 1, 16)
            let (y, _) = try bench.random(1, 16)
            bench.backend.attention(
                queries: queries, kv: shape.kv(memory, offset: 0, table), start: 0, length: table.count * 4,
                isCausal: false, scale: 1, into: y)
            return y
        }

        private func numberedPages(_ count: Int, _ bench: inout Bench) throws -> any BackendMemory {
            let memory = try bench.makeMemory(byteCount: count * shape.pageByteCount)
            let halves = (0..<count).flatMap { page in
                [Float16](repeating: Float16(page), count: shape.pageByteCount / 2)
            }
            unsafe bench.backend.fill(memory, 0..<memory.byteCount) { bytes in
                unsafe halves.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
            }
            return memory
        }

        private func expectMeans(_ made: [(table: BlockTable, y: Activation)], _ bench: Bench) throws {
            for (table, y) in made {
                let mean = Float(table.pages.reduce(0) { $0 + Int($1) }) / Float(table.count)
                #expect(try bench.values(y).allSatisfy { abs($0 - mean) < 1e-3 }, "\(table.pages)")
            }
        }

        @Test func aTableGrowsShrinksAndChanges() throws {
            var bench = try Bench(backend)
            let memory = try numberedPages(100, &bench)
            var table = BlockTable(capacity: 8)
            var made: [(BlockTable, Activation)] = []
            func use() throws { made.append((table, try attend(table, memory, &bench))) }
            // Beyond the room that it was made with.
            for page in 0..<60 {
                table.append(Int32((page * 37 + 5) % 100))
                try use()
            }
            try use()
            for _ in 0..<30 { _ = table.removeLast() }
            try use()
            // Another end, then one page that is not the last.
            for page in [99, 98, 97] as [Int32] { table.append(page) }
            try use()
            var other = BlockTable(capacity: 64)
            for (index, page) in table.pages.enumerated() { other.append(index == 7 ? 42 : page) }
            table = other
            try use()
            try expectMeans(made, bench)
        }

        /// More sequences in turn than the device has tables for, and a vision tower's table between them.
        @Test(arguments: [1, 2, 3, 5])
        func sequencesTakeTurns(count: Int) throws {
            var bench = try Bench(backend)
            let memory = try numberedPages(200, &bench)
            var tables = (0..<count).map { BlockTable(capacity: 4 + 30 * $0) }
            var made: [(BlockTable, Activation)] = []
            for step in 0..<40 {
                for sequence in 0..<count {
                    // Sequences begin alike: they share the pages of a prompt.
                    tables[sequence].append(Int32(step < 3 ? step : (step * count + sequence) % 200))
                    made.append((tables[sequence], try attend(tables[sequence], memory, &bench)))
                }
            }
            try expectMeans(made, bench)
        }

        /// One that is longer by far than what was there before.
        @Test func aLongTableFollowsAShortOne() throws {
            var bench = try Bench(backend)
            let memory = try numberedPages(10, &bench)
            var made: [(BlockTable, Activation)] = []
            for count in [1, 3000, 2, 5000, 1] {
                var table = BlockTable(capacity: count)
                for page in 0..<count { table.append(Int32(page % 10)) }
                made.append((table, try attend(table, memory, &bench)))
            }
            try expectMeans(made, bench)
        }
    }
}
