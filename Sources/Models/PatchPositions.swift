//! Where each patch of an image lies, and the learned position embedding it gets there.

internal import Glibc
internal import Tensors

/// The patches of an image in the order the tower takes them: `merge` x `merge` blocks row by row, so that
/// the patches of one visual token are neighbours.
func patchOrder(grid: ImageGrid, merge: Int) -> [(row: Int, column: Int)] {
    var order: [(row: Int, column: Int)] = []
    order.reserveCapacity(grid.count)
    for blockRow in stride(from: 0, to: grid.height, by: merge) {
        for blockColumn in stride(from: 0, to: grid.width, by: merge) {
            for row in blockRow..<blockRow + merge {
                for column in blockColumn..<blockColumn + merge { order.append((row, column)) }
            }
        }
    }
    return order
}

/// Samples the learned grid of positions at each patch of an image: bicubic over 4 x 4 taps with a = -0.75,
/// taps beyond the edge taken at the edge (`torch.nn.functional.grid_sample`, bicubic, border, corners not
/// aligned).
func positionGather(
    patches: [(row: Int, column: Int)], grid: ImageGrid, positionGridSize size: Int
) -> WeightedGather {
    let rowTaps = (0..<grid.height).map { cubicTaps(index: $0, count: grid.height, size: size) }
    let columnTaps = (0..<grid.width).map { cubicTaps(index: $0, count: grid.width, size: size) }
    var indices: [Int32] = []
    var weights: [Float] = []
    indices.reserveCapacity(patches.count * 16)
    weights.reserveCapacity(patches.count * 16)
    for patch in patches {
        for (y, rowWeight) in rowTaps[patch.row] {
            for (x, columnWeight) in columnTaps[patch.column] {
                indices.append(Int32(y * size + x))
                weights.append(rowWeight * columnWeight)
            }
        }
    }
    return WeightedGather(indices: indices, weights: weights, taps: 16)
}

/// Four taps along one axis for the centre of cell `index` of `count`, on a grid of `size`.
private func cubicTaps(index: Int, count: Int, size: Int) -> [(index: Int, weight: Float)] {
    let normalized = (Float(index) + 0.5) / Float(count) * 2 - 1
    let coordinate = ((normalized + 1) * Float(size) - 1) / 2
    let base = floorf(coordinate)
    let t = coordinate - base
    let weights = [outerCubic(t + 1), innerCubic(t), innerCubic(1 - t), outerCubic(2 - t)]
    return weights.enumerated().map { tap, weight in (min(max(Int(base) - 1 + tap, 0), size - 1), weight) }
}

private let cubicA: Float = -0.75

/// The cubic convolution kernel for distances up to 1 (Keys 1981).
private func innerCubic(_ x: Float) -> Float { ((cubicA + 2) * x - (cubicA + 3)) * x * x + 1 }

/// The cubic convolution kernel for distances from 1 to 2.
private func outerCubic(_ x: Float) -> Float { ((cubicA * x - 5 * cubicA) * x + 8 * cubicA) * x - 4 * cubicA }
