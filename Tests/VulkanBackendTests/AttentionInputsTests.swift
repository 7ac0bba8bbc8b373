//! Holds what a projection leaves for attention, in queries and in pages, against the CPU.

import Foundation
import TestSupport
import Tensors
import Testing

extension VulkanBackendTests {
    @Suite struct AttentionInputsTests {
        /// Bytes of their memory before the pages.
        private let pagesOffset = 128

        /// Queries and the float16 of all pages after `chunks` of tokens, one after another, the table
        /// growing with them; and attention of each chunk.
        private func run(
            _ bench: inout Bench, _ shape: AttentionShape, _ format: WeightFormat, chunks: [Int], start: Int,
            pairs: Int, pairing: Rotary.Pairing, hasBias: Bool
        ) throws -> (queries: [Float], pages: [UInt16], outputs: [Float]) {
            let inputs = 72
            let w = try bench.matrix(shape.outputs, inputs, format)
            let (bias, _) = try bench.vector(shape.outputs)
            let length = start + chunks.reduce(0, +)
            let pageCount = shape.pageCount(length)
            let table = BlockTable.scattered(pageCount, among: pageCount + 2, &bench.generator)
            let kv = try bench.pages(shape, table, limit: pageCount + 2, offset: pagesOffset)
            var position = start
            var made: [(queries: Activation, y: Activation)] = []
            for tokens in chunks {
                let own = shape.kv(
                    kv.memory, offset: kv.offset, table.prefix(shape.pageCount(position + tokens)))
                let (x, _) = try bench.random(tokens, inputs)
                let angles = bench.generator.floats(tokens * pairs, in: 0...6)
                let cosines = try bench.activation(angles.map { cos($0) }, tokens, pairs)
                let sines = try bench.activation(angles.map { sin($0) }, tokens, pairs)
                let (queries, _) = try bench.random(tokens, shape.columns)
                let (y, _) = try bench.random(tokens, shape.columns)
                bench.backend.project(
                    .plain(x), w,
                    .attentionInputs(
                        queries: queries, bias: hasBias ? bias : nil,
                        rotary: Rotary(cosines: cosines, sines: sines, pairing: pairing), kv: own,
                        start: position))
                position += tokens
                bench.backend.attention(
                    queries: queries, kv: own, start: position - tokens, length: position, isCausal: true,
                    scale: 0.2, into: y)
                made.append((queries, y))
            }
            return (
                try made.flatMap { try bench.values($0.queries) }, try bench.halves(of: kv.memory),
                try made.flatMap { try bench.values($0.y) }
            )
        }

        private func expectAgreement(
            _ shape: AttentionShape, _ format: WeightFormat, chunks: [Int], start: Int = 0, pairs: Int,
            pairing: Rotary.Pairing, hasBias: Bool = true
        ) throws {
            let byMatrices = try goesByMatrices(format)
            let (device, cpu) = try onBoth(byMatrices: byMatrices) { bench in
                try run(
                    &bench, shape, format, chunks: chunks, start: start, pairs: pairs, pairing: pairing,
                    hasBias: hasBias)
            }
            let what = "\(shape), \(format), \(chunks) from \(start)"
            // Sums of 72 products and a rotation, rounded in another order.
            let rounding = byMatrices ? matrixRounding : 4e-6
            expectClose(
                (device.queries, cpu.queries), width: shape.headSize, tolerance: rounding,
                "queries of \(what)")
            if shape.type != .f16 {
                try expectCodesAgree(device.pages, cpu.pages, shape, isCoarse: byMatrices, what)
            } else if byMatrices {
                let pages = [device.pages, cpu.pages].map { halves in
                    halves.dropFirst(pagesOffset / 2).map { Float(Float16(bitPattern: $0)) }
                }
                expectClose(
                    (pages[0], pages[1]), width: shape.headSize, tolerance: rounding + 0x1p-10,
                    "pages of \(what)")
            } else {
                try expectPagesAgree(device.pages, cpu.pages, what)
            }
            // A neighbouring key moves a score by 2^-11 of its product. By matrices every query and key is
            // off by as much, of scores that reach 100: weights move by a fiftieth then.
            // A code that goes the other way is a 127th or a 20th of the largest element.
            let isCoarse = try byMatrices || attendsByMatrices(shape) || shape.type != .f16
            expectClose(
                (device.outputs, cpu.outputs), width: shape.headSize, tolerance: isCoarse ? 0.02 : 1e-3,
                "outputs of \(what)")
        }

