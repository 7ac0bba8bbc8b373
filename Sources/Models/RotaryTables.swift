//! Rotary angles: cosines and sines for the decoder (M-RoPE) and the vision tower (two axes).

internal import Glibc
internal import ModelFile
internal import Tensors

/// The decoder's angles: pair `i` turns by `theta^(-2i / rotarySize)` for each step of the position component
/// that its M-RoPE section follows; sections take time, height and width in turn.
struct DecoderAngles {
    /// Of each pair.
    let frequencies: [Float]
    /// Of each pair, which of a position's three numbers it follows.
    private let components: [Int]

    init(_ text: TextConfiguration) {
        let pairs = text.rotaryPairs
        frequencies = inverseFrequencies(count: pairs, size: text.rotarySize, theta: text.ropeTheta)
        var components = [Int](repeating: 0, count: pairs)
        var pair = 0
        for (index, section) in text.mropeSections.enumerated() {
            for _ in 0..<section where pair < pairs {
                components[pair] = index % 3
                pair += 1
            }
        }
        self.components = components
    }

    /// Writes `[positions, pairs]`.
    func write(_ positions: ArraySlice<Position>, into rotary: Rotary, on backend: any Backend) {
        unsafe backend.fillAngles(of: rotary) { cosines, sines in
            var next = 0
            for position in positions {
                for pair in frequencies.indices {
                    let angle = Float(position[components[pair]]) * frequencies[pair]
                    unsafe cosines[next] = cosf(angle)
                    unsafe sines[next] = sinf(angle)
                    next += 1
                }
            }
        }
    }
}

/// The vision tower's angles: the first half of the pairs follow a patch's row, the second half its column.
struct VisionAngles {
    /// Of the pairs of one axis.
    private let frequencies: [Float]

    /// Pairs of one axis.
    var count: Int { frequencies.count }

    init(_ vision: VisionConfiguration) {
        frequencies = inverseFrequencies(
            count: vision.headSize / 4, size: vision.headSize / 2, theta: vision.ropeTheta)
    }

    /// Writes those of row, or column, `index`.
    func write(
        _ index: Int, _ cosines: UnsafeMutablePointer<Float>, _ sines: UnsafeMutablePointer<Float>
    ) {
        for pair in frequencies.indices {
            let angle = Float(index) * frequencies[pair]
            unsafe cosines[pair] = cosf(angle)
            unsafe sines[pair] = sinf(angle)
        }
    }
}

private func inverseFrequencies(count: Int, size: Int, theta: Float) -> [Float] {
    (0..<count).map { 1 / powf(theta, Float(2 * $0) / Float(size)) }
}

extension Backend {
    /// Lends both tables of `rotary` to be filled.
    fileprivate func fillAngles(
        of rotary: Rotary,
        _ body: (UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>) -> Void
    ) {
        unsafe fill(rotary.cosines) { cosines in
            unsafe fill(rotary.sines) { sines in unsafe body(cosines, sines) }
        }
    }
}

extension Backend {
    /// Lends an activation to the host, to be filled.
    func fill<E: Error>(
        _ activation: Activation, _ body: (UnsafeMutablePointer<Float>) throws(E) -> Void
    ) throws(E) {
        let byteCount = activation.rows * activation.columns * 4
        let bytes = activation.offset..<activation.offset + byteCount
        try unsafe fill(activation.memory, bytes) { (bytes) throws(E) in
            try unsafe body(bytes.baseAddress!.assumingMemoryBound(to: Float.self))
        }
    }
}
