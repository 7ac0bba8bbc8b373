//! The scales of groups of weights, and the integers that go with them.

import Tensors

/// Quantizes the groups of 32, 64 or 128 weights of eight rows at once: lane `r` of each vector belongs to
/// row `r`, so no step crosses lanes and every row has the result that it would have alone.
///
/// Weights are float32 `[count][tileRows]`, finite; the caller has checked.
enum GroupQuantizer {
    typealias Lanes = SIMD8<Float>

    /// What eight groups are stored with.
    struct Scales {
        /// float16 bits.
        let bits: SIMD8<UInt32>
        /// What weights are multiplied by to get codes; 0 for a scale of zero.
        let inverse: Lanes
        /// -1 for a group whose scale is beyond float16, else 0.
        let isTooLarge: SIMD8<Int32>
    }

    /// Adding 1.5 * 2^23 rounds a small float to the nearest integer, ties to even: the integer is in the low
    /// bits of the sum, and is what remains when the same is subtracted.
    private static let rounder: Float = 12_582_912
    /// Below this no float16 scale but zero describes a group.
    private static let smallestPeak: Float = 1e-7
    private static let largestFloat16: Float = 65_504

    /// q8: `scale = max|w| / 127`, and codes are `round(w / scale)`, -127...127.
    static func q8(_ weights: UnsafePointer<Float>, count: Int) -> Scales {
        let peak = unsafe peak(weights, count: count)
        let bits = HalfPrecision.bits(magnitude(peak) / 127)
        let value = HalfPrecision.floats(bits)
        let inverse = (Lanes(repeating: 1) / value).replacing(with: 0, where: value .== 0)
        return Scales(bits: bits, inverse: inverse, isTooLarge: integers(value .> largestFloat16))
    }

    /// q4: the scale whose codes have the least squared error among the candidates below, each refitted to
    /// its codes by least squares and rounded to float16. Scales may be negative: codes reach -8 on one side
    /// and 7 on the other, and the sign decides which side the group's peak is on.
    static func q4(_ weights: UnsafePointer<Float>, count: Int) -> Scales {
        let peak = unsafe peak(weights, count: count)
        let magnitude = magnitude(peak)
        var best = Lanes(repeating: 0)
        // The squared error less the sum of squares of the weights, which no scale changes.
        var leastError = Lanes(repeating: 0)
        for divisor in divisors {
            let (products, squares) = unsafe sums(
                weights, count: count, inverse: Lanes(repeating: divisor) / peak)
            // The least-squares scale has the error -products^2 / squares, and rounding it gains nothing.
            let mayGain = products * products .> -leastError * squares
            let value = HalfPrecision.floats(HalfPrecision.bits(products / squares))
            let error = value * (value * squares - 2 * products)
            let gains = mayGain .& (squares .> 0) .& (error .< leastError)
            best.replace(with: value, where: gains)
            leastError.replace(with: error, where: gains)
        }
        // Groups of zeros have divided by zero on the way.
        best.replace(with: 0, where: magnitude .< smallestPeak)
        let inverse = (Lanes(repeating: 1) / best).replacing(with: 0, where: best .== 0)
        return Scales(
            bits: HalfPrecision.bits(best), inverse: inverse,
            isTooLarge: integers(magnitude / 5 .> largestFloat16))
    }

    /// What a group's peak is divided by for a candidate scale: the code it would have. The span around -8
    /// and 7 lets the peak clip a little where that serves the rest of the group.
    private static let divisors: [Float] = [
        -10, -9.2, -8.6, -8.2, -8, -7.7, -7.3, -7, -6.6, -6.2, -5.6, 6.6, 7, 7.5, 8.2,
    ]

    /// `round(w * inverse)` clamped, in the low bits of each lane in two's complement.
    @inline(__always)
    static func codes(
        _ weights: UnsafePointer<Float>, inverse: Lanes, lowest: Float, highest: Float
    ) -> SIMD8<UInt32> {
        let codes = clamp(unsafe load(weights) * inverse, lowest, highest) + rounder
        return unsafe unsafeBitCast(codes, to: SIMD8<UInt32>.self)
    }

    /// The weight of largest magnitude of each row, with its sign.
    private static func peak(_ weights: UnsafePointer<Float>, count: Int) -> Lanes {
        var highest = Lanes(repeating: 0)
        var lowest = Lanes(repeating: 0)
        for index in 0..<count {
            let lanes = unsafe load(weights + index &* WeightLayout.tileRows)
            highest.replace(with: lanes, where: lanes .> highest)
            lowest.replace(with: lanes, where: lanes .< lowest)
        }
        return highest.replacing(with: lowest, where: highest .< -lowest)
    }

    /// The sums of `w * q` and `q * q` for `q = round(w * inverse)` clamped to -8...7. Each is the sum of
    /// eight sums over every eighth weight: part of what the format's files are made by, for float addition
    /// has an order.
    @inline(__always)
    private static func sums(
        _ weights: UnsafePointer<Float>, count: Int, inverse: Lanes
    ) -> (products: Lanes, squares: Lanes) {
        var products = Lanes(repeating: 0)
        var squares = Lanes(repeating: 0)
        for first in 0..<8 {
            var someProducts = Lanes(repeating: 0)
            var someSquares = Lanes(repeating: 0)
            for index in stride(from: first, to: count, by: 8) {
                let lanes = unsafe load(weights + index &* WeightLayout.tileRows)
                let codes = clamp(lanes * inverse + rounder - rounder, -8, 7)
                someProducts += lanes * codes
                someSquares += codes * codes
            }
            products += someProducts
            squares += someSquares
        }
        return (products, squares)
    }

    @inline(__always)
    private static func load(_ weights: UnsafePointer<Float>) -> Lanes {
        unsafe UnsafeRawPointer(weights).loadUnaligned(as: Lanes.self)
    }

    @inline(__always)
    private static func clamp(_ lanes: Lanes, _ lowest: Float, _ highest: Float) -> Lanes {
        let (low, high) = (Lanes(repeating: lowest), Lanes(repeating: highest))
        let raised = lanes.replacing(with: low, where: lanes .< low)
        return raised.replacing(with: high, where: raised .> high)
    }

    @inline(__always)
    private static func magnitude(_ lanes: Lanes) -> Lanes {
        unsafe unsafeBitCast(
            unsafeBitCast(lanes, to: SIMD8<UInt32>.self) & 0x7FFF_FFFF, to: Lanes.self)
    }

    @inline(__always)
    private static func integers(_ mask: SIMDMask<SIMD8<Int32>>) -> SIMD8<Int32> {
        SIMD8<Int32>(repeating: 0).replacing(with: -1, where: mask)
    }
}
