//! The integers and the scale of one group of weights.

/// Quantizes groups of 32, 64 or 128 weights that share a scale.
///
/// Weights are finite; the caller has checked. Where a scale would be beyond float16, nil is returned.
enum GroupQuantizer {
    /// Adding and subtracting 1.5 * 2^23 rounds a small float to the nearest integer, ties to even; between the two
    /// the integer is in the low bits.
    private static let rounder: Float = 12_582_912
    /// Below this no float16 scale but zero describes a group.
    private static let smallestPeak: Float = 1e-7

    typealias Lanes = SIMD8<Float>

    /// q8: `scale = max|w| / 127`, `code = round(w / scale)`. Writes `count` codes.
    static func q8(
        _ weights: UnsafePointer<Float>, count: Int, codes: UnsafeMutablePointer<UInt8>
    ) -> Float16? {
        let scale = Float16(abs(unsafe peak(weights, count: count)) / 127)
        guard scale.isFinite else { return nil }
        guard scale > 0 else {
            unsafe codes.update(repeating: 0, count: count)
            return 0
        }
        unsafe round(
            weights, count: count, inverse: 1 / Float(scale), lowest: -127, highest: 127, bias: 0,
            codes: codes)
        return scale
    }

    /// q4: the scale whose codes have the least squared error among the candidates below, each refitted to its
    /// codes by least squares and rounded to float16. Scales may be negative: codes reach -8 on one side and 7 on
    /// the other, and the sign decides which side the group's peak is on. Writes `count` codes of 0...15.
    static func q4(
        _ weights: UnsafePointer<Float>, count: Int, codes: UnsafeMutablePointer<UInt8>
    ) -> Float16? {
        let peak = unsafe peak(weights, count: count)
        guard abs(peak) >= smallestPeak else {
            unsafe codes.update(repeating: 8, count: count)
            return 0
        }
        guard abs(peak) / 5 <= 65_504 else { return nil }
        var best = Float16(0)
        // The squared error less the sum of squares of the weights, which no scale changes.
        var leastError: Float = 0
        for divisor in divisors {
            let (products, squares) = unsafe sums(weights, count: count, inverse: divisor / peak)
            // The least-squares scale has the error -products^2 / squares, and rounding it gains nothing: a candidate
            // that is no better than the best so far need not be rounded, which costs more than the sums.
            guard squares > 0, products * products > -leastError * squares else { continue }
            let scale = Float16(products / squares)
            let value = Float(scale)
            let error = value * (value * squares - 2 * products)
            if error < leastError { (best, leastError) = (scale, error) }
        }
        guard best != 0 else {
            unsafe codes.update(repeating: 8, count: count)
            return 0
        }
        unsafe round(
            weights, count: count, inverse: 1 / Float(best), lowest: -8, highest: 7, bias: 8, codes: codes)
        return best
    }

    /// What the group's peak is divided by for a candidate scale: the code it would have. The span around -8 and 7
    /// lets the peak clip a little where that serves the rest of the group.
    private static let divisors: [Float] = [
        -10, -9.2, -8.6, -8.2, -8, -7.7, -7.3, -7, -6.6, -6.2, -5.6, 6.6, 7, 7.5, 8.2,
    ]

    /// The weight of largest magnitude, with its sign.
    private static func peak(_ weights: UnsafePointer<Float>, count: Int) -> Float {
        var highest = Lanes(repeating: 0)
        var lowest = Lanes(repeating: 0)
        for index in stride(from: 0, to: count, by: Lanes.scalarCount) {
            let lanes = unsafe load(weights + index)
            highest.replace(with: lanes, where: lanes .> highest)
            lowest.replace(with: lanes, where: lanes .< lowest)
        }
        let (high, low) = (highest.max(), lowest.min())
        return high >= -low ? high : low
    }

    /// The sums of `w * q` and `q * q` for `q = round(w * inverse)` clamped to -8...7.
    @inline(__always)
    private static func sums(
        _ weights: UnsafePointer<Float>, count: Int, inverse: Float
    ) -> (products: Float, squares: Float) {
        var products = Lanes(repeating: 0)
        var squares = Lanes(repeating: 0)
        for index in stride(from: 0, to: count, by: Lanes.scalarCount) {
            let lanes = unsafe load(weights + index)
            let codes = clamp(lanes * inverse, -8, 7) + rounder - rounder
            products += lanes * codes
            squares += codes * codes
        }
        return (products.sum(), squares.sum())
    }

    /// Writes `round(w * inverse)`, clamped, plus `bias`, as bytes.
    @inline(__always)
    private static func round(
        _ weights: UnsafePointer<Float>, count: Int, inverse: Float, lowest: Float, highest: Float,
        bias: UInt32,
        codes: UnsafeMutablePointer<UInt8>
    ) {
        for index in stride(from: 0, to: count, by: Lanes.scalarCount) {
            let rounded = clamp(unsafe load(weights + index) * inverse, lowest, highest) + rounder
            let bits = unsafe unsafeBitCast(rounded, to: SIMD8<UInt32>.self) &+ bias
            unsafe UnsafeMutableRawPointer(codes + index).storeBytes(
                of: SIMD8<UInt8>(truncatingIfNeeded: bits), as: SIMD8<UInt8>.self)
        }
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
}
