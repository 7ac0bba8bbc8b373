//! The learned position embedding that each patch of an image gets.

internal import Glibc
internal import Tensors

/// Rows of the learned grid that make one patch's position: 4 x 4.
let positionTaps = 16

/// Samples the learned grid of positions at each patch of an image: bicubic over 4 x 4 taps with a = -0.75,
/// taps beyond the edge taken at the edge (`torch.nn.functional.grid_sample`, bicubic, border, corners not
/// aligned). Writes the `[patches, positionTaps]` of `gather`.
func writePositions(
    _ cut: PatchCut, positionGridSize size: Int, into gather: WeightedGather, on backend: any Backend
) {
    let grid = cut.grid
    precondition(gather.rows == grid.count && gather.taps == positionTaps)
    let indexBytes = gather.indicesOffset..<gather.indicesOffset + grid.count * positionTaps * 4
    unsafe backend.fill(gather.memory, indexBytes) { bytes in
        let indices = unsafe bytes.assumingMemoryBound(to: Int32.self)
        unsafe backend.fill(gather.weights) { weights in
            for row in 0..<grid.height {
                let rowTaps = CubicTaps(index: row, count: grid.height, size: size)
                for column in 0..<grid.width {
                    let columnTaps = CubicTaps(index: column, count: grid.width, size: size)
                    var next = cut.patchIndex(row: row, column: column) * positionTaps
                    for y in 0..<4 {
                        for x in 0..<4 {
                            unsafe indices[next] =
                                rowTaps.indices[y] * Int32(size) + columnTaps.indices[x]
                            unsafe weights[next] = rowTaps.weights[y] * columnTaps.weights[x]
                            next += 1
                        }
                    }
                }
            }
        }
    }
}

/// Four taps along one axis for the centre of cell `index` of `count`, on a grid of `size`.
private struct CubicTaps {
    let indices: SIMD4<Int32>
    let weights: SIMD4<Float>

    init(index: Int, count: Int, size: Int) {
        let normalized = (Float(index) + 0.5) / Float(count) * 2 - 1
        let coordinate = ((normalized + 1) * Float(size) - 1) / 2
        let base = floorf(coordinate)
        let t = coordinate - base
        weights = SIMD4(
            Self.outerCubic(t + 1), Self.innerCubic(t), Self.innerCubic(1 - t), Self.outerCubic(2 - t))
        indices = (SIMD4(-1, 0, 1, 2) &+ Int32(base)).clamped(
            lowerBound: SIMD4(repeating: 0), upperBound: SIMD4(repeating: Int32(size) - 1))
    }

    private static let cubicA: Float = -0.75

    /// The cubic convolution kernel for distances up to 1 (Keys 1981).
    private static func innerCubic(_ x: Float) -> Float {
        ((cubicA + 2) * x - (cubicA + 3)) * x * x + 1
    }

    /// The cubic convolution kernel for distances from 1 to 2.
    private static func outerCubic(_ x: Float) -> Float {
        ((cubicA * x - 5 * cubicA) * x + 8 * cubicA) * x - 4 * cubicA
    }
}
