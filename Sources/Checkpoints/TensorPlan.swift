//! Which rows of which source tensors make one tensor of ours.

import ModelFile
import Tensors

/// How one tensor of a model file is made.
struct TensorPlan: Sendable {
    /// How the parts' rows follow each other.
    enum Arrangement {
        /// All rows of the first part, then all of the second, ...
        case concatenated
        /// Row `2i` is row `i` of the first part, row `2i + 1` is row `i` of the second.
        case alternating
    }

    /// Rows of a source tensor.
    struct Part: Sendable {
        let source: SourceTensor
        let rows: Range<Int>
    }

    let target: ModelSchema.Tensor
    let format: WeightFormat
    let parts: [Part]
    let arrangement: Arrangement
    /// Where a convolution's weight `[out, channel, tap]` becomes `[out, tap, channel]`: the number of taps.
    let taps: Int?

    /// Bytes that are read from the source.
    var sourceByteCount: Int {
        parts.reduce(0) { $0 + $1.rows.count * $1.source.columns * $1.source.elementByteCount }
    }

    /// A run of source rows and where they go: row `i` of the run is row `first + i * stride` of the target.
    struct Run {
        let part: Part
        let sourceRows: Range<Int>
        let first: Int
        let stride: Int
    }

    /// The runs that fill `rows` of the target.
    func runs(for rows: Range<Int>) -> [Run] {
        switch arrangement {
        case .alternating:
            return parts.enumerated().map { index, part in
                // The first row at or after the range's start that is this part's.
                let start = (rows.lowerBound - index + 1) / 2
                let end = (rows.upperBound - index + 1) / 2
                let source = (part.rows.lowerBound + start)..<(part.rows.lowerBound + end)
                return Run(part: part, sourceRows: source, first: 2 * start + index, stride: 2)
            }
        case .concatenated:
            var runs: [Run] = []
            var base = 0
            for part in parts {
                let overlap = rows.clamped(to: base..<(base + part.rows.count))
                if !overlap.isEmpty {
                    let start = part.rows.lowerBound + overlap.lowerBound - base
                    runs.append(
                        Run(
                            part: part, sourceRows: start..<(start + overlap.count),
                            first: overlap.lowerBound,
                            stride: 1))
                }
                base += part.rows.count
            }
            return runs
        }
    }
}

/// One segment with the plans of its tensors.
struct SegmentPlan: Sendable {
    let name: String
    var tensors: [TensorPlan]
}
