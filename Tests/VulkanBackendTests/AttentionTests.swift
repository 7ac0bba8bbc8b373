//! Holds attention, and what a projection leaves for it in queries and pages, against the CPU.

import TestSupport
import Tensors
import Testing

/// Heads and pages of a test.
struct AttentionShape: Sendable {
    var heads = 4
    var kvHeads = 2
    var headSize = 16
    var pageTokens = 16
    var type = KVType.f16

    var columns: Int { heads * headSize }
    var outputs: Int { (heads + 2 * kvHeads) * headSize }
    var pageByteCount: Int {
        PagedKV.pageByteCount(type: type, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
    }

    func pageCount(_ length: Int) -> Int { (length + pageTokens - 1) / pageTokens }

    func kv(_ memory: any BackendMemory, offset: Int, _ table: BlockTable) -> PagedKV {
        PagedKV(
            memory: memory, offset: offset, type: type, kvHeads: kvHeads, headSize: headSize,
            pageTokens: pageTokens, blockTable: table)
    }
}

extension BlockTable {
    /// Pages in an order of their own, among `limit`.
    static func scattered(_ count: Int, among limit: Int, _ generator: inout SeededGenerator) -> BlockTable {
        var table = BlockTable(capacity: count)
        for page in (0..<Int32(limit)).shuffled(using: &generator).prefix(count) { table.append(page) }
        return table
    }

    func prefix(_ count: Int) -> BlockTable {
        var table = self
        while table.count > count { _ = table.removeLast() }
        return table
    }
}

extension Bench {
    /// Pages that are full of random numbers within a range; what no page of the table owns is NaN.
    mutating func pages(
        _ shape: AttentionShape, _ table: BlockTable, limit: Int, offset: Int = 0,
        in range: ClosedRange<Float> = -1...1
    ) throws -> PagedKV {
        let memory = try makeMemory(byteCount: offset + limit * shape.pageByteCount)
        let owned = Set(table.pages)
        let content: [UInt8] = (0..<Int32(limit)).flatMap { page in
            // Of any form, this is NaN.
            owned.contains(page)
                ? pageContent(shape, in: range) : [UInt8](repeating: 0xff, count: shape.pageByteCount)
        }
        unsafe backend.fill(memory, offset..<memory.byteCount) { bytes in
            unsafe content.withUnsafeBytes { unsafe bytes.copyMemory(from: $0) }
        }
        return shape.kv(memory, offset: offset, table)
    }

    private mutating func pageContent(_ shape: AttentionShape, in range: ClosedRange<Float>) -> [UInt8] {
        func bytes<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
            (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
        }
        if shape.type == .f16 {
            let numbers = generator.floats(shape.pageByteCount / 2, in: range)
            return numbers.flatMap { bytes(Float16($0).bitPattern) }
        }
        let size = max(-range.lowerBound, range.upperBound)
        return (0..<2 * shape.kvHeads).flatMap { _ in
            let codes = (0..<shape.pageTokens * shape.type.codeByteCount(headSize: shape.headSize)).map { _ in
                UInt8(truncatingIfNeeded: generator.next())
            }
            let words = generator.floats(shape.pageTokens, in: 0.5...1).map { part in
                let step = size * part / (shape.type == .int8 ? 127 : 15.5)
                if shape.type == .int8 { return step.bitPattern }
                return (-size * part).bitPattern & 0xffff_0000 | step.bitPattern >> 16
            }
            return codes + words.flatMap { bytes($0) }
        }
    }

    /// Queries of those values; `asHalves`: with no more digits than float16 has. Cooperative matrices take
    /// float16 with a power of two a row, so that such queries are the same there.
    mutating func queries(
        _ values: [Float], _ tokens: Int, _ shape: AttentionShape, asHalves: Bool
    ) throws -> Activation {
        // 13 of 23 digits go, to the nearest.
        let kept = values.map { value in
            let isKept = !asHalves || !value.isFinite
            return isKept ? value : Float(bitPattern: (value.bitPattern + 0x1000) & ~0x1fff)
        }
        return try activation(kept, tokens, shape.columns)
    }
}

extension VulkanBackendTests {
    @Suite struct AttentionTests {
        /// The CPU's definition and the device differ in the order of float32 sums and in the last bits of
        /// exp.
        private static let rounding: Float = 5e-6
        /// By cooperative matrices softmax weights are float16: each is off by 2^-11 of itself at most.
        private static let weightRounding: Float = 1e-3
        /// There codes become float16: a score is off by its key's rounding, and its weight by as much.
        private static let codeRounding: Float = 1e-2