        /// Floats that differ as queries do become the same float16 or, where they lie on both sides of a
        /// middle, neighbours: seldom, unless they are as small as their rounding. The rest is untouched.
        private func expectPagesAgree(_ device: [UInt16], _ cpu: [UInt16], _ what: String) throws {
            #expect(device.count == cpu.count)
            var differing = 0
            for (bits, expectedBits) in zip(device, cpu) where bits != expectedBits {
                let (value, expected) = (Float16(bitPattern: bits), Float16(bitPattern: expectedBits))
                try #require((value - expected).magnitude <= max(expected.ulp, 0x1p-17), "\(what)")
                differing += 1
            }
            #expect(differing <= 2 + device.count / 200, "\(what)")
        }

        /// Elements of rows of codes, and what one code is worth, for each part, head and slot of all pages.
        private func elements(of halves: [UInt16], _ shape: AttentionShape) -> [(row: [Float], step: Float)] {
            let bytes = halves.flatMap { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] }
            let row = shape.type.codeByteCount(headSize: shape.headSize)
            let headBytes = shape.pageTokens * (row + 4)
            func word(_ at: Int) -> UInt32 {
                (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << (8 * $1) }
            }
            return stride(from: pagesOffset, to: bytes.count, by: headBytes).flatMap { head in
                (0..<shape.pageTokens).map { slot in
                    let (at, word) = (head + slot * row, word(head + shape.pageTokens * row + 4 * slot))
                    if shape.type == .int8 {
                        let scale = Float(bitPattern: word)
                        let codes = (0..<shape.headSize).map { Int8(bitPattern: bytes[at + $0]) }
                        return (codes.map { scale * Float($0) }, scale)
                    }
                    let (step, least) = (Float(bitPattern: word << 16), Float(bitPattern: word & 0xffff_0000))
                    let elements = (0..<shape.headSize).map { index -> Float in
                        let (block, within) = (at + index / 32 * 20, index % 32)
                        let low =
                            bytes[block + 4 + within / 8 * 4 + within % 4] >> (within % 8 < 4 ? 0 : 4) & 15
                        let fifth = bytes[block + within / 8] >> (within % 8) & 1
                        let c = Float(low + 16 * fifth)
                        return least + step * c * (3009 + c * (2 * c - 93)) / 2048
                    }
                    return (elements, 1.43 * step)
                }
            }
        }

