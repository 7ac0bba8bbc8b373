//! The quantisers' errors, against bounds and against an exhaustive search.

import Testing

@testable import Checkpoints

@Suite struct QuantizerTests {
    /// Values about normal, reproducible.
    static func weights(_ count: Int, seed: UInt64, deviation: Float = 0.02) -> [Float] {
        var state = seed
        return (0..<count).map { _ in
            let sum = (0..<4).reduce(Float(0)) { total, _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return total + Float(state >> 40) / Float(1 << 24)
            }
            return (sum - 2) * 1.73205 * deviation
        }
    }

    /// Quantizes one group as a row among seven others; q4 codes are 0...15, q8 codes two's complement.
    static func quantize(_ weights: [Float], bits: Int, row: Int = 3) -> (scale: Float16?, codes: [UInt8]) {
        var lanes = [Float](repeating: 0.125, count: weights.count * 16)
        for (index, weight) in weights.enumerated() { lanes[index * 16 + row] = weight }
        return unsafe lanes.withUnsafeBufferPointer { buffer in
            let group = buffer.baseAddress!
            let scales =
                unsafe bits == 4
                ? GroupQuantizer.q4(group, count: weights.count)
                : GroupQuantizer.q8(group, count: weights.count)
            let limits: (Float, Float) = bits == 4 ? (-8, 7) : (-127, 127)
            let codes = weights.indices.map { index in
                let lanes = unsafe GroupQuantizer.codes(
                    group + index * 16, inverse: scales.inverse, lowest: limits.0, highest: limits.1)
                return UInt8(truncatingIfNeeded: bits == 4 ? (lanes[row] &+ 8) & 15 : lanes[row] & 255)
            }
            let scale = Float16(bitPattern: UInt16(scales.bits[row]))
            return (scales.isTooLarge[row] == 0 ? scale : nil, codes)
        }
    }

    @Test(arguments: [32, 64, 128]) func everyRowGetsWhatTheDefinitionSays(group: Int) {
        for seed in 0..<200 {
            // From below the smallest float16 to beyond the largest, with a few outliers and zeros.
            let deviation = Float(sign: .plus, exponent: seed % 44 - 26, significand: 1)
            var weights = Self.weights(group, seed: UInt64(seed) &* 31 &+ 7, deviation: deviation)
            if seed % 3 == 0 { weights[seed % group] *= 20 }
            if seed % 5 == 0 { for index in 0..<(group / 2) { weights[2 * index] = 0 } }
            let four = Self.quantize(weights, bits: 4, row: seed % 8)
            let expectedFour = GroupQuantizerDefinition.q4(weights)
            #expect(four.scale?.bitPattern == expectedFour?.scale.bitPattern, "seed \(seed)")
            if let expectedFour { #expect(four.codes.map { Int($0) - 8 } == expectedFour.codes) }
            let eight = Self.quantize(weights, bits: 8, row: seed % 8)
            let expectedEight = GroupQuantizerDefinition.q8(weights)
            #expect(eight.scale?.bitPattern == expectedEight?.scale.bitPattern, "seed \(seed)")
            if let expectedEight {
                #expect(eight.codes.map { Int(Int8(bitPattern: $0)) } == expectedEight.codes)
            }
        }
    }

    @Test func halfPrecisionIsThatOfTheStandardLibrary() {
        for bits in UInt16.min...UInt16.max {
            let expected = Float(Float16(bitPattern: bits))
            let value = HalfPrecision.floats(SIMD8(repeating: UInt32(bits)))[5]
            if expected.isNaN {
                #expect(value.isNaN)
                continue
            }
            #expect(value.bitPattern == expected.bitPattern)
            #expect(HalfPrecision.bits(SIMD8(repeating: value))[2] == UInt32(bits))
            // Half way to the next, where rounding has to choose, and the floats beside that.
            let middle = (value + Float(Float16(bitPattern: bits).nextUp)) / 2
            for near in [middle.nextDown, middle, middle.nextUp] where near.isFinite {
                #expect(
                    HalfPrecision.bits(SIMD8(repeating: near))[7] == UInt32(Float16(near).bitPattern),
                    "\(near)")
            }
        }
        for value in [Float(65_519), 65_520, 1e9, .infinity, .leastNonzeroMagnitude, -0.0] {
            #expect(HalfPrecision.bits(SIMD8(repeating: value))[0] == UInt32(Float16(value).bitPattern))
        }
    }

