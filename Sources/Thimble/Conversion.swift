//! Other projects' checkpoints to model files.

internal import CPUBackend
internal import Checkpoints
internal import Documents
internal import HostSystem
internal import JSON
internal import ModelFile
internal import Tensors
internal import Tokenizers

/// What is converted.
public enum ConversionSource: Sendable {
    /// A HuggingFace folder: config.json, safetensors, tokenizer.json and so on.
    case folder(String)
    /// Random weights of the shapes that a config.json gives, from a seed. A tokenizer.json beside it is
    /// taken along where its tokens fit in the configuration's vocabulary.
    case random(configuration: String, seed: UInt64)
}

/// How weights are stored.
public enum WeightChoice: String, Sendable, CaseIterable {
    case f16, q8, q4

    func format(group: Int) -> WeightFormat {
        switch self {
        case .f16: .f16
        case .q8: .q8(group: group)
        case .q4: .q4(group: group)
        }
    }
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
    /// Nil takes one for each core this process may use; at most 32 are of use.
    public var threadCount: Int?

    public init() {}
}

/// What a conversion made.
public struct ConversionReport: Sendable {
    /// Bytes of the model file.
    public var byteCount: Int
    public var tensorCount: Int
    /// Threads that read, packed and compressed; one more wrote.
    public var threadCount: Int
    /// Things worth knowing: tensors stored otherwise than asked, what the folder lacks.
    public var notes: [String]
}

/// Converts; `progress` hears the bytes of the source that are done, their total, and the tensor at hand. The
/// file appears whole or not at all. When `shouldStop` says so, `cancelled` is thrown soon.
public func convert(
    _ source: ConversionSource, to path: String, _ options: ConversionOptions = ConversionOptions(),
    progress: (_ done: Int, _ total: Int, _ tensor: String) -> Void = { _, _, _ in },
    shouldStop: () -> Bool = { false }
) throws(ThimbleError) -> ConversionReport {
    guard [32, 64, 128].contains(options.group) else {
        throw ThimbleError(.invalidArgument, "a group of \(options.group); it must be 32, 64 or 128")
    }
    let tensors = try tensorSource(source)
    var notes: [String] = []
    let packaging = try packaging(
        source, options, vocabularySize: tensors.configuration.text.vocabularySize, &notes)
    let converter = Converter(
        source: tensors, recipe: recipe(options),
        threadCount: options.threadCount ?? CoreCount.available)
    let summary: Checkpoints.ConversionSummary
    do {
        summary = try converter.write(
            to: path, packaging: packaging,
            progress: { progress($0.bytesDone, $0.bytesTotal, $0.tensor) }, shouldStop: shouldStop)
    } catch { throw ThimbleError(error) }
    notes += summary.widenedTensors.map { "\($0) passes float16's range and is stored as f32" }
    if summary.ignoredTensorCount > 0 {
        notes.append(
            "\(summary.ignoredTensorCount) tensors of the checkpoint are not part of this architecture")
    }
    let byteCount = try translating { () throws(ModelFileError) in try ModelFile(path: path).byteCount }
    return ConversionReport(
        byteCount: byteCount, tensorCount: summary.tensorCount, threadCount: summary.threadCount, notes: notes
    )
}

private func tensorSource(_ source: ConversionSource) throws(ThimbleError) -> any TensorSource {
    do {
        switch source {
        case .folder(let path): return try SafetensorsFolder(path: path)
        case .random(let path, let seed):
            return try RandomSource(
                configuration: try HuggingFaceConfiguration.read(configurationPath: path), seed: seed)
        }
    } catch { throw ThimbleError(error) }
}

extension ModelOutline {
    /// The outline of what the conversion of a config.json's model would write.
    init(configurationPath path: String, _ options: ConversionOptions) throws(ThimbleError) {
        let configuration: ModelConfiguration
        do { configuration = try HuggingFaceConfiguration.read(configurationPath: path) } catch {
            throw ThimbleError(error)
        }
        let recipe = recipe(options)
        self = try translating { () throws(ModelFileError) in
            try ModelOutline(configuration, name: path) { recipe.format(ofSegment: $0) }
        }
    }
}

private func recipe(_ options: ConversionOptions) -> Recipe {
    let format = options.weights.format(group: options.group)
    let fallback: WeightChoice = options.weights == .q4 ? .q8 : options.weights
    let sensitive = (options.sensitiveWeights ?? fallback).format(group: options.group)
    return Recipe(decoder: format, embedding: sensitive, head: sensitive, vision: sensitive)
}

