//! Whether two models say the same: their logits compared row by row.

import Foundation

/// The agreement of computed logits with the reference's.
public struct LogitsAgreement: Sendable, CustomStringConvertible {
    /// Rows compared.
    public let rowCount: Int
    /// The elementwise error.
    public let difference: Difference
    /// Kullback-Leibler divergence of the computed distribution from the reference's, in nats: mean of the
    /// rows.
    public let meanDivergence: Double
    /// The same, the largest of a row.
    public let largestDivergence: Double
    /// Rows whose most likely token is the reference's, or one that the reference rates within the allowance
    /// of its most likely one.
    public let agreeingRows: Int
    /// The rows that disagree.
    public let disagreements: [Int]

    /// Agreeing rows over all rows.
    public var topOneAgreement: Double { Double(agreeingRows) / Double(max(rowCount, 1)) }

    /// Compares logits `[rows, vocabulary]`.
    /// - Parameter nearTie: how far, in logits of the reference, the chosen token may be from the best one.
    public init(_ actual: [Float], from expected: [Float], vocabulary: Int, nearTie: Float = 0) {
        precondition(
            expected.count % vocabulary == 0, "\(expected.count) logits are no rows of \(vocabulary)")
        difference = Difference(actual, from: expected)
        rowCount = expected.count / vocabulary
        var divergences: [Double] = []
        var disagreements: [Int] = []
        for row in 0..<rowCount {
            let range = row * vocabulary..<(row + 1) * vocabulary
            let (computed, reference) = (actual[range], expected[range])
            divergences.append(Self.divergence(of: computed, from: reference))
            let chosen = computed.indices.max { computed[$0] < computed[$1] }!
            let best = reference.max()!
            if !(reference[chosen] >= best - nearTie) || computed.contains(where: \.isNaN) {
                disagreements.append(row)
            }
        }
        meanDivergence = divergences.reduce(0, +) / Double(max(rowCount, 1))
        largestDivergence = divergences.max() ?? 0
        agreeingRows = rowCount - disagreements.count
        self.disagreements = disagreements
    }

    public var description: String {
        "\(agreeingRows) of \(rowCount) rows agree (not \(disagreements.prefix(8))), divergence "
            + "\(meanDivergence) nats on average and \(largestDivergence) at most, \(difference)"
    }

    /// Infinite where a logit is no number.
    private static func divergence(of computed: ArraySlice<Float>, from reference: ArraySlice<Float>)
        -> Double
    {
        let p = logarithms(reference)
        let q = logarithms(computed)
        let sum = zip(p, q).reduce(0.0) { $0 + exp($1.0) * ($1.0 - $1.1) }
        return sum.isNaN ? .infinity : max(sum, 0)
    }

    /// The logarithms of the probabilities that `logits` stand for.
    private static func logarithms(_ logits: ArraySlice<Float>) -> [Double] {
        let largest = Double(logits.max() ?? 0)
        let total = log(logits.reduce(0.0) { $0 + exp(Double($1) - largest) })
        return logits.map { Double($0) - largest - total }
    }
}
