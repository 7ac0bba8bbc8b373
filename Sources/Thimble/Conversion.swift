//! Other projects' checkpoints to model files.

/// What `Conversion` converts.
public enum ConversionSource: Sendable {
    /// A HuggingFace folder: config.json, safetensors, tokenizer.json and so on.
    case folder(String)
    /// Random weights of the shapes that a config.json gives, from a seed.
    case random(configuration: String, seed: UInt64)
}

/// How weights are stored.
public enum WeightChoice: String, Sendable, CaseIterable {
    case f16, q8, q4
}

/// How a conversion is done.
public struct ConversionOptions: Sendable {
    public var weights: WeightChoice = .q4
    /// Inputs that share a scale: 32, 64 or 128.
    public var group = 32
    /// The format of head, embedding and vision; nil keeps them at 8 bits where `weights` is q4.
    public var sensitiveWeights: WeightChoice?
    /// Page settings (Glyph's JSON) to put into the file.
    public var pageSettings: String?
    public var name: String?
    public var licence: String?
    /// Nil takes one for each core this process may use.
    public var threadCount: Int?

    public init() {}
}

/// What a conversion made.
public struct ConversionSummary: Sendable {
    public var byteCount: Int
    public var tensorCount: Int
    /// Things worth knowing: tensors stored otherwise than asked, what is missing from the folder.
    public var notes: [String]
}

/// Converts; `progress` hears the bytes done, the total, and the tensor at hand. The file appears whole or not at all.
public func convert(
    _ source: ConversionSource, to path: String, _ options: ConversionOptions = ConversionOptions(),
    progress: (_ done: Int, _ total: Int, _ tensor: String) -> Void = { _, _, _ in }
) throws(ThimbleError) -> ConversionSummary {
    throw ThimbleError(.internal, "not wired yet")
}
