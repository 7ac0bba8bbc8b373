//! A model file looked at without reading its weights.

public import ModelFile
internal import Models
internal import Tokenizers

/// An open model file: what it says of itself, its tensors, its tokenizer. Weights are not loaded, so that
/// opening takes as little time for a model of 5 GB as for one of 5 MB.
public struct ModelInspection {
    /// One tensor of the file.
    public struct Tensor: Sendable, Equatable, Encodable {
        public var name: String
        /// The segment it lies in.
        public var segment: String
        /// `[rows, columns]` of a matrix, `[rows]` of a vector.
        public var shape: [Int]
        /// How its elements are stored: `f32`, `f16`, `q8`, `q4` and the like.
        public var format: String
        /// Bytes before compression, scales included.
        public var byteCount: Int
    }

    private let file: ModelFile

    /// Opens and checks the file's header, index and manifest.
    public init(modelPath: String) throws(ThimbleError) {
        file = try translating { () throws(ModelFileError) in try ModelFile(path: modelPath) }
    }

    public var path: String { file.path }
    /// Bytes in the file.
    public var byteCount: Int { file.byteCount }
    /// The model's name, configuration and origin.
    public var description: ModelDescription { file.manifest.model }

    /// Every tensor, in file order.
    public var tensors: [Tensor] {
        file.segments.flatMap { segment in
            segment.entry.tensors.map { tensor in
                Tensor(
                    name: tensor.name, segment: segment.entry.name,
                    shape: tensor.kind == .matrix ? [tensor.rows, tensor.columns] : [tensor.rows],
                    format: "\(tensor.format)", byteCount: tensor.codesByteCount + tensor.scalesByteCount)
            }
        }
    }

    /// Reads the whole file and checks every checksum; returns the bytes of its blocks before compression.
    @discardableResult
    public func verify() throws(ThimbleError) -> Int {
        let file = self.file
        return try translating { () throws(ModelFileError) in try file.verify() }
    }

    /// How text is drawn on pages for this model: the settings in its file, else Glyph's.
    public func pageSettings() throws(ThimbleError) -> PageSettings { try Engine.pageSettings(of: file) }

    /// The file's tokenizer, to be kept where several texts are encoded.
    public func textCodec() throws(ThimbleError) -> TextCodec {
        guard let tokenizer = try Engine.tokenizer(of: file) else { throw .noTokenizer(path) }
        return TextCodec(path: file.path, tokenizer: tokenizer)
    }
}

/// Text to token ids and back, as a model's tokenizer has it.
public struct TextCodec {
    let path: String
    let tokenizer: Tokenizer

    /// The ids of a text; with `parsesSpecialTokens`, special tokens' spellings become those tokens.
    public func encode(_ text: String, parsesSpecialTokens: Bool = false) -> [Int32] {
        parsesSpecialTokens ? tokenizer.encode(trusted: text) : tokenizer.encode(text)
    }

    /// The text of ids.
    public func decode(_ tokens: [Int32], skipsSpecialTokens: Bool = false) throws(ThimbleError) -> String {
        for token in tokens where token < 0 || token >= tokenizer.count {
            throw ThimbleError(
                .invalidArgument,
                "\(path): token \(token) is out of range; the tokenizer has \(tokenizer.count)")
        }
        return tokenizer.decode(tokens, skippingSpecialTokens: skipsSpecialTokens)
    }
}