        private func matrixRounding(_ type: KVType) -> Float {
            type == .f16 ? Self.weightRounding : Self.codeRounding
        }

        private func expectAgreement(
            _ shape: AttentionShape, tokens: Int, length: Int, isCausal: Bool,
            size: Float = 3, sourceLocation: SourceLocation = #_sourceLocation
        ) throws {
            let pageCount = shape.pageCount(length)
            let byMatrices = try attendsByMatrices(shape)
            let numbers = try onBoth(seed: UInt64(length)) { bench in
                let table = BlockTable.scattered(pageCount, among: pageCount + 3, &bench.generator)
                let kv = try bench.pages(shape, table, limit: pageCount + 3, offset: 64)
                let values = bench.generator.floats(tokens * shape.columns, in: -size...size)
                let queries = try bench.queries(values, tokens, shape, asHalves: byMatrices)
                let (y, _) = try bench.random(tokens, shape.columns)
                bench.backend.attention(
                    queries: queries, kv: kv, start: isCausal ? length - tokens : 0, length: length,
                    isCausal: isCausal, scale: 0.37, into: y)
                return try bench.values(y)
            }
            let rounding = Self.rounding * max(1, min(size, 10))
            expectClose(
                numbers, width: shape.headSize, tolerance: byMatrices ? matrixRounding(shape.type) : rounding,
                byMatrices: byMatrices,
                "\(shape), \(tokens) tokens, \(length) keys, causal \(isCausal)",
                sourceLocation: sourceLocation)
        }

        @Test(
            arguments: [
                AttentionShape(heads: 4, kvHeads: 2, headSize: 128),
                .init(heads: 3, kvHeads: 3, headSize: 64),
                .init(heads: 6, kvHeads: 1, headSize: 40), .init(heads: 32, kvHeads: 2, headSize: 16),
                .init(heads: 4, kvHeads: 2, headSize: 128, type: .int8),
                .init(heads: 3, kvHeads: 3, headSize: 37, type: .int8),
                .init(heads: 6, kvHeads: 1, headSize: 40, type: .int8),
                .init(heads: 4, kvHeads: 2, headSize: 128, type: .int5),
                .init(heads: 2, kvHeads: 1, headSize: 256, type: .int5),
                .init(heads: 3, kvHeads: 3, headSize: 38, type: .int5),
                .init(heads: 6, kvHeads: 1, headSize: 40, type: .int5),
                .init(heads: 6, kvHeads: 3, headSize: 7, type: .int5),
            ], [true, false])
        func everyShapeAgrees(shape: AttentionShape, isCausal: Bool) throws {
            for pageTokens in [1, 5, 16, 32] {
                var shape = shape
                shape.pageTokens = pageTokens
                for (tokens, length) in [(1, 1), (1, 70), (3, 3), (17, 40), (70, 101), (33, 32 + 33)] {
                    try expectAgreement(shape, tokens: tokens, length: length, isCausal: isCausal)
                }
            }
        }

        @Test(arguments: [true, false])
        func aPageOfPatchesAgrees(isCausal: Bool) throws {
            try expectAgreement(.init(heads: 2, kvHeads: 2), tokens: 600, length: 600, isCausal: isCausal)
            try expectAgreement(.init(heads: 4, kvHeads: 1), tokens: 2, length: 3000, isCausal: isCausal)
        }