private func packaging(
    _ source: ConversionSource, _ options: ConversionOptions, vocabularySize: Int, _ notes: inout [String]
) throws(ThimbleError) -> Packaging {
    var settings: String?
    if let path = options.pageSettings {
        settings = String(decoding: try readPageSettings(path).json, as: UTF8.self)
    }
    switch source {
    case .random(let path, let seed):
        let folder = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        let tokenizer = try FolderTokenizer(folder: folder, notes: &notes)
        let fits = tokenizer.count <= vocabularySize
        return Packaging(
            name: options.name ?? "random weights", creator: Version.creator,
            source: "random, seed \(seed), shape of \(lastComponent(path))", licence: options.licence,
            chatFormat: fits ? tokenizer.chatFormat?.rawValue : nil, pageSettings: settings,
            data: fits ? tokenizer.segments : [])
    case .folder(let path):
        let tokenizer = try FolderTokenizer(folder: path, notes: &notes)
        return Packaging(
            name: options.name ?? lastComponent(path), creator: Version.creator, source: lastComponent(path),
            licence: options.licence, chatFormat: tokenizer.chatFormat?.rawValue, pageSettings: settings,
            data: tokenizer.segments)
    }
}

/// The tokenizer and the chat format of a HuggingFace folder; a folder may lack either.
private struct FolderTokenizer {
    private let bytes: [UInt8]?
    /// Tokens; 0 where there is no tokenizer.
    let count: Int
    let chatFormat: ChatFormat?

    /// The data segments of a model file.
    var segments: [(name: String, bytes: [UInt8])] { bytes.map { [(ModelSegment.tokenizer, $0)] } ?? [] }

    init(folder: String, notes: inout [String]) throws(ThimbleError) {
        let path = folder + "/tokenizer.json"
        guard FileSystem.exists(path) else {
            notes.append("the folder has no tokenizer.json: the model takes token ids only")
            (bytes, count, chatFormat) = (nil, 0, nil)
            return
        }
        let json = try readFile(path, limit: TokenizerLimits.maxJSONBytes)
        do throws(TokenizerError) {
            let tokenizer = try Tokenizer(json: json)
            (bytes, count) = (tokenizer.serialized(), tokenizer.count)
        } catch { throw ThimbleError(.unsupported, "\(path): \(error)") }
        guard let template = try Self.template(folder) else {
            notes.append("the folder has no chat template: write prompts with --raw")
            chatFormat = nil
            return
        }
        chatFormat = ChatFormat.recognize(template: template)
        if chatFormat == nil { notes.append("the chat template is not known here: write prompts with --raw") }
    }

    /// chat_template.jinja, else the `chat_template` of chat_template.json or tokenizer_config.json.
    private static func template(_ folder: String) throws(ThimbleError) -> String? {
        let jinja = folder + "/chat_template.jinja"
        if FileSystem.exists(jinja) {
            return String(
                decoding: try readFile(jinja, limit: TokenizerLimits.maxTemplateBytes), as: UTF8.self)
        }
        for name in ["chat_template.json", "tokenizer_config.json"] {
            let path = folder + "/" + name
            guard FileSystem.exists(path) else { continue }
            let text = try readFile(path, limit: TokenizerLimits.maxConfigurationBytes)
            if case .object(let members) = try? JSONValue(parsing: text),
                case .string(let template) = members["chat_template"]
            {
                return template
            }
        }
        return nil
    }
}

private func lastComponent(_ path: String) -> String {
    path.split(separator: "/").last.map(String.init) ?? path
}

/// The bytes of a regular file of at most `limit` bytes.
func readFile(_ path: String, limit: Int) throws(ThimbleError) -> [UInt8] {
    do throws(InputFault) {
        let file = try InputFile(path: path)
        if file.byteCount <= limit { return try file.bytes(at: 0, count: file.byteCount) }
    } catch {
        let code: ThimbleError.Code =
            switch error {
            case .outOfMemory: .outOfMemory
            case .system(operation: "read", _): .io
            default: .inputMissing
            }
        throw ThimbleError(
            code, "\(path): it cannot be read: \(error.detail)", systemError: error.systemError)
    }
    throw ThimbleError(.corrupt, "\(path): larger than \(limit) bytes, which no such file should be")
}
