//! Rotary angles: cosines and sines for the decoder (M-RoPE) and the vision tower (two axes).

internal import Glibc
internal import ModelFile
internal import Tensors

/// Cosines and sines `[rows, pairs]` on the host, before a backend gets them.
struct RotaryTable {
    let pairs: Int
    private(set) var cosines: [Float] = []
    private(set) var sines: [Float] = []

    /// Angles of the decoder: pair `i` turns by `theta^(-2i / rotarySize)` for each step of the position
    /// component that its M-RoPE section follows; sections take time, height and width in turn.
    init(positions: ArraySlice<Position>, configuration: TextConfiguration) {
        pairs = configuration.rotarySize / 2
        let frequencies = Self.inverseFrequencies(
            count: pairs, size: configuration.rotarySize, theta: configuration.ropeTheta)
        var components = [Int](repeating: 0, count: pairs)
        var pair = 0
        for (index, section) in configuration.mropeSections.enumerated() {
            for _ in 0..<section where pair < pairs {
                components[pair] = index % 3
                pair += 1
            }
        }
        reserve(positions.count)
        for position in positions {
            for pair in 0..<pairs { append(angle: Float(position[components[pair]]) * frequencies[pair]) }
        }
    }

    /// Angles of the vision tower: the first half of the pairs follow a patch's row, the second half its
    /// column.
    init(patches: [(row: Int, column: Int)], configuration: VisionConfiguration) {
        pairs = configuration.headSize / 2
        let perAxis = pairs / 2
        let frequencies = Self.inverseFrequencies(
            count: perAxis, size: configuration.headSize / 2, theta: configuration.ropeTheta)
        reserve(patches.count)
        for patch in patches {
            for pair in 0..<perAxis { append(angle: Float(patch.row) * frequencies[pair]) }
            for pair in 0..<perAxis { append(angle: Float(patch.column) * frequencies[pair]) }
        }
    }

    private static func inverseFrequencies(count: Int, size: Int, theta: Float) -> [Float] {
        (0..<count).map { 1 / powf(theta, Float(2 * $0) / Float(size)) }
    }

    private mutating func reserve(_ rows: Int) {
        cosines.reserveCapacity(rows * pairs)
        sines.reserveCapacity(rows * pairs)
    }

    private mutating func append(angle: Float) {
        cosines.append(cosf(angle))
        sines.append(sinf(angle))
    }
}
