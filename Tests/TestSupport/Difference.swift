//! How far a computed tensor is from the expected one.

/// The error of a tensor against a reference. A value that is no number makes all of it infinite, so that no
/// tolerance lets it pass.
public struct Difference: Sendable, CustomStringConvertible {
    /// The largest absolute error.
    public let maximum: Float
    /// Where the largest error is.
    public let index: Int
    /// The root of the mean squared error over the root of the mean squared reference; the error itself,
    /// where the reference is 0 throughout.
    public let relativeRMS: Float
    /// Computed and expected value at `index`.
    public let values: (actual: Float, expected: Float)

    /// Compares two tensors of the same size.
    public init(_ actual: some Collection<Float>, from expected: some Collection<Float>) {
        precondition(actual.count == expected.count, "\(actual.count) values against \(expected.count)")
        var maximum: Float = -1
        var worst = (index: 0, actual: Float(0), expected: Float(0))
        var (squaredError, squaredReference) = (0.0, 0.0)
        for (index, (a, e)) in zip(actual, expected).enumerated() {
            let error = a == e ? 0 : (a - e).magnitude
            let judged = error.isNaN ? .infinity : error
            if judged > maximum {
                maximum = judged
                worst = (index, a, e)
            }
            squaredError += Double(judged) * Double(judged)
            squaredReference += Double(e) * Double(e)
        }
        self.maximum = max(maximum, 0)
        index = worst.index
        values = (worst.actual, worst.expected)
        let mean = Double(max(actual.count, 1))
        let ratio = squaredReference > 0 ? squaredError / squaredReference : squaredError / mean
        relativeRMS = ratio.isNaN ? .infinity : Float(ratio.squareRoot())
    }

    public var description: String {
        "largest error \(maximum) at \(index) (\(values.actual), expected \(values.expected)), "
            + "relative RMS error \(relativeRMS)"
    }
}
