//! What the rows and the columns of an image's patches give each patch: rotary angles, and places in the
//! learned grid of positions.

import Glibc
internal import ModelFile
internal import Tensors

/// The numbers of one image's rows and columns of patches; images of a batch take turns. A device makes each
/// patch's of them, so that few come from the host.
///
/// The learned grid of positions is sampled at each patch: bicubic over 4 x 4 taps with a = -0.75, taps
/// beyond the edge taken at the edge (`torch.nn.functional.grid_sample`, bicubic, border, corners not
/// aligned).
struct PatchSides {
    /// Rows of the learned grid, or of its columns, that a side is made of.
    static let taps = 4
    private let memory: any BackendMemory
    private let region: Range<Int>
    private let angles: VisionAngles
    /// Rows, and columns, of the learned grid.
    private let positionGridSize: Int

    /// Bytes that the sides of any grid of so many patches take: the most for one that is a token high.
    static func byteCount(_ vision: VisionConfiguration, patches: Int) -> Int {
        let sides = patches / vision.mergeSize + vision.mergeSize
        return sides * 2 * (VisionAngles(vision).count + taps) * 4
    }

    init(_ vision: VisionConfiguration, in memory: any BackendMemory, _ region: Range<Int>) {
        self.memory = memory
        self.region = region
        angles = VisionAngles(vision)
        positionGridSize = vision.positionGridSize
    }

    /// Offsets from the region's start of what `count` sides have.
    private struct Layout {
        /// Float32 `[count, taps]`
        let weights = 0
        /// Int32 `[count, taps]`
        let indices: Int
        /// Float32 `[count, pairs]`
        let cosines: Int
        /// Likewise.
        let sines: Int
        let byteCount: Int

        init(_ count: Int, pairs: Int) {
            indices = count * PatchSides.taps * 4
            cosines = 2 * indices
            sines = cosines + count * pairs * 4
            byteCount = sines + count * pairs * 4
        }
    }

    /// Adds the learned positions of an image's patches to `hidden`, and writes their angles into `rotary`.
    ///
    /// Precondition: both have the image's patches.
    func place(
        _ cut: PatchCut, table: Vector, in hidden: Activation, _ rotary: Rotary, on backend: any Backend
    ) {
        let (count, pairs) = (cut.sideCount, angles.count)
        let layout = Layout(count, pairs: pairs)
        precondition(layout.byteCount <= region.count)
        write(cut, layout, on: backend)
        func view(_ offset: Int, columns: Int) -> Activation {
            Activation(memory, offset: region.lowerBound + offset, rows: count, columns: columns)
        }
        backend.addGathered(
            WeightedGather(
                indicesOffset: region.lowerBound + layout.indices,
                weights: view(layout.weights, columns: Self.taps)),
            over: cut, table: table, to: hidden)
        backend.spread(view(layout.cosines, columns: pairs), over: cut, into: rotary.cosines)
        backend.spread(view(layout.sines, columns: pairs), over: cut, into: rotary.sines)
    }

    private func write(_ cut: PatchCut, _ layout: Layout, on backend: any Backend) {
        let bytes = region.lowerBound..<region.lowerBound + layout.byteCount
        unsafe backend.fill(memory, bytes) { bytes in
            let base = bytes.baseAddress!
            let weights = unsafe (base + layout.weights).assumingMemoryBound(to: SIMD4<Float>.self)
            let indices = unsafe (base + layout.indices).assumingMemoryBound(to: SIMD4<Int32>.self)
            let cosines = unsafe (base + layout.cosines).assumingMemoryBound(to: Float.self)
            let sines = unsafe (base + layout.sines).assumingMemoryBound(to: Float.self)
            for side in 0..<cut.sideCount {
                let isRow = side < cut.gridHeight
                let index = isRow ? side : side - cut.gridHeight
                unsafe angles.write(index, cosines + side * angles.count, sines + side * angles.count)
                let taps = CubicTaps(
                    index: index, count: isRow ? cut.gridHeight : cut.gridWidth, size: positionGridSize)
                unsafe weights[side] = taps.weights
                // The grid lies row by row.
                unsafe indices[side] = isRow ? taps.indices &* Int32(positionGridSize) : taps.indices
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
