//! Holds attention that is shared out among many threads against attention on one.

import Tensors
import TestSupport
import Testing
@testable import CPUBackend

@Suite struct AttentionTests {
    /// Outputs of the backend for `tokens` queries at the end of `length` keys, which are stored as `type`.
    private func attend(
        _ type: KVType = .f16, threads: Int, tokens: Int, length: Int, heads: Int, kvHeads: Int,
        headSize: Int, isCausal: Bool
    ) throws -> [Float] {
        let backend = CPUBackend(threadCount: threads)
        var generator = SeededGenerator(seed: UInt64(length))
        let pageTokens = 16
        let pages = (length + pageTokens - 1) / pageTokens
        let pageBytes = PagedKV.pageByteCount(
            type: type, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
        let memory = try backend.makeMemory(byteCount: pages * pageBytes, label: "test")
        try backend.useScratch(
            byteCount: backend.scratchByteCount(
                of: .attention(queryHeads: heads, kvHeads: kvHeads, headSize: headSize)))
        var table = BlockTable(capacity: pages)
        for page in (0..<Int32(pages)).reversed() { table.append(page) }
        let kv = PagedKV(
            memory: memory, offset: 0, type: type, kvHeads: kvHeads, headSize: headSize,
            pageTokens: pageTokens, blockTable: table)
        unsafe backend.fill(memory, 0..<memory.byteCount) { bytes in
            guard let base = bytes.baseAddress else { return }
            for page in 0..<pages {
                unsafe fill(base + page * pageBytes, kv, using: &generator)
            }
        }
        let columns = heads * headSize
        func activation() throws -> Activation {
            Activation(
                try backend.makeMemory(byteCount: tokens * columns * 4, label: "test"), rows: tokens,
                columns: columns)
        }
        let (queries, y) = (try activation(), try activation())
        let values = generator.floats(tokens * columns, in: -3...3)
        backend.write(values, to: queries)
        backend.attention(
            queries: queries, kv: kv, start: length - tokens, length: length, isCausal: isCausal,
            scale: 0.125,
            into: y)
        return try backend.values(of: y)
    }

    /// Random keys and values into a page.
    private func fill(
        _ page: UnsafeMutableRawPointer, _ kv: PagedKV, using generator: inout SeededGenerator
    ) {
        for index in 0..<2 * kv.kvHeads * kv.pageTokens {
            let (head, slot) = (index / kv.pageTokens, index % kv.pageTokens)
            let (part, kvHead) = (head / kv.kvHeads, head % kv.kvHeads)
            let x = generator.floats(kv.headSize)
            unsafe Kernels.scalar.store(
                x, kv.type, codes: page + kv.codesOffset(part: part, head: kvHead, slot: slot),
                scales: page + kv.scalesOffset(part: part, head: kvHead, slot: slot))
        }
    }

    @Test(arguments: [1, 700, 1024, 1500, 5000], [2, 3, 8, 16])
    func partsOfALongContextJoinToTheWhole(length: Int, threads: Int) throws {
        for (type, tokens, heads, kvHeads, headSize) in [
            (KVType.f16, 1, 16, 1, 32), (.int8, 1, 16, 1, 32), (.int5, 1, 16, 1, 32), (.f16, 1, 4, 2, 64),
            (.f16, min(3, length), 2, 1, 24), (.int5, min(3, length), 2, 1, 24),
        ] {
            func attend(threads: Int) throws -> [Float] {
                try self.attend(
                    type, threads: threads, tokens: tokens, length: length, heads: heads, kvHeads: kvHeads,
                    headSize: headSize, isCausal: true)
            }
            let (one, many) = (try attend(threads: 1), try attend(threads: threads))
            // Values lie within 1, and each range of keys rounds them and its weights by itself.
            let worst = zip(one, many).map { abs($0 - $1) }.max() ?? .infinity
            #expect(worst < 0x1p-10, "\(type), \(tokens) tokens, \(heads) heads")
            #expect(try attend(threads: threads) == many)
        }
    }

    @Test(arguments: [1, 2, 5, 16])
    func blocksCoverEveryToken(threads: Int) throws {
        func attend(threads: Int) throws -> [Float] {
            try self.attend(
                threads: threads, tokens: 250, length: 250, heads: 3, kvHeads: 3, headSize: 16,
                isCausal: false)
        }
        let (one, many) = (try attend(threads: 1), try attend(threads: threads))
        #expect(zip(one, many).allSatisfy { abs($0 - $1) < 0x1p-10 })
    }

    /// What stands beside a range, and where it begins in a page, changes no bit of it.
    @Test(arguments: CPUBackend.variants, [1, 2, 16])
    func aRangeIsWhatItIsAlone(variant: String, threads: Int) throws {
        let backend = CPUBackend(threadCount: threads, variant: variant)
        let (kvHeads, headSize, pageTokens) = (2, 24, 16)
        let columns = 2 * kvHeads * headSize
        for lengths in [[1, 2, 3], [17, 600, 5], [40, 40, 700]] {
            let bounds = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
            let tokens = bounds[lengths.count]
            var generator = SeededGenerator(seed: UInt64(tokens))
            let queries = generator.floats(tokens * columns, in: -3...3)
            // Of each token, the keys and values of both heads.
            let cached = (0..<tokens * 2 * kvHeads).map { _ in generator.floats(headSize) }
            /// Outputs of the tokens of `rows` from a cache that has no others.
            func attend(_ rows: Range<Int>, _ bounds: [Int]) throws -> [Float] {
                let pages = (rows.count + pageTokens - 1) / pageTokens
                let pageBytes = PagedKV.pageByteCount(
                    type: .f16, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
                let memory = try backend.makeMemory(byteCount: pages * pageBytes, label: "test")
                var table = BlockTable(capacity: pages)
                for page in 0..<Int32(pages) { table.append(page) }
                let kv = PagedKV(
                    memory: memory, offset: 0, type: .f16, kvHeads: kvHeads, headSize: headSize,
                    pageTokens: pageTokens, blockTable: table)
                unsafe backend.fill(memory, 0..<memory.byteCount) { bytes in
                    for (row, index) in rows.indices.flatMap({ row in
                        (0..<2 * kvHeads).map { (row - rows.lowerBound, row * 2 * kvHeads + $0) }
                    }) {
                        let (part, head) = (index % (2 * kvHeads) / kvHeads, index % kvHeads)
                        let offset = kv.codesOffset(part: part, head: head, slot: row % pageTokens)
                        let codes = unsafe bytes.baseAddress! + row / pageTokens * pageBytes + offset
                        unsafe Kernels.scalar.store(cached[index], .f16, codes: codes, scales: codes)
                    }
                }
                try backend.useScratch(
                    byteCount: backend.scratchByteCount(
                        of: .attention(queryHeads: 2 * kvHeads, kvHeads: kvHeads, headSize: headSize)))
                func activation() throws -> Activation {
                    Activation(
                        try backend.makeMemory(byteCount: rows.count * columns * 4, label: "test"),
                        rows: rows.count, columns: columns)
                }
                let (x, y) = (try activation(), try activation())
                backend.write(
                    Array(queries[rows.lowerBound * columns..<rows.upperBound * columns]), to: x)
                let place = try backend.makeMemory(
                    byteCount: RowRanges.byteCount(bounds.count - 1), label: "test")
                backend.attention(
                    queries: x, kv: kv, within: RowRanges(bounds, in: place, at: 0, on: backend),
                    scale: 0.125,
                    into: y)
                return try backend.values(of: y)
            }
            let together = try attend(0..<tokens, bounds)
            for index in lengths.indices {
                let rows = bounds[index]..<bounds[index + 1]
                let own = Array(together[rows.lowerBound * columns..<rows.upperBound * columns])
                #expect(try attend(rows, [0, rows.count]) == own, "\(lengths[index]) of \(lengths)")
            }
        }
    }

    @Test func aDivisionFollowsShapesAndThreads() {
        func division(_ tokens: Int, group: Int, kvHeads: Int, length: Int, threads: Int) -> [Int] {
            let d = AttentionDivision(
                tokens: tokens, group: group, kvHeads: kvHeads, length: length, threads: threads)
            #expect(d.keys(of: 0, length: length).lowerBound == 0)
            #expect(d.keys(of: d.parts - 1, length: length).upperBound == length)
            return [d.blockTokens, d.blocks, d.parts]
        }
        // A vision tower: every head is its own, and tokens are many.
        #expect(division(2520, group: 1, kvHeads: 12, length: 2520, threads: 16) == [192, 14, 1])
        // A prompt through grouped heads.
        #expect(division(643, group: 16, kvHeads: 2, length: 643, threads: 16) == [12, 54, 1])
        // One token: its two kv heads feed sixteen threads once there are keys enough.
        #expect(division(1, group: 16, kvHeads: 2, length: 100, threads: 16) == [1, 1, 1])
        #expect(division(1, group: 16, kvHeads: 2, length: 300, threads: 16) == [1, 1, 2])
        #expect(division(1, group: 16, kvHeads: 2, length: 2100, threads: 16) == [1, 1, 8])
        #expect(division(1, group: 16, kvHeads: 2, length: 65536, threads: 16) == [1, 1, 8])
        #expect(division(1, group: 16, kvHeads: 2, length: 65536, threads: 2) == [1, 1, 1])
    }
}
