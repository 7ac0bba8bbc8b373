//! The manifest of a model file: what the file holds, and where.

public import Tensors

/// What a model is and where it came from, as its maker states it.
public struct ModelDescription: Codable, Sendable, Equatable {
    /// The model's name, as a person would say it.
    public var name: String
    /// The program and version that wrote the file.
    public var creator: String
    /// Where the weights came from.
    public var source: String?
    /// The licence the weights are under.
    public var licence: String?
    /// How the weights were stored, in one line.
    public var recipe: String
    /// The hyperparameters.
    public var configuration: ModelConfiguration
    /// Raw name of the chat format that the model was trained with.
    public var chatFormat: String?
    /// How text is drawn on pages for this model, as JSON that this module does not read.
    public var pageSettings: String?

    /// Makes a description of its parts.
    public init(
        name: String, creator: String, source: String? = nil, licence: String? = nil, recipe: String,
        configuration: ModelConfiguration, chatFormat: String? = nil, pageSettings: String? = nil
    ) {
        self.name = name
        self.creator = creator
        self.source = source
        self.licence = licence
        self.recipe = recipe
        self.configuration = configuration
        self.chatFormat = chatFormat
        self.pageSettings = pageSettings
    }
}

/// The manifest: the model's description and the segments in file order.
public struct Manifest: Codable, Sendable, Equatable {
    /// What the model is.
    public internal(set) var model: ModelDescription
    /// The segments in file order.
    public internal(set) var segments: [SegmentEntry]

    init(model: ModelDescription, segments: [SegmentEntry]) {
        self.model = model
        self.segments = segments
    }
}

/// One contiguous piece of the file that is read as a whole.
public struct SegmentEntry: Codable, Sendable, Equatable {
    /// What a segment holds.
    public enum Kind: String, Codable, Sendable {
        /// Tensors, in a codes stream and a scales stream.
        case weights
        /// Bytes that mean nothing to the container; they are the codes stream.
        case data
    }

    /// Unique in the file.
    public internal(set) var name: String
    /// What the segment holds.
    public internal(set) var kind: Kind
    /// Offset of the first stored byte in the file: a multiple of 4096.
    public internal(set) var fileOffset: Int
    /// Bytes in the file.
    public internal(set) var storedByteCount: Int
    /// Bytes of the codes stream before compression; a multiple of 64 for weights.
    public internal(set) var codesByteCount: Int
    /// Bytes of the scales stream before compression; a multiple of 64.
    public internal(set) var scalesByteCount: Int
    /// Index of the segment's first block in the block index.
    public internal(set) var firstBlock: Int
    /// The tensors in the order of their planes; none for data.
    public internal(set) var tensors: [TensorEntry]

    /// Bytes of the raw image: the codes stream, then the scales stream.
    public var imageByteCount: Int { codesByteCount + scalesByteCount }

    /// The tensor of that name.
    public func tensor(named name: String) -> TensorEntry? { tensors.first { $0.name == name } }
}

/// One tensor of a segment.
public struct TensorEntry: Codable, Sendable, Equatable {
    /// How elements are ordered.
    public enum Kind: String, Codable, Sendable {
        /// `[rows, columns]` in the tiled layout of `WeightLayout`.
        case matrix
        /// `[rows]` consecutive float32 values; `columns` is 1.
        case vector
    }

    /// Unique in the segment.
    public internal(set) var name: String
    /// How elements are ordered.
    public internal(set) var kind: Kind
    /// Outputs of a matrix, elements of a vector.
    public internal(set) var rows: Int
    /// Inputs of a matrix; 1 for a vector.
    public internal(set) var columns: Int
    /// How elements are stored; f32 for a vector.
    public internal(set) var format: WeightFormat
    /// Offset of the codes (of the values, for f32 and f16) in the segment's raw image: a multiple of 64.
    public internal(set) var codesOffset: Int
    /// Offset of the scales in the segment's raw image: a multiple of 64; nil where the format has none.
    public internal(set) var scalesOffset: Int?

    /// Bytes of the codes plane.
    public var codesByteCount: Int { kind == .vector ? rows * 4 : layout.codesByteCount }
    /// Bytes of the scales plane.
    public var scalesByteCount: Int { kind == .vector ? 0 : layout.scalesByteCount }
    /// Where each element of a matrix lies. For a matrix only.
    public var layout: WeightLayout { WeightLayout(rows: rows, columns: columns, format: format) }
}
