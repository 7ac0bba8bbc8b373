//! Which segments and tensors a model has: what a converter writes and what the model code may rely on.

/// The segments of a model of some configuration, in file order, with the shape of each tensor.
public struct ModelSchema: Sendable, Equatable {
    /// One tensor: `[rows, columns]`, or `[rows]` for a vector.
    public struct Tensor: Sendable, Equatable {
        /// Unique in its segment.
        public var name: String
        /// How elements are ordered.
        public var kind: TensorEntry.Kind
        /// Outputs of a matrix, elements of a vector.
        public var rows: Int
        /// Inputs of a matrix; 1 for a vector.
        public var columns: Int

        static func matrix(_ name: String, _ rows: Int, _ columns: Int) -> Tensor {
            Tensor(name: name, kind: .matrix, rows: rows, columns: columns)
        }

        static func vector(_ name: String, _ count: Int) -> Tensor {
            Tensor(name: name, kind: .vector, rows: count, columns: 1)
        }
    }

    /// One segment.
    public struct Segment: Sendable, Equatable {
        /// Unique in the file.
        public var name: String
        /// In the order of their planes.
        public var tensors: [Tensor]
    }

    /// In file order.
    public let segments: [Segment]

    /// Precondition: the configuration is valid.
    public init(_ configuration: ModelConfiguration) {
        let text = configuration.text
        var segments = [
            Segment(
                name: "embedding", tensors: [.matrix("embed_tokens", text.vocabularySize, text.hiddenSize)])
        ]
        let layer = Self.layer(text)
        segments += (0..<text.layerCount).map { Segment(name: "layers.\($0)", tensors: layer) }
        segments.append(Segment(name: "head", tensors: Self.head(text)))
        if let vision = configuration.vision {
            segments.append(Segment(name: "vision.embed", tensors: Self.visionEmbed(vision)))
            let block = Self.visionBlock(vision)
            segments += (0..<vision.depth).map { Segment(name: "vision.blocks.\($0)", tensors: block) }
            segments.append(Segment(name: "vision.merger", tensors: Self.merger(vision)))
        }
        self.segments = segments
    }

    private static func layer(_ text: TextConfiguration) -> [Tensor] {
        let hidden = text.hiddenSize
        let qkv = (text.headCount + 2 * text.kvHeadCount) * text.headSize
        return [.vector("input_layernorm", hidden), .matrix("qkv", qkv, hidden)]
            + (text.hasQKVBias ? [.vector("qkv.bias", qkv)] : [])
            + [
                .matrix("o", hidden, text.headCount * text.headSize),
                .vector("post_self_attn_layernorm", hidden),
                .vector("post_attention_layernorm", hidden),
                .matrix("gate_up", 2 * text.intermediateSize, hidden),
                .matrix("down", hidden, text.intermediateSize),
                .vector("post_mlp_layernorm", hidden),
            ]
    }

    private static func head(_ text: TextConfiguration) -> [Tensor] {
        [.vector("norm", text.hiddenSize)]
            + (text.tiesEmbedding ? [] : [.matrix("lm_head", text.vocabularySize, text.hiddenSize)])
    }

    private static func visionEmbed(_ vision: VisionConfiguration) -> [Tensor] {
        [
            .matrix("patch_embed", vision.hiddenSize, vision.patchElementCount),
            .vector("patch_embed.bias", vision.hiddenSize),
            .vector("post_conv_layernorm", vision.hiddenSize),
            .vector(
                "position_embedding", vision.positionGridSize * vision.positionGridSize * vision.hiddenSize),
        ]
    }

    private static func visionBlock(_ vision: VisionConfiguration) -> [Tensor] {
        let hidden = vision.hiddenSize
        return [.vector("norm1", hidden), .matrix("qkv", 3 * hidden, hidden)]
            + (vision.hasQKVBias ? [.vector("qkv.bias", 3 * hidden)] : [])
            + [
                .matrix("proj", hidden, hidden),
                .vector("norm2", hidden),
                .matrix("gate_up", 2 * vision.outputSize, hidden),
                .matrix("down", hidden, vision.outputSize),
            ]
    }

    private static func merger(_ vision: VisionConfiguration) -> [Tensor] {
        let width = vision.outputSize
        return [
            .vector("post_layernorm", vision.hiddenSize),
            .matrix("downsample", width, vision.mergeSize * vision.mergeSize * vision.hiddenSize),
            .vector("downsample.bias", width),
            .matrix("proj", width, width),
            .vector("post_projection_norm", width),
            .vector("post_projection_norm.bias", width),
            .matrix("gate_up", 2 * vision.mergerIntermediateSize, width),
            .matrix("down", width, vision.mergerIntermediateSize),
        ]
    }
}

extension ModelFile {
    /// Checks that every segment and tensor that the file's configuration calls for is there, with its shape,
    /// so that model code may index by name without further checks. Further segments are allowed.
    public func checkSchema() throws(ModelFileError) {
        for expected in ModelSchema(manifest.model.configuration).segments {
            guard let segment = segment(named: expected.name), segment.entry.kind == .weights else {
                throw ModelFileError(.missing, file: path, "segment \(expected.name) is missing")
            }
            for tensor in expected.tensors {
                guard let found = segment.entry.tensor(named: tensor.name) else {
                    throw ModelFileError(
                        .missing, file: path, "tensor \(tensor.name) of segment \(expected.name) is missing")
                }
                guard found.kind == tensor.kind, found.rows == tensor.rows, found.columns == tensor.columns
                else {
                    throw ModelFileError(
                        .missing, file: path,
                        "tensor \(tensor.name) of segment \(expected.name) is a \(found.kind.rawValue) of "
                            + "\(found.rows) x \(found.columns), and the configuration calls for a "
                            + "\(tensor.kind.rawValue) of \(tensor.rows) x \(tensor.columns)")
                }
            }
        }
    }
}