        /// Elements that differ as floats do have the same codes, or seldom neighbouring ones.
        private func expectCodesAgree(
            _ device: [UInt16], _ cpu: [UInt16], _ shape: AttentionShape, isCoarse: Bool, _ what: String
        ) throws {
            #expect(
                device.count == cpu.count && device.prefix(pagesOffset / 2) == cpu.prefix(pagesOffset / 2))
            var (differing, count) = (0, 0)
            for (row, expected) in zip(elements(of: device, shape), elements(of: cpu, shape)) {
                count += row.row.count
                guard expected.step.isFinite else {
                    #expect(!row.step.isFinite, "\(what)")
                    continue
                }
                let bound = expected.step * 1.02
                for (value, wanted) in zip(row.row, expected.row) where value != wanted {
                    try #require((value - wanted).magnitude <= bound, "\(what): \(value) for \(wanted)")
                    differing += (value - wanted).magnitude > bound / 8 ? 1 : 0
                }
            }
            #expect(isCoarse || differing <= 2 + count / 200, "\(what): \(differing) of \(count)")
        }

        @Test(arguments: [KVType.int8, .int5])
        func codesAgree(type: KVType) throws {
            for (heads, kvHeads, headSize) in [(4, 2, 128), (3, 3, 64), (6, 1, 40), (2, 2, 36), (1, 1, 256)] {
                for pageTokens in [1, 5, 16] {
                    let shape = AttentionShape(
                        heads: heads, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens, type: type
                    )
                    try expectAgreement(
                        shape, .f32, chunks: [9, 1, 33], start: 7, pairs: headSize / 4, pairing: .interleaved)
                    try expectAgreement(
                        shape, .q4(group: 64), chunks: [5], start: 2, pairs: headSize / 2, pairing: .halves)
                }
            }
        }

        /// The attention inputs of random rows, each times one of `factors`, which nothing turns.
        private func projectRows(
            of factors: [Float], _ shape: AttentionShape, pagesOffset: Int, _ bench: inout Bench
        ) throws -> (queries: Activation, kv: PagedKV) {
            let w = try bench.matrix(shape.outputs, 32, .f32)
            let values = factors.flatMap { factor in bench.generator.floats(32).map { $0 * factor } }
            let x = try bench.activation(values, factors.count, 32)
            let kv = try bench.pages(shape, [1], limit: 2, offset: pagesOffset)
            let ones = [Float](repeating: 1, count: factors.count)
            let rotary = Rotary(
                cosines: try bench.activation(ones, factors.count, 1),
                sines: try bench.activation(ones.map { _ in 0 }, factors.count, 1), pairing: .halves)
            let (queries, _) = try bench.random(factors.count, shape.columns)
            bench.backend.project(
                .plain(x), w,
                .attentionInputs(queries: queries, bias: nil, rotary: rotary, kv: kv, start: 3))
            return (queries, kv)
        }

        /// One element that is no number makes its row none; what is infinite saturates; zeros stay.
        @Test(arguments: [KVType.int8, .int5])
        func codesOfExtremesAgree(type: KVType) throws {
            let shape = AttentionShape(heads: 1, kvHeads: 1, type: type)
            let factors: [Float] = [1, 1e3, 1e9, 1e30, 1e-6, 1e-9, 0, .infinity, .nan]
            let (device, cpu) = try onBoth { bench in
                let (_, kv) = try projectRows(of: factors, shape, pagesOffset: pagesOffset, &bench)
                return try bench.halves(of: kv.memory)
            }
            try expectCodesAgree(device, cpu, shape, isCoarse: true, "\(type)")
        }

        @Test(arguments: allFormats)
        func everyFormatAgrees(format: WeightFormat) throws {
            try expectAgreement(.init(), format, chunks: [21], start: 13, pairs: 4, pairing: .interleaved)
        }

        @Test(
            arguments: [
                AttentionShape(heads: 4, kvHeads: 2, headSize: 128),
                .init(heads: 3, kvHeads: 3, headSize: 64),
                .init(heads: 6, kvHeads: 1, headSize: 40), .init(heads: 32, kvHeads: 2, headSize: 16),
            ], [Rotary.Pairing.interleaved, .halves])
        func everyShapeAgrees(shape: AttentionShape, pairing: Rotary.Pairing) throws {
            for pairs in [shape.headSize / 4, shape.headSize / 2] {
                try expectAgreement(
                    shape, .q4(group: 64), chunks: [3, 1, 40, 1, 7], pairs: pairs, pairing: pairing)
            }
            for pageTokens in [1, 5, 32] {
                var shape = shape
                shape.pageTokens = pageTokens
                try expectAgreement(
                    shape, .f32, chunks: [9, 1, 33], start: 7, pairs: shape.headSize / 2, pairing: pairing,
                    hasBias: false)
            }
        }

        /// More rows than go through a projection together.
        @Test func manyRowsAgree() throws {
            let shape = AttentionShape(heads: 1, kvHeads: 1)
            try expectAgreement(shape, .f32, chunks: [600], start: 5, pairs: 8, pairing: .interleaved)
        }

        /// Keys and values saturate; what is no number stays none.
        @Test func whatPassesFloat16Saturates() throws {
            let shape = AttentionShape(heads: 1, kvHeads: 1)
            let factors: [Float] = [1, 1e3, 6e4, 1e5, 1e6, 1e30, 1e-6, 1e-9, .infinity, .nan]
            let (device, cpu) = try onBoth { bench in
                let (queries, kv) = try projectRows(of: factors, shape, pagesOffset: 0, &bench)
                return (queries: try bench.values(queries), pages: try bench.halves(of: kv.memory))
            }
            expectClose((device.queries, cpu.queries), width: shape.headSize, tolerance: 4e-6)
            let pages = [device.pages, cpu.pages].map { $0.map { Float(Float16(bitPattern: $0)) } }
            expectClose((pages[0], pages[1]), width: 1, tolerance: 0x1p-10)
            #expect(pages[0].contains(65504) && pages[0].contains(-65504))
        }
    }
}
