//! Holds attention that is shared out among many threads against attention on one.

import Tensors
import TestSupport
import Testing
@testable import CPUBackend

@Suite struct AttentionTests {
    /// Outputs of the backend for `tokens` queries at the end of `length` keys.
    private func attend(
        threads: Int, tokens: Int, length: Int, heads: Int, kvHeads: Int, headSize: Int, isCausal: Bool
    ) throws -> [Float] {
        let backend = CPUBackend(threadCount: threads)
        var generator = SeededGenerator(seed: UInt64(length))
        let pageTokens = 16
        let pages = (length + pageTokens - 1) / pageTokens
        let pageBytes = PagedKV.pageByteCount(kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
        let memory = try backend.makeMemory(byteCount: pages * pageBytes, label: "test")
        let cached = generator.floats(pages * pageBytes / 2)
        try backend.useScratch(
            byteCount: backend.scratchByteCount(
                of: .attention(
                    queryHeads: heads, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)))
        unsafe backend.fill(memory, 0..<memory.byteCount) { bytes in
            let halves = unsafe bytes.assumingMemoryBound(to: Float16.self)
            for i in cached.indices { unsafe halves[i] = Float16(cached[i]) }
        }
        var table = BlockTable(capacity: pages)
        for page in (0..<Int32(pages)).reversed() { table.append(page) }
        let kv = PagedKV(
            memory: memory, offset: 0, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens,
            blockTable: table)
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

    @Test(arguments: [1, 700, 1024, 1500, 5000], [2, 3, 8, 16])
    func partsOfALongContextJoinToTheWhole(length: Int, threads: Int) throws {
        for (tokens, heads, kvHeads, headSize) in [(1, 16, 1, 32), (1, 4, 2, 64), (min(3, length), 2, 1, 24)]
        {
            func attend(threads: Int) throws -> [Float] {
                try self.attend(
                    threads: threads, tokens: tokens, length: length, heads: heads, kvHeads: kvHeads,
                    headSize: headSize, isCausal: true)
            }
            let (one, many) = (try attend(threads: 1), try attend(threads: threads))
            // Values lie within 1, and each range of keys rounds them and its weights by itself.
            let worst = zip(one, many).map { abs($0 - $1) }.max() ?? .infinity
            #expect(worst < 0x1p-10, "\(tokens) tokens, \(heads) heads")
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
        #expect(division(1, group: 16, kvHeads: 2, length: 2100, threads: 16) == [1, 1, 4])
        #expect(division(1, group: 16, kvHeads: 2, length: 65536, threads: 16) == [1, 1, 8])
        #expect(division(1, group: 16, kvHeads: 2, length: 65536, threads: 2) == [1, 1, 1])
    }
}
