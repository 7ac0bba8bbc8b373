//! Every variant this machine runs against the scalar definition, over odd shapes and extreme values.

import CKernels
import Tensors
import TestSupport
import Testing

@Suite struct KernelsVariantTests {
    static let variants = Kernels.available
    private let scalar = Kernels.scalar
    private let tokenCounts = Array(1...9) + [33]
    private let shapes = [(1, 8), (7, 40), (16, 64), (17, 100), (40, 129), (33, 520)]

    @Test func theDefinitionIsListedFirstAndNamesAreUnique() {
        let names = Self.variants.map(\.testDescription)
        #expect(names.first == "scalar")
        #expect(Set(names).count == names.count)
        var one = unsafe [UnsafePointer<thimble_kernels>?](repeating: nil, count: 1)
        #expect(unsafe thimble_kernels_available(&one, 1) == 1)
    }

    /// Two orders of the same float32 sum differ by at most twice 2^-24 of the terms' magnitude a step.
    private func tolerance(_ w: TiledMatrix, input: Float, steps: Int) -> Float {
        let largest = w.values.reduce(0) { max($0, abs($1)) }
        return largest * input * Float(w.layout.columns) * Float(steps + 4) * 0x1p-23
    }

    @Test(arguments: variants)
    func integerProductsMatchTheDefinition(kernels: Kernels) {
        var generator = SeededGenerator(seed: 10)
        for (rows, columns) in shapes {
            for group in [32, 64, 128] {
                for format in [WeightFormat.q4(group: group), .q8(group: group)] {
                    let w = TiledMatrix.random(
                        rows: rows, columns: columns, format: format, using: &generator)
                    for tokens in tokenCounts {
                        let x = generator.floats(tokens * columns)
                        let q = kernels.quantize(x, tokens: tokens, padded: w.layout.paddedColumns)
                        // A tile in the middle, where there is one; what lies outside must stay untouched.
                        let tiles = tokens % 2 == 0 && w.layout.tileCount > 1 ? 1..<2 : 0..<w.layout.tileCount
                        let expected = scalar.matmul(w, q, tiles: tiles)
                        let y = kernels.matmul(w, q, tiles: tiles)
                        let bound = tolerance(w, input: 1, steps: w.layout.paddedColumns / 32)
                        #expect(
                            largestDifference(y, expected) <= bound, "\(format) \(rows) \(columns) \(tokens)")
                    }
                }
            }
        }
    }

    /// With scales of one, a block's product is an integer that float32 holds: no tolerance.
    @Test(arguments: variants, [WeightFormat.q4(group: 32), .q8(group: 32)])
    func integersOfABlockAreExactAtTheirExtremes(kernels: Kernels, format: WeightFormat) {
        let extremes: [Float] = format.type == .q4 ? [0, 15, 8] : [-127, 127, 1]
        let w = TiledMatrix(rows: 18, columns: 32, format: format) { row, k in
            extremes[row < 3 ? row : (row * 7 + k * (row % 4)) % 3]
        }
        for tokens in 1...9 {
            let codes = (0..<tokens * 32).map { i -> Int8 in [-127, 127, 127, -127, 3][(i + i / 32) % 5] }
            let flat = [Int8](repeating: tokens % 2 == 0 ? 127 : -127, count: 32) + codes.dropFirst(32)
            let sums = (0..<tokens).map { flat[$0 * 32..<$0 * 32 + 32].reduce(0) { $0 + Int32($1) } }
            let q = QuantizedTokens(codes: flat, scales: .init(repeating: 1, count: tokens), sums: sums)
            let y = kernels.matmul(w, q, tiles: 0..<2)
            for token in 0..<tokens {
                for row in 0..<18 {
                    let dot = (0..<32).reduce(Float(0)) { sum, k in
                        sum + w.values[row * 32 + k] * Float(flat[token * 32 + k])
                    }
                    #expect(y[token * 19 + row] == dot)
                }
            }
        }
    }

    @Test(arguments: variants, [WeightFormat.f16, .f32])
    func floatProductsMatchTheDefinition(kernels: Kernels, format: WeightFormat) {
        var generator = SeededGenerator(seed: 11)
        for (rows, columns) in shapes {
            let w = TiledMatrix.random(rows: rows, columns: columns, format: format, using: &generator)
            for tokens in tokenCounts {
                // 1e30 is far beyond float16, which inputs must not pass through.
                let input: Float = tokens % 3 == 0 ? 1e30 : 1
                let x = generator.floats(tokens * columns, in: -input...input)
                let tiles = tokens % 2 == 0 && w.layout.tileCount > 1 ? 1..<2 : 0..<w.layout.tileCount
                let expected = scalar.matmul(w, x, tiles: tiles)
                let y = kernels.matmul(w, x, tiles: tiles)
                let bound = tolerance(w, input: input, steps: columns)
                #expect(largestDifference(y, expected) <= bound, "\(format) \(rows) \(columns) \(tokens)")
            }
        }
    }

    @Test(arguments: variants)
    func quantizationIsTheDefinitionsToTheBit(kernels: Kernels) {
        var generator = SeededGenerator(seed: 12)
        for count in [1, 8, 31, 32, 33, 64, 100] {
            for magnitude: Float in [1e-38, 1e-30, 1, 70000, 1e30, 1e38] {
                var x = generator.floats(count, in: -magnitude...magnitude)
                let padded = (count + 63) / 32 * 32
                #expect(
                    kernels.quantize(x, tokens: 1, padded: padded)
                        == scalar.quantize(x, tokens: 1, padded: padded))
                for poison in [Float.nan, .infinity, -.infinity] {
                    x[count / 2] = poison
                    let q = kernels.quantize(x, tokens: 1, padded: padded)
                    let expected = scalar.quantize(x, tokens: 1, padded: padded)
                    #expect(q.codes == expected.codes && q.sums == expected.sums)
                    #expect(q.scales.map(\.isNaN) == expected.scales.map(\.isNaN))
                }
            }
        }
    }

    @Test(arguments: variants)
    func rowKernelsMatchTheDefinition(kernels: Kernels) {
        var generator = SeededGenerator(seed: 13)
        for count in [1, 3, 8, 9, 16, 31, 100, 513] {
            for magnitude: Float in [1, 1e6, 1e30] {
                let x = generator.floats(count, in: -magnitude...magnitude)
                let (weight, bias) = (generator.floats(count), generator.floats(count))
                let residual = generator.floats(count, in: -magnitude...magnitude)
                func close(_ name: String, _ a: [Float], _ b: [Float], _ bound: Float) {
                    #expect(largestDifference(a, b) <= bound, "\(name) of \(count) within \(magnitude)")
                }
                // Normalised values are below sqrt(count) < 23; a few roundings of 2^-24 each.
                close(
                    "rms_norm", kernels.rmsNorm(x, weight: weight, epsilon: 1e-5),
                    scalar.rmsNorm(x, weight: weight, epsilon: 1e-5), 1e-5)
                close(
                    "add_rms_norm", kernels.addRMSNorm(x, weight: weight, epsilon: 1e-5, residual: residual),
                    scalar.addRMSNorm(x, weight: weight, epsilon: 1e-5, residual: residual),
                    1e-5 + magnitude * 0x1p-22)
                close(
                    "layer_norm", kernels.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5),
                    scalar.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5), 1e-5)
                #expect(kernels.add(x, to: residual) == scalar.add(x, to: residual))
                // Both factors reach the magnitude, and e^x errs by 3e-7.
                let pairs = (0..<2 * count).map { i in i % 2 == 0 ? x[i / 2] : residual[i / 2] / magnitude }
                close("swiglu", kernels.swiglu(pairs), scalar.swiglu(pairs), magnitude * 1e-6)
                close("gelu", kernels.gelu(x), scalar.gelu(x), magnitude * 4e-7)
            }
        }
    }

    @Test(arguments: variants)
    func rowKernelsMayWriteOverTheirInput(kernels: Kernels) {
        var generator = SeededGenerator(seed: 19)
        for count in [2, 16, 30, 34, 100] {
            let (x, weight, bias) = (
                generator.floats(count), generator.floats(count), generator.floats(count)
            )
            let inPlace = kernels.inPlace(x, weight: weight, bias: bias)
            #expect(inPlace.rms == kernels.rmsNorm(x, weight: weight, epsilon: 1e-5))
            #expect(inPlace.layer == kernels.layerNorm(x, weight: weight, bias: bias, epsilon: 1e-5))
            #expect(inPlace.swiglu == kernels.swiglu(x))
        }
    }

    @Test(arguments: variants)
    func activationsMatchTheDefinitionOverTheirWholeRange(kernels: Kernels) {
        let x: [Float] =
            (0..<4001).map { Float($0 - 2000) / 20 } + [
                -1e30, -3e38, 1e30, -0.0, 1e-30, -.leastNonzeroMagnitude,
            ]
        let pairs: [Float] = x.flatMap { [$0, 1] }
        let (silu, expectedSilu) = (kernels.swiglu(pairs), scalar.swiglu(pairs))
        let (gelu, expectedGelu) = (kernels.gelu(x), scalar.gelu(x))
        for i in x.indices {
            // Relative, down to results near the smallest normal float, which e^x flushes to zero.
            #expect(abs(silu[i] - expectedSilu[i]) <= abs(expectedSilu[i]) * 1e-6 + 1e-35, "silu(\(x[i]))")
            // erf's approximation errs by 1.5e-7 absolutely, times |x| / 2.
            #expect(abs(gelu[i] - expectedGelu[i]) <= abs(x[i]) * 3e-7, "gelu(\(x[i]))")
        }
    }

    @Test(arguments: variants)
    func rotationsMatchTheDefinition(kernels: Kernels) {
        var generator = SeededGenerator(seed: 14)
        for pairs in [1, 3, 4, 7, 8, 20, 32, 33] {
            let x = generator.floats(2 * pairs, in: -100...100)
            let (cosines, sines) = (generator.floats(pairs), generator.floats(pairs))
            for interleaved in [true, false] {
                let y = kernels.rope(x, cosines: cosines, sines: sines, interleaved: interleaved)
                let expected = scalar.rope(x, cosines: cosines, sines: sines, interleaved: interleaved)
                // Two products below 100 and a sum, rounded once or thrice.
                #expect(largestDifference(y, expected) <= 200 * 0x1p-23)
            }
        }
    }

    @Test(arguments: variants)
    func float16IsTheNearestToTheBit(kernels: Kernels) {
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
        for count in [1, 7, 9] {
            #expect(kernels.storeF16(Array(x[..<count])) == Array(halves[..<count]))
        }
    }

    static let attentions: [AttentionCase] = [
        AttentionCase(qHeads: 1, kvHeads: 1, headSize: 8, tokens: 1, start: 0, keyCount: 1),
        AttentionCase(qHeads: 2, kvHeads: 2, headSize: 40, tokens: 9, start: 4, keyCount: 13, pageTokens: 4),
        AttentionCase(qHeads: 4, kvHeads: 2, headSize: 20, tokens: 9, start: 70, keyCount: 79),
        AttentionCase(qHeads: 3, kvHeads: 1, headSize: 33, tokens: 5, start: 0, keyCount: 5),
        AttentionCase(qHeads: 4, kvHeads: 2, headSize: 64, tokens: 33, start: 50, keyCount: 83),
        AttentionCase(qHeads: 4, kvHeads: 4, headSize: 72, tokens: 5, keyCount: 100, causal: false),
        AttentionCase(qHeads: 32, kvHeads: 2, headSize: 128, tokens: 1, start: 69, keyCount: 70),
        AttentionCase(
            qHeads: 32, kvHeads: 2, headSize: 128, tokens: 7, start: 60, keyCount: 80, pageTokens: 24),
        AttentionCase(
            qHeads: 2, kvHeads: 1, headSize: 256, tokens: 3, start: 126, keyCount: 129, pageTokens: 1),
        AttentionCase(
            qHeads: 3, kvHeads: 3, headSize: 64, tokens: 60, keyCount: 60, pageTokens: 60, causal: false),
        AttentionCase(qHeads: 1, kvHeads: 1, headSize: 16, tokens: 130, keyCount: 130, pageTokens: 64),
        // Scores of a thousand: one key takes all the weight.
        AttentionCase(headSize: 64, tokens: 9, start: 20, keyCount: 40, queryRange: 300, keyRange: 10),
    ]

    @Test(arguments: variants, attentions)
    func attentionMatchesTheDefinition(kernels: Kernels, shape: AttentionCase) {
        let c = shape.filled(seed: 15)
        // A score sums headSize products in another order; it errs by some 2^-22 of its terms' magnitude, a
        // weight by that part of itself, and values are at most 1.
        let terms = c.queryRange * c.keyRange * Float(c.headSize).squareRoot()
        let bound = 4e-6 + terms * 0x1p-22
        #expect(largestDifference(kernels.attention(c), scalar.attention(c)) <= bound)
        let part = c.tokens / 3..<(c.tokens + 1) / 2
        #expect(
            largestDifference(kernels.attention(c, tokens: part), scalar.attention(c, tokens: part)) <= bound)
    }

    @Test(arguments: variants)
    func attentionSurvivesScoresBeyondFloat32(kernels: Kernels) {
        // 3e38 * 60000 * 16 overflows to infinity of either sign: the softmax must stay a mean of values.
        for sign: Float in [1, -1] {
            var c = AttentionCase(qHeads: 1, kvHeads: 1, headSize: 16, tokens: 2, start: 20, keyCount: 22)
                .filled(seed: 16)
            for i in c.q.indices where !c.q[i].isNaN { c.q[i] = sign * 3e38 }
            for position in 0..<22 {
                let at = c.offset(part: 0, head: 0, position: position)
                for i in 0..<16 { c.pages[at + i] = Float16(position % 5 == 0 ? 6e4 : 0).bitPattern }
            }
            let (y, expected) = (kernels.attention(c), scalar.attention(c))
            #expect(y.allSatisfy { $0 == -77 || abs($0) <= 1 })
            #expect(largestDifference(y, expected) <= 1e-5)
        }
    }

    @Test(arguments: variants)
    func attentionWithoutKeysGivesZeros(kernels: Kernels) {
        let c = AttentionCase(qHeads: 1, kvHeads: 1, headSize: 8, tokens: 2, keyCount: 0, causal: false)
            .filled(seed: 17)
        let out = kernels.attention(c)
        #expect(out[0..<8].allSatisfy { $0 == 0 })
    }

    @Test(arguments: variants)
    func aPoisonedQueryPoisonsItsOwnHeadOnly(kernels: Kernels) {
        var c = AttentionCase(qHeads: 2, kvHeads: 1, headSize: 8, tokens: 2, start: 18, keyCount: 20).filled(
            seed: 18)
        c.q[3] = .nan
        let out = kernels.attention(c)
        #expect(out[0..<8].allSatisfy { $0.isNaN })
        #expect(out[8..<16].allSatisfy { abs($0) <= 1 })
    }
}