    static func squaredError(_ weights: [Float], scale: Float) -> Float {
        guard scale != 0 else { return weights.reduce(0) { $0 + $1 * $1 } }
        return weights.reduce(0) { total, weight in
            let code = min(max((weight / scale).rounded(.toNearestOrEven), -8), 7)
            return total + (weight - scale * code) * (weight - scale * code)
        }
    }

    /// The least squared error of any float16 scale near those that make sense.
    static func exhaustiveError(_ weights: [Float]) -> Float {
        let peak = weights.map(abs).max()!
        let (low, high) = (Float16(peak / 12).bitPattern, Float16(peak / 4).bitPattern)
        return (low...high).reduce(Float.infinity) { best, bits in
            let scale = Float(Float16(bitPattern: bits))
            return min(best, squaredError(weights, scale: scale), squaredError(weights, scale: -scale))
        }
    }

    @Test(arguments: [32, 64, 128]) func fourBitErrorsAreNearTheLeastPossible(group: Int) {
        var found: Float = 0
        var least: Float = 0
        var naive: Float = 0
        for seed in 0..<40 {
            let weights = Self.weights(group, seed: UInt64(seed) &* 77 &+ 1)
            let (scale, codes) = Self.quantize(weights, bits: 4)
            let value = Float(scale!)
            let error = zip(weights, codes).reduce(Float(0)) {
                let difference = $1.0 - value * (Float($1.1) - 8)
                return $0 + difference * difference
            }
            #expect(codes.allSatisfy { $0 < 16 })
            found += error
            least += Self.exhaustiveError(weights)
            naive += Self.squaredError(weights, scale: Float(Float16(weights.map(abs).max()! / 7)))
        }
        #expect(found >= least * 0.999)
        #expect(found <= least * 1.03, "\(found / least)")
        #expect(found < naive * 0.9)
    }

    @Test(arguments: [32, 64, 128]) func eightBitErrorsAreWithinHalfAStep(group: Int) {
        for seed in 0..<40 {
            let weights = Self.weights(group, seed: UInt64(seed) &+ 500, deviation: 3)
            let (scale, codes) = Self.quantize(weights, bits: 8)
            let value = Float(scale!)
            for (weight, code) in zip(weights, codes) {
                #expect(code != 0x80)
                // The scale's own rounding, 2^-11 of it, costs the largest codes a little more.
                #expect(abs(weight - value * Float(Int8(bitPattern: code))) <= value * (0.5 + 127.0 / 2048))
            }
        }
    }

    @Test func zerosAndVanishingWeightsHaveScaleZero() {
        for value in [Float(0), 1e-9, .leastNormalMagnitude, -.leastNonzeroMagnitude] {
            let four = Self.quantize([Float](repeating: value, count: 32), bits: 4)
            #expect(four.scale == 0 && four.codes.allSatisfy { $0 == 8 })
            let eight = Self.quantize([Float](repeating: value, count: 32), bits: 8)
            #expect(eight.scale == 0 && eight.codes.allSatisfy { $0 == 0 })
        }
    }

    @Test func smallGroupsOfEqualWeightsAreExact() {
        for value in [Float(1), -1, 0.5, -0.25] {
            let (scale, codes) = Self.quantize([Float](repeating: value, count: 32), bits: 4)
            #expect(codes.allSatisfy { abs(Float(scale!) * (Float($0) - 8) - value) < abs(value) * 1e-3 })
        }
    }

    @Test func scalesBeyondFloat16AreRefused() {
        #expect(Self.quantize([Float](repeating: 1e9, count: 32), bits: 8).scale == nil)
        #expect(Self.quantize([Float](repeating: -1e9, count: 32), bits: 4).scale == nil)
        #expect(Self.quantize([Float](repeating: 400_000, count: 32), bits: 4).scale?.isFinite != false)
    }
}
