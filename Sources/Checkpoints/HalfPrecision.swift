//! float16 to float32 and back, eight numbers at once.

/// The conversions of IEEE 754 half precision in integer steps that every processor has. `Float16` calls a
/// function for each number where the processor that is compiled for lacks them. Comparisons are those of
/// floats, which become one instruction; those of integers do not.
enum HalfPrecision {
    /// The float16 nearest to each number, ties to even, as bits; infinite from 65,520 on. NaN is not kept.
    @inline(__always)
    static func bits(_ numbers: SIMD8<Float>) -> SIMD8<UInt32> {
        let raw = unsafe unsafeBitCast(numbers, to: SIMD8<Int32>.self)
        let magnitude = raw & 0x7FFF_FFFF
        // 13 bits of the fraction go; adding half of their range, or a little less, carries as rounding does.
        let rounded = magnitude &+ 0xFFF &+ ((magnitude &>> 13) & 1)
        let normal = (rounded &>> 13) &- (112 << 10)
        // Beside 0.5 a float's last bit counts 2^-24, as that of a float16 below 2^-14 does.
        let absolute = unsafe unsafeBitCast(magnitude, to: SIMD8<Float>.self)
        let small = unsafe unsafeBitCast(absolute + 0.5, to: SIMD8<Int32>.self) &- 0x3F00_0000
        let finite = normal.replacing(with: small, where: absolute .< 0x1p-14)
        let half = finite.replacing(with: 0x7C00, where: absolute .>= 65_520)
        return SIMD8<UInt32>(truncatingIfNeeded: half | ((raw &>> 16) & 0x8000))
    }

    /// The values of float16 numbers given as bits.
    @inline(__always)
    static func floats(_ bits: SIMD8<UInt32>) -> SIMD8<Float> {
        let half = SIMD8<Int32>(truncatingIfNeeded: bits)
        // As a float32 the number has an exponent that is 112 too small, and stays exact when that is mended.
        let placed = unsafe unsafeBitCast((half & 0x7FFF) &<< 13, to: SIMD8<Float>.self)
        let scaled = placed * 0x1p112
        let finite = unsafe unsafeBitCast(scaled, to: SIMD8<Int32>.self)
        // What was infinite or NaN is now 65,536 or more.
        let magnitude = finite.replacing(with: finite | 0x7F80_0000, where: scaled .>= 65_536)
        return unsafe unsafeBitCast(magnitude | ((half & 0x8000) &<< 16), to: SIMD8<Float>.self)
    }
}
