//! How a conversion stores each part of a model.

public import Tensors

/// The formats of a model's matrices, part by part. Vectors are always float32.
public struct Recipe: Sendable, Equatable {
    /// The decoder's layers.
    public var decoder: WeightFormat
    /// The token embedding.
    public var embedding: WeightFormat
    /// The output matrix.
    public var head: WeightFormat
    /// Patch embedding, vision blocks and merger.
    public var vision: WeightFormat

    /// Every part as stated.
    public init(decoder: WeightFormat, embedding: WeightFormat, head: WeightFormat, vision: WeightFormat) {
        self.decoder = decoder
        self.embedding = embedding
        self.head = head
        self.vision = vision
    }

    /// The usual recipe for a weight type: with q4 the embedding, the head and the vision tower, where errors
    /// cost most, stay at q8. `group` counts for q8 and q4 only: 32, 64 or 128.
    public init(weights: ElementType, group: Int = 32) {
        let decoder = WeightFormat(weights, group: group)
        let sensitive = weights == .q4 ? WeightFormat.q8(group: group) : decoder
        self.init(decoder: decoder, embedding: sensitive, head: sensitive, vision: sensitive)
    }

    /// One line, for the manifest.
    public var summary: String {
        [("decoder", decoder), ("embedding", embedding), ("head", head), ("vision", vision)]
            .map { "\($0) \($1.summary)" }.joined(separator: ", ")
    }

    /// The format of the matrices of a segment.
    public func format(ofSegment name: String) -> WeightFormat {
        if name.hasPrefix("vision.") { return vision }
        switch name {
        case "embedding": return embedding
        case "head": return head
        default: return decoder
        }
    }
}

extension WeightFormat {
    /// `q4/32`, `f16`.
    var summary: String { group == 0 ? type.rawValue : "\(type.rawValue)/\(group)" }
}
