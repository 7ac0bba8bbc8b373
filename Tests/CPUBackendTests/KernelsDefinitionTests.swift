//! Holds the scalar kernels, which define the others, against formulas in Double.

import CKernels
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct KernelsDefinitionTests {
    let kernels = Kernels.scalar

    /// `y[token][row]` of dequantized weights and inputs, with a canary behind each token's rows.
    private func product(_ w: TiledMatrix, _ x: [Double], tokens: Int) -> (y: [Double], magnitude: [Double]) {
        let (rows, columns) = (w.layout.rows, w.layout.columns)
        var y = [Double](repeating: -77, count: tokens * (rows + 1))
        var magnitude = y
        for token in 0..<tokens {
            for row in 0..<rows {
                let terms = (0..<columns).map {
                    Double(w.values[row * columns + $0]) * x[token * columns + $0]
                }
                y[token * (rows + 1) + row] = terms.reduce(0, +)
                magnitude[token * (rows + 1) + row] = terms.reduce(0) { $0 + abs($1) }
            }
        }
        return (y, magnitude)
    }

    private func expect(_ y: [Float], near expected: (y: [Double], magnitude: [Double]), steps: Int) {
        // Each of `steps` float32 roundings moves the sum by at most 2^-24 of the terms' magnitude; a term
        // has a few of its own.
        for i in y.indices {
            let tolerance = expected.magnitude[i].magnitude * Double(steps + 4) * 0x1p-24
            #expect(abs(Double(y[i]) - expected.y[i]) <= tolerance)
        }
    }

    @Test(arguments: [
        WeightFormat.q4(group: 32), .q4(group: 64), .q4(group: 128), .q8(group: 32), .q8(group: 128),
    ])
    func integerProductsAreThoseOfDequantizedMatrices(format: WeightFormat) {
        var generator = SeededGenerator(seed: 1)
        for (rows, columns, tokens) in [(5, 8, 1), (16, 32, 2), (19, 200, 3)] {
            let w = TiledMatrix.random(rows: rows, columns: columns, format: format, using: &generator)
            let x = generator.floats(tokens * columns)
            let padded = w.layout.paddedColumns
            let q = kernels.quantize(x, tokens: tokens, padded: padded)
            let restored = x.indices.map { i in
                let (token, k) = (i / columns, i % columns)
                return Double(q.codes[token * padded + k]) * Double(q.scales[(token * padded + k) / 32])
            }
            let y = kernels.matmul(w, q, tiles: 0..<w.layout.tileCount)
            expect(y, near: product(w, restored, tokens: tokens), steps: padded / 32)
        }
    }

    @Test(arguments: [WeightFormat.f16, .f32])
    func floatProductsAreThoseOfTheMatrices(format: WeightFormat) {
        var generator = SeededGenerator(seed: 2)
        for (rows, columns, tokens) in [(5, 8, 1), (16, 32, 2), (19, 200, 3)] {
            let w = TiledMatrix.random(rows: rows, columns: columns, format: format, using: &generator)
            let x = generator.floats(tokens * columns)
            let y = kernels.matmul(w, x, tiles: 0..<w.layout.tileCount)
            expect(y, near: product(w, x.map(Double.init), tokens: tokens), steps: columns)
        }
    }

    @Test(arguments: [WeightFormat.q4(group: 64), .q8(group: 32), .f16, .f32])
    func aGatheredRowIsTheMatrixRow(format: WeightFormat) {
        var generator = SeededGenerator(seed: 3)
        let w = TiledMatrix.random(rows: 21, columns: 77, format: format, using: &generator)
        for row in 0..<21 {
            #expect(kernels.gatherRow(w, row: row) == Array(w.values[row * 77..<(row + 1) * 77]))
        }
    }

    @Test func everyFloat16IsWidenedExactly() {
        let w = TiledMatrix(rows: 16, columns: 4096, format: .f16) { row, k in
            Float(Float16(bitPattern: UInt16(row * 4096 + k)))
        }
        for row in 0..<16 {
            let widened = kernels.gatherRow(w, row: row)
            for k in 0..<4096 {
                let expected = Float(Float16(bitPattern: UInt16(row * 4096 + k)))
                if widened[k].bitPattern != expected.bitPattern {
                    #expect(widened[k].isNaN && expected.isNaN, "float16 \(row * 4096 + k)")
                }
            }
        }
    }

    @Test func quantizationKeepsEveryInputWithinHalfAStep() {
        var generator = SeededGenerator(seed: 4)
        for magnitude: Float in [1e-30, 1, 1e6, 1e30] {
            let x = generator.floats(50, in: -magnitude...magnitude)
            let q = kernels.quantize(x, tokens: 1, padded: 64)
            for i in 0..<64 {
                let value = i < 50 ? Double(x[i]) : 0
                let scale = Double(q.scales[i / 32])
                // Half a step, and the roundings of the scale and of x / scale, which is at most 127.
                #expect(abs(value - Double(q.codes[i]) * scale) <= scale * (0.5 + 127 * 0x1p-22))
            }
            #expect(q.sums == (0..<2).map { b in q.codes[b * 32..<b * 32 + 32].reduce(0) { $0 + Int32($1) } })
            #expect(q.codes[0..<32].contains { abs($0) == 127 })
        }
    }

    @Test func blocksOfZerosOrOfTinyNumbersQuantizeToZeros() {
        let q = kernels.quantize(
            [0, .leastNonzeroMagnitude, -1e-38] + [Float](repeating: 0, count: 29), tokens: 1, padded: 32)
        #expect(q == QuantizedTokens(codes: .init(repeating: 0, count: 32), scales: [0], sums: [0]))
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func aBlockThatIsNotFiniteGetsTheScaleNaN(poison: Float) {
        var x = [Float](repeating: 1, count: 64)
        x[40] = poison
        let q = kernels.quantize(x, tokens: 1, padded: 64)
        #expect(q.scales[0] == 1 / 127 && q.scales[1].isNaN)
        #expect(q.codes[32...].allSatisfy { $0 == 0 } && q.sums[1] == 0)
    }

    @Test(arguments: [Float(1), 1e6, 1e30])
    func normsAreTheirFormulasAtAnyMagnitude(magnitude: Float) {
        var generator = SeededGenerator(seed: 5)
        let x = generator.floats(100, in: -magnitude...magnitude)
        let weight = generator.floats(100)
        let bias = generator.floats(100)
        let residual = generator.floats(100)
        let wide = x.map(Double.init)
        let mean = wide.reduce(0, +) / 100
        let root = (wide.reduce(0) { $0 + $1 * $1 } / 100 + 1e-5).squareRoot()
        let deviation = (wide.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / 100 + 1e-5).squareRoot()
        let rms = kernels.rmsNorm(x, weight: weight, epsilon: 1e-5)
        let added = kernels.addRMSNorm(x, weight: weight, epsilon: 1e-5, residual: residual)
        let layer = kernels.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5)
        for i in x.indices {
            // Normalised values are below 2 here, and suffer a handful of roundings.
            let normalised = wide[i] / root * Double(weight[i])
            #expect(abs(Double(rms[i]) - normalised) < 1e-6)
            #expect(abs(Double(added[i]) - Double(residual[i]) - normalised) < 1e-6)
            let expected = (wide[i] - mean) / deviation * Double(weight[i]) + Double(bias[i])
            #expect(abs(Double(layer[i]) - expected) < 1e-6)
        }
    }

    @Test func activationsAreTheirFormulas() {
        let gates: [Float] = [-1e30, -1e6, -100, -20, -3, -0.5, -1e-5, 0, 1e-5, 0.5, 3, 20, 100, 1e6, 1e30]
        let swiglu = kernels.swiglu(gates.flatMap { [$0, 1.5] })
        let gelu = kernels.gelu(gates)
        for (i, gate) in gates.enumerated() {
            let x = Double(gate)
            let silu = x / (1 + exp(-x)) * 1.5
            #expect(abs(Double(swiglu[i]) - silu) <= abs(silu) * 5e-7 + 1e-37, "silu(\(gate))")
            let expected = x * erfc(-x / 2.0.squareRoot()) / 2
            #expect(abs(Double(gelu[i]) - expected) <= abs(expected) * 1e-6 + 1e-37, "gelu(\(gate))")
        }
    }

    @Test func rotationsTurnTheirPairs() {
        let x: [Float] = [1, 2, 3, 4, 5, 6]
        let (cosines, sines): ([Float], [Float]) = ([0, 1, -1], [1, 0, 0])
        let pairs = kernels.rope(x, cosines: cosines, sines: sines, interleaved: true)
        #expect(pairs == [-2, 1, 3, 4, -5, -6])
        let halves = kernels.rope(x, cosines: cosines, sines: sines, interleaved: false)
        #expect(halves == [-4, 2, -3, 1, 5, -6])
    }

    @Test func sumsAddInPlace() {
        #expect(kernels.add([1, 2, 3], to: [10, 20, 30]) == [11, 22, 33])
        #expect(kernels.addScaled([1, 2, 3], by: -2, to: [10, 20, 30]) == [8, 16, 24])
    }

    @Test func float16IsTheNearestAndSaturates() {
        // Every float16, the midpoints to its neighbours, and what lies just beside those.
        var x: [Float] = [
            0, -0.0, .infinity, -.infinity, .nan, 1e30, -1e30, 65504, 65519, 65520, .leastNonzeroMagnitude,
        ]
        for bits in UInt16(0)..<0x7bff {
            let low = Float(Float16(bitPattern: bits))
            let middle = (low + Float(Float16(bitPattern: bits + 1))) / 2
            x += [low, -low, middle.nextDown, middle, -middle, middle.nextUp]
        }
        let halves = kernels.storeF16(x)
        var wrong = 0
        for i in x.indices where !x[i].isNaN {
            if halves[i] != Float16(min(max(x[i], -65504), 65504)).bitPattern { wrong += 1 }
        }
        #expect(wrong == 0)
        #expect(Float16(bitPattern: halves[4]).isNaN)
    }

    @Test func attentionIsTheSoftmaxFormula() {
        for (seed, causal) in [(1, true), (2, false)] {
            let c = AttentionCase(tokens: 6, start: 30, keyCount: 40, causal: causal)
                .filled(seed: UInt64(seed))
            let out = kernels.attention(c).out
            for token in 0..<c.tokens {
                for head in 0..<c.qHeads {
                    let expected = attention(c, token: token, head: head)
                    for i in 0..<c.headSize {
                        let y = Double(out[token * c.outStride + head * c.headSize + i])
                        // Scores below 10 err by some 1e-6, weights by that part, and values are below 1.
                        #expect(abs(y - expected[i]) < 1e-5)
                    }
                }
                #expect(out[token * c.outStride + c.qHeads * c.headSize] == -77)
            }
        }
    }

    @Test func rangesOfKeysJoinToTheWhole() {
        let c = AttentionCase(tokens: 6, start: 30, keyCount: 40).filled(seed: 3)
        // The second range is empty, and queries see nothing, or a part, of the last.
        let parts = [0..<7, 7..<7, 7..<33, 33..<40].map { kernels.attention(c, keys: $0) }
        let whole = kernels.attention(c).out
        let row = c.qHeads * c.headSize
        for token in 0..<c.tokens {
            let rows = parts.flatMap { $0.out[token * c.outStride..<token * c.outStride + row] }
            let shares = parts.flatMap { $0.shares[token * c.qHeads * 2..<(token + 1) * c.qHeads * 2] }
            var joined = [Float](repeating: -77, count: row)
            // Some heads, then the others: each is joined by itself.
            for heads in [1..<c.qHeads, 0..<1] {
                unsafe thimble_attention_merge(
                    rows, shares, Int64(parts.count), Int64(c.qHeads), Int64(heads.lowerBound),
                    Int64(heads.upperBound), Int64(c.headSize), &joined)
            }
            for i in 0..<row { #expect(abs(joined[i] - whole[token * c.outStride + i]) < 1e-6) }
        }
        // No query sees the last range's keys before its own position: no weight, and zeros.
        #expect(parts[3].shares[1] == 0 && parts[3].out[0..<row].allSatisfy { $0 == 0 })
        #expect(parts[3].shares[0] == -Float(THIMBLE_ATTENTION_SCORE_LIMIT))
    }

    private func attention(_ c: AttentionCase, token: Int, head: Int) -> [Double] {
        let keys = c.causal ? c.start + token + 1 : c.keyCount
        let kvHead = head / (c.qHeads / c.kvHeads)
        func cached(_ part: Int, _ position: Int, _ i: Int) -> Double {
            let at = c.offset(part: part, head: kvHead, position: position)
            return Double(Float16(bitPattern: c.pages[at + i]))
        }
        let weights = (0..<keys).map { position in
            let dot = (0..<c.headSize).reduce(0.0) { sum, i in
                sum + Double(c.q[token * c.qStride + head * c.headSize + i]) * cached(0, position, i)
            }
            return exp(dot * Double(c.scale))
        }
        let total = weights.reduce(0, +)
        return (0..<c.headSize).map { i in
            (0..<keys).reduce(0.0) { $0 + weights[$1] * cached(1, $1, i) } / total
        }
    }
}
