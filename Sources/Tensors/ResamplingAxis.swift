//! Bicubic resampling with antialiasing along one axis, in fixed point for bytes.

/// Resizes `inputs` positions to `outputs`: each output is a weighted sum of consecutive inputs, its taps.
///
/// The arithmetic is that of Pillow's `resize` for 8-bit images with `BICUBIC`, so that bytes come out the
/// same. With as many outputs as inputs the taps are the identity, and a backend may leave the axis alone.
public struct ResamplingAxis: Sendable {
    public let inputs: Int
    public let outputs: Int

    /// Precondition: both counts are positive.
    public init(inputs: Int, outputs: Int) {
        precondition(inputs > 0 && outputs > 0)
        self.inputs = inputs
        self.outputs = outputs
    }

    public var isIdentity: Bool { inputs == outputs }

    private var scale: Double { Double(inputs) / Double(outputs) }
    /// Shrinking widens the filter so that it covers all of the input; growing leaves it as it is.
    private var stretch: Double { max(scale, 1) }

    /// An upper bound on the taps of an output; a multiple of 4.
    public var capacity: Int {
        let taps = min(Int((4 * stretch).rounded(.up)) + 1, inputs)
        return (taps + 3) / 4 * 4
    }

    /// The inputs of an output, and where in them the output's centre lies.
    private func taps(of output: Int) -> (range: Range<Int>, centre: Double) {
        let support = 2 * stretch
        let centre = scale * (Double(output) + 0.5)
        let start = max(Int(centre - support + 0.5), 0)
        return (start..<min(Int(centre + support + 0.5), inputs), centre)
    }

    /// Calls `body` with the number and the weight of each tap of an output; the weights' sum is 1.
    private func forEachTap(of output: Int, _ body: (Int, Double) -> Void) {
        let (range, centre) = taps(of: output)
        func weight(_ input: Int) -> Double { Self.cubic((Double(input) - centre + 0.5) / stretch) }
        var sum = 0.0
        for input in range { sum += weight(input) }
        for input in range { body(input - range.lowerBound, weight(input) / sum) }
    }

    /// Writes the first input and the count of each output's taps, `[outputs]`, and their weights,
    /// `[outputs, capacity]`, the surplus as zeros; returns the weights' fractional bits.
    public func writeTaps(
        starts: UnsafeMutableBufferPointer<Int32>, counts: UnsafeMutableBufferPointer<Int32>,
        weights: UnsafeMutableBufferPointer<Int16>
    ) -> Int32 {
        let capacity = capacity
        precondition(starts.count >= outputs && counts.count >= outputs)
        precondition(weights.count >= outputs * capacity)
        var largest = -Double.infinity
        for output in 0..<outputs { forEachTap(of: output) { _, weight in largest = max(largest, weight) } }
        let precision = Self.precision(largestWeight: largest)
        let one = Double(1 << precision)
        for output in 0..<outputs {
            let (range, _) = taps(of: output)
            unsafe starts[output] = Int32(range.lowerBound)
            unsafe counts[output] = Int32(range.count)
            let row = weights.extracting(output * capacity..<(output + 1) * capacity)
            unsafe row.update(repeating: 0)
            forEachTap(of: output) { tap, weight in
                unsafe row[tap] = Int16((weight * one).rounded(.toNearestOrAwayFromZero))
            }
        }
        return precision
    }

    /// As many fractional bits as the largest weight leaves in a signed 16-bit integer.
    private static func precision(largestWeight: Double) -> Int32 {
        var precision: Int32 = 0
        while precision < 22, 0.5 + largestWeight * Double(1 << (precision + 1)) < Double(1 << 15) {
            precision += 1
        }
        return precision
    }

    /// Keys' cubic convolution kernel with a = -1/2 (Keys 1981), which is 0 beyond 2.
    private static func cubic(_ distance: Double) -> Double {
        let a = -0.5
        let x = distance.magnitude
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
        return 0
    }
}
