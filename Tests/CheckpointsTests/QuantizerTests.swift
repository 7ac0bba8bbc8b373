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

    static func quantize(_ weights: [Float], bits: Int) -> (scale: Float16?, codes: [UInt8]) {
        var codes = [UInt8](repeating: 0, count: weights.count)
        let scale = unsafe weights.withUnsafeBufferPointer { source in
            unsafe codes.withUnsafeMutableBufferPointer { target in
                unsafe bits == 4
                    ? GroupQuantizer.q4(source.baseAddress!, count: source.count, codes: target.baseAddress!)
                    : GroupQuantizer.q8(source.baseAddress!, count: source.count, codes: target.baseAddress!)
            }
        }
        return (scale, codes)
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
