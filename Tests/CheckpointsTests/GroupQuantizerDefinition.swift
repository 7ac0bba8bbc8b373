//! What the quantizer computes, one weight after the other: the definition that the vectors are held against.

/// The scale and the codes of one group; nil where the scale is beyond float16.
enum GroupQuantizerDefinition {
    static func q8(_ weights: [Float]) -> (scale: Float16, codes: [Int])? {
        let scale = Float16(weights.map(abs).max()! / 127)
        guard scale.isFinite else { return nil }
        guard scale > 0 else { return (0, weights.map { _ in 0 }) }
        return (scale, weights.map { code($0 * (1 / Float(scale)), -127, 127) })
    }

    static func q4(_ weights: [Float]) -> (scale: Float16, codes: [Int])? {
        let (high, low) = (max(weights.max()!, 0), min(weights.min()!, 0))
        let peak = high >= -low ? high : low
        guard abs(peak) >= 1e-7 else { return (0, weights.map { _ in 0 }) }
        guard abs(peak) / 5 <= 65_504 else { return nil }
        var (best, leastError) = (Float16(0), Float(0))
        for divisor in divisors {
            let codes = weights.map { Float(code($0 * (divisor / peak), -8, 7)) }
            let products = sum(zip(weights, codes).map { $0 * $1 })
            let squares = sum(codes.map { $0 * $0 })
            guard squares > 0, products * products > -leastError * squares else { continue }
            let scale = Float16(products / squares)
            let value = Float(scale)
            let error = value * (value * squares - 2 * products)
            if error < leastError { (best, leastError) = (scale, error) }
        }
        guard best != 0 else { return (0, weights.map { _ in 0 }) }
        return (best, weights.map { code($0 * (1 / Float(best)), -8, 7) })
    }

    private static let divisors: [Float] = [
        -10, -9.2, -8.6, -8.2, -8, -7.7, -7.3, -7, -6.6, -6.2, -5.6, 6.6, 7, 7.5, 8.2,
    ]

    private static func code(_ value: Float, _ lowest: Float, _ highest: Float) -> Int {
        Int(min(max(value, lowest), highest).rounded(.toNearestOrEven))
    }

    /// Eight sums over every eighth value, added in turn.
    private static func sum(_ values: [Float]) -> Float {
        (0..<8).reduce(0) { total, first in
            total + stride(from: first, to: values.count, by: 8).reduce(0) { $0 + values[$1] }
        }
    }
}
