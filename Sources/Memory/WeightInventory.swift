//! What weights a model file has, in the order in which a token needs them.

public import ModelFile

/// The weight segments of a model, or of a share of one, by their part in it. Sizes are of raw images, in
/// bytes.
public struct WeightInventory: Sendable {
    /// Those of the whole model, in file order.
    public let segments: [Segment]
    /// Indices of the segments that every decoded token reads: the layers, then the head.
    public let decoder: [Int]
    /// Indices of the tower's; empty where there is none.
    public let vision: [Int]
    /// Index of the token embedding's.
    public let embedding: Int
    /// Whether tokens are looked up here.
    private let looksUp: Bool
    /// Whether logits are computed here.
    private let hasHead: Bool
    /// Whether the output matrix is the embedding, and both are used here.
    public let tiesEmbedding: Bool
    /// Index of the segment that holds the model's output matrix.
    private let outputSegment: Int
    /// By segment of the model: bytes of its vectors.
    private let vectorBytes: [Int]

    /// Precondition: every segment of the model's schema is there.
    public init(_ model: ModelOutline) {
        let text = model.configuration.text
        segments = model.segments
        vectorBytes = model.segments.map { segment in
            segment.entry.tensors.reduce(0) { sum, tensor in
                // Each starts at a multiple of 64, as in the image.
                sum + (tensor.kind == .vector ? (tensor.codesByteCount + 63) / 64 * 64 : 0)
            }
        }
        func index(_ name: String) -> Int {
            guard let index = model.segments.firstIndex(where: { $0.entry.name == name }) else {
                preconditionFailure("the schema was checked")
            }
            return index
        }
        embedding = index("embedding")
        looksUp = true
        hasHead = true
        tiesEmbedding = text.tiesEmbedding
        outputSegment = text.tiesEmbedding ? embedding : index("head")
        decoder = (0..<text.layerCount).map { index("layers.\($0)") } + [index("head")]
        vision =
            model.configuration.vision.map { vision in
                [index("vision.embed")] + (0..<vision.depth).map { index("vision.blocks.\($0)") }
                    + [index("vision.merger")]
            } ?? []
    }

    /// What `share` has of `model`, the inventory of all of it.
    private init(_ model: WeightInventory, _ share: ModelShare) {
        segments = model.segments
        vectorBytes = model.vectorBytes
        decoder = Array(model.decoder[share.layers]) + (share.isLast ? model.decoder.suffix(1) : [])
        vision = share.hasTower ? model.vision : []
        embedding = model.embedding
        looksUp = share.isFirst
        hasHead = share.isLast
        tiesEmbedding = model.tiesEmbedding && share.isFirst && share.isLast
        outputSegment = model.outputSegment
    }

    /// What a share has. Precondition: this is the inventory of a whole model.
    public func part(_ share: ModelShare) -> WeightInventory { WeightInventory(self, share) }

    /// Every segment of the model or the share.
    public var all: [Int] {
        let isOutput = hasHead && outputSegment == embedding
        return (looksUp || isOutput ? [embedding] : []) + decoder + vision
    }

    /// Bytes of whole segments.
    public func byteCount(of indices: some Sequence<Int>) -> Int {
        indices.reduce(0) { $0 + segments[$1].entry.imageByteCount }
    }

    /// Bytes of a segment's vectors: norms, biases, learned positions. They are held from load to end.
    public func vectorsByteCount(of index: Int) -> Int { vectorBytes[index] }

    /// Where the output matrix lies.
    public var head: (segment: Int, tensor: String) {
        (outputSegment, outputSegment == embedding ? "embed_tokens" : "lm_head")
    }

    /// The units of a decoder's segment. The output matrix is cut by tiles: it is larger than all others, and
    /// its rows can be multiplied a few at a time.
    public func decoderUnits(of index: Int, mostBytes: Int) -> [WeightUnit] {
        guard hasHead, index == decoder.last else {
            return WeightUnit.units(ofSegment: index, segments[index].entry, mostBytes: mostBytes)
        }
        let head = self.head
        return WeightUnit.units(
            ofSegment: head.segment, segments[head.segment].entry, mostBytes: mostBytes,
            divisible: [head.tensor])
    }

    /// The units of the tower, in order of use.
    public func visionUnits(mostBytes: Int) -> [WeightUnit] {
        vision.flatMap { WeightUnit.units(ofSegment: $0, segments[$0].entry, mostBytes: mostBytes) }
    }

    /// The largest matrix that cannot be cut: the least that a unit may be.
    public func largestMatrix(of indices: some Sequence<Int>) -> Int {
        indices.flatMap { index -> [Int] in
            segments[index].entry.tensors.compactMap { tensor in
                tensor.kind == .matrix && !(index == head.segment && tensor.name == head.tensor)
                    ? tensor.codesByteCount + tensor.scalesByteCount : nil
            }
        }.max() ?? 0
    }

    /// Bytes of the file that hold a unit: the stored bytes of every block that it lies in.
    public func storedByteCount(of unit: WeightUnit) -> Int {
        segments[unit.segment].blocks.reduce(0) { sum, block in
            let bytes = block.imageOffset..<block.imageOffset + block.rawByteCount
            let isNeeded = bytes.overlaps(unit.codes) || bytes.overlaps(unit.scales)
            return isNeeded ? sum + block.storedByteCount : sum
        }
    }
}