        /// Rows see the positions of their own range, wherever it begins in a page and however long others
        /// are: what is no number in one is no matter to the next.
        @Test(
            arguments: [
                AttentionShape(heads: 2, kvHeads: 2, headSize: 128),
                .init(heads: 3, kvHeads: 3, headSize: 64), .init(heads: 4, kvHeads: 2, headSize: 40),
            ], [[1], [7, 1, 1], [36, 100, 4], [130, 20, 61, 300], [16, 32, 16, 16, 48]])
        func rangesAgree(shape: AttentionShape, lengths: [Int]) throws {
            let bounds = lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + $1) }
            let tokens = bounds[lengths.count]
            let pageCount = shape.pageCount(tokens)
            let byMatrices = try attendsByMatrices(shape)
            let numbers = try onBoth { bench in
                let table = BlockTable.scattered(pageCount, among: pageCount + 3, &bench.generator)
                let kv = try bench.pages(shape, table, limit: pageCount + 3, offset: 64)
                var values = bench.generator.floats(tokens * shape.columns, in: -3...3)
                if lengths.count > 1 { values[0] = .nan }
                let queries = try bench.queries(values, tokens, shape, asHalves: byMatrices)
                let (y, _) = try bench.random(tokens, shape.columns)
                let memory = try bench.makeMemory(byteCount: 8 + RowRanges.byteCount(lengths.count))
                let ranges = RowRanges(bounds, in: memory, at: 8, on: bench.backend)
                bench.backend.attention(queries: queries, kv: kv, within: ranges, scale: 0.37, into: y)
                for index in 0..<ranges.count where index > 0 {
                    let rows = ranges[index]
                    let own = try bench.values(y.rows(rows))
                    #expect(own.allSatisfy { $0.isFinite }, "\(rows)")
                }
                return try bench.values(y)
            }
            expectClose(
                numbers, width: shape.headSize,
                tolerance: byMatrices ? Self.weightRounding : 3 * Self.rounding, byMatrices: byMatrices,
                "\(shape), \(lengths)")
        }

        /// A weight is off by the rounding of its score, which grows with it; then one weight is all, and at
        /// last scores pass float32's range.
        @Test(arguments: [Float(100), 1e6, 1e18, 1e37], KVType.allCases)
        func largeScoresAgree(size: Float, type: KVType) throws {
            let shape = AttentionShape(heads: 4, kvHeads: 2, type: type)
            // Where codes become float16, their rounding decides which weight is all.
            if try type != .f16 && attendsByMatrices(shape) { return }
            try expectAgreement(shape, tokens: 20, length: 50, isCausal: true, size: size)
        }

        /// What is no number, or is infinite, in a query, a key or a value reaches the same outputs.
        @Test(arguments: [Float.nan, .infinity, -.infinity])
        func whatIsNotFiniteSpreadsTheSame(value: Float) throws {
            let shape = AttentionShape()
            let (tokens, length) = (30, 40)
            let (position, dimension) = (19, 5)
            let byMatrices = try attendsByMatrices(shape)
            for isCausal in [true, false] {
                for place in ["query", "key", "value"] {
                    // Scores of matrices have one scale a row, which an infinite query or key leaves without
                    // numbers; the CPU's stay at their limit.
                    if byMatrices, value.isInfinite, place != "value" { continue }
                    let numbers = try onBoth { bench in
                        let kv = try bench.pages(shape, [2, 0, 1], limit: 3)
                        // The position is in the page that is first.
                        let part = place == "key" ? 0 : place == "value" ? 1 : nil
                        if let part {
                            let row = part * shape.kvHeads * shape.pageTokens + position % shape.pageTokens
                            let element = row * shape.headSize + dimension
                            unsafe bench.backend.fill(kv.memory, element * 2..<element * 2 + 2) { bytes in
                                unsafe bytes.storeBytes(of: Float16(value).bitPattern, as: UInt16.self)
                            }
                        }
                        var values = bench.generator.floats(tokens * shape.columns)
                        if part == nil { values[11 * shape.columns + 20] = value }
                        let queries = try bench.queries(values, tokens, shape, asHalves: byMatrices)
                        let (y, _) = try bench.random(tokens, shape.columns)
                        bench.backend.attention(
                            queries: queries, kv: kv, start: length - tokens, length: length,
                            isCausal: isCausal, scale: 0.25, into: y)
                        var outputs = try bench.values(y)
                        // Matrices multiply it by the weight 0 of positions before it, that of the same tile.
                        if byMatrices, isCausal, place == "value" {
                            for token in 0..<position - (length - tokens) {
                                let row = token * shape.columns
                                for head in 0..<shape.heads / shape.kvHeads {
                                    outputs[row + head * shape.headSize + dimension] = 0
                                }
                            }
                        }
                        return outputs
                    }
                    expectClose(
                        numbers, width: shape.headSize,
                        tolerance: byMatrices ? Self.weightRounding : Self.rounding, byMatrices: byMatrices,
                        "\(value) in a \(place), causal \(isCausal)")
                }
            }
        }
    }
}
