//! A loaded model: opened once, shared by its sessions.

internal import CPUBackend
public import Documents
internal import HostSystem
public import Memory
public import ModelFile
internal import Models
public import Tensors
internal import Tokenizers

/// One model in memory, with its tokenizer and chat format.
///
/// Sessions of one engine compute on the same device and take turns: an engine and its sessions belong to one
/// thread at a time.
public final class Engine {
    public let path: String
    let file: ModelFile
    let model: Glm4v
    let tokenizer: Tokenizer?
    let chatFormat: ChatFormat?
    let preprocessor: ImagePreprocessor?
    let pool: KVPool
    /// Decodes on the device; nil where the device leaves that to the host.
    let stepDecoder: StepDecoder?
    /// The longest a session may grow, in tokens.
    public let contextLength: Int
    /// Seconds from opening the file to being ready.
    public let loadSeconds: Double
    /// How the model runs within its limits.
    public let plan: Plan
    /// When generating waits for the machine to cool; nil for never.
    let governor: ThermalGovernor?
    /// Every large piece of memory that this engine and its sessions hold.
    public let ledger: Ledger
    let opened: OpenDevice
    let imageTokens: Int?
    let featureAllowance: FeatureAllowance
    /// What is kept of images; nil before the first one comes.
    var openedFeatures: FeatureCache?
    /// Images that wait to go through the vision tower together.
    var batch: ImageBatch
    /// The device that this engine runs on.
    public var device: DeviceDescription { opened.description }
    /// How keys and values are stored.
    public var kvType: KVType { pool.type }
    var backend: any Backend { opened.backend }

    /// Opens and reads a model file. `progress` hears the share that is read.
    public convenience init(
        modelPath: String, options: EngineOptions = EngineOptions(), progress: (Double) -> Void = { _ in }
    ) throws(ThimbleError) {
        try self.init(modelPath: modelPath, options: options, vulkan: VulkanAccess(), progress: progress)
    }

    init(
        modelPath: String, options: EngineOptions, vulkan: VulkanAccess, ledger: Ledger? = nil,
        progress: (Double) -> Void = { _ in }
    ) throws(ThimbleError) {
        let start = Moment.now
        path = modelPath
        let threads = try Self.threadCount(options)
        try Self.checkSpill(options)
        let file = try translating { () throws(ModelFileError) in try ModelFile(path: modelPath) }
        self.file = file
        try translating { () throws(ModelFileError) in try file.checkSchema() }
        tokenizer = try Self.tokenizer(of: file)
        chatFormat = file.manifest.model.chatFormat.flatMap { ChatFormat(rawValue: $0) }
        preprocessor = try Self.preprocessor(
            of: file.configuration, imageTokens: options.imageTokens, modelPath)
        governor = options.governor
        let ledger = ledger ?? Ledger(options.limits)
        self.ledger = ledger
        let (opened, plan) = try Self.openAndPlan(
            options, threadCount: threads, for: ModelOutline(file), modelPath, ledger, vulkan)
        self.opened = opened
        self.plan = plan
        let backend = opened.backend
        contextLength = plan.contextLength
        let contextLength = self.contextLength
        try Self.draw(plan, from: ledger, modelPath)
        let parts = plan.parts.map { part in
            PartPlan(
                part.share, part.residency, on: part.place == .host ? opened.host : backend,
                mostFill: part.mostFill)
        }
        pool = try Self.pool(options, tokenCapacity: contextLength, of: file, parts)
        model = try translating(modelPath) { () throws(ModelError) in
            try Glm4v(
                file: file, contextLength: contextLength, activations: plan.activations, parts: parts,
                threadCount: threads, progress: progress)
        }
        let (model, pool) = (self.model, self.pool)
        batch = model.makeBatch()
        if plan.hasPassage {
            let rows = Self.passageRows(of: plan, ModelOutline(file), modelPath, options, threads)
            try translating(modelPath) { () throws(ModelError) in
                try model.openPassage(of: file, pool, leastRows: rows)
            }
        }
        featureAllowance = FeatureAllowance(
            tokens: max(1, plan.featureTokens), diskByteCount: options.featureDisk ?? 0,
            folder: options.featureFolder)
        imageTokens = options.imageTokens
        stepDecoder = try translating(modelPath) { () throws(ModelError) in
            try StepDecoder(model, pool, contextLength: contextLength)
        }
        // A fault of what is only queued belongs here, not to the first answer.
        try translating(modelPath) { () throws(BackendError) in try backend.synchronize() }
        opened.savePipelines()
        loadSeconds = start.duration(to: Moment.now).seconds
    }

    deinit { opened.savePipelines() }

    /// The threads that compute. Throws `invalidArgument` for a number that cannot be.
    static func threadCount(_ options: EngineOptions) throws(ThimbleError) -> Int {
        let threads = options.threadCount ?? CoreCount.available
        guard (1...1024).contains(threads) else {
            throw ThimbleError(.invalidArgument, "\(threads) threads; it must be in 1...1024")
        }
        return threads
    }

    /// Throws `invalidArgument` for limits that cannot be.
    private static func checkSpill(_ options: EngineOptions) throws(ThimbleError) {
        let limits = [options.spill?.byteLimit, options.spill?.writtenADay].compactMap { $0 }
        for limit in limits where limit < 0 {
            throw ThimbleError(
                .invalidArgument, "\(limit) bytes for keys and values on disk; it must be 0 or more")
        }
    }

    /// The context asked for, which the model must take; nil where none is.
    static func contextLength(
        _ options: EngineOptions, of configuration: ModelConfiguration, _ path: String
    ) throws(ThimbleError) -> Int? {
        let longest = configuration.text.maximumPositions
        guard let length = options.contextLength else { return nil }
        guard (1...longest).contains(length) else {
            throw ThimbleError(
                .invalidArgument, "a context of \(length) tokens; \(path) takes 1...\(longest)")
        }
        return length
    }

    /// Draws what is held beside the backend's memory.
    private static func draw(_ plan: Plan, from ledger: Ledger, _ path: String) throws(ThimbleError) {
        try translating(path) { () throws(BackendError) in
            for item in plan.items where Plan.heldByProcess.contains(item.name) {
                try ledger.draw(item.byteCount, of: item.place, for: item.name)
            }
        }
    }

    private static func pool(
        _ options: EngineOptions, tokenCapacity: Int, of file: ModelFile, _ parts: [PartPlan]
    ) throws(ThimbleError) -> KVPool {
        let text = file.configuration.text
        let pool: KVPool
        do {
            pool = try KVPool(
                for: text, type: options.kvType, parts: parts, tokenCapacity: tokenCapacity,
                pageTokens: options.pageTokens)
        } catch {
            guard parts.allSatisfy({ $0.backend is CPUBackend }) else {
                return try translating(file.path) { () throws(ModelError) in throw error }
            }
            throw ThimbleError(.outOfMemory, "\(file.path): \(error); give --context fewer tokens")
        }
        guard let spill = options.spill else { return pool }
        // What it takes of memory is an item of the plan, which is drawn by now.
        try translating(file.path) { () throws(ModelError) in try pool.spill(to: spill) }
        return pool
    }

    /// The tokenizer in the file; nil where there is none.
    static func tokenizer(of file: ModelFile) throws(ThimbleError) -> Tokenizer? {
        guard file.segment(named: ModelSegment.tokenizer) != nil else { return nil }
        let bytes = try translating { () throws(ModelFileError) in
            try file.data(named: ModelSegment.tokenizer)
        }
        let tokenizer: Tokenizer
        do { tokenizer = try Tokenizer(serialized: bytes) } catch {
            throw ThimbleError(.corrupt, "\(file.path): tokenizer: \(error)")
        }
        let size = file.configuration.text.vocabularySize
        guard tokenizer.count <= size else {
            throw ThimbleError(
                .corrupt, "\(file.path): the tokenizer has \(tokenizer.count) tokens, the model \(size)")
        }
        return tokenizer
    }

    static func preprocessor(
        of configuration: ModelConfiguration, imageTokens: Int?, _ path: String
    ) throws(ThimbleError) -> ImagePreprocessor? {
        guard let vision = configuration.vision, var image = configuration.image else { return nil }
        if let imageTokens {
            let side = vision.patchSize * vision.mergeSize
            let pixels = imageTokens * side * side * vision.temporalPatchSize
            image.maximumPixels = min(image.maximumPixels, pixels)
            image.minimumPixels = min(image.minimumPixels, image.maximumPixels)
        }
        do { return try ImagePreprocessor(settings: image, vision: vision) } catch {
            throw ThimbleError(.corrupt, "\(path): \(error)")
        }
    }

    /// A new, empty conversation.
    public func makeSession() -> Session { Session(engine: self) }

    /// Whether the model takes images.
    public var seesImages: Bool { preprocessor != nil }

    /// The model's name, configuration and origin.
    public var description: ModelDescription { file.manifest.model }

    public var name: String { description.name }
    /// Token ids are below it.
    public var vocabularySize: Int { file.configuration.text.vocabularySize }
    /// Of the decoder.
    public var layerCount: Int { file.configuration.text.layerCount }
    /// Whether the model has a tokenizer and a chat format that is known, so that a session can answer.
    public var canConverse: Bool { tokenizer != nil && chatFormat != nil }

    /// Sampling as the model's authors ask for it.
    public var defaultSampling: SamplingOptions {
        SamplingOptions(file.configuration.generation)
    }

    /// How text is drawn on pages for this model: the settings in its file, else Glyph's.
    public func pageSettings() throws(ThimbleError) -> PageSettings { try Self.pageSettings(of: file) }

    static func pageSettings(of file: ModelFile) throws(ThimbleError) -> PageSettings {
        guard let json = file.manifest.model.pageSettings else { return PageSettings() }
        do { return try PageSettings(json: Array(json.utf8)) } catch {
            throw ThimbleError(.corrupt, "\(file.path): page settings: \(error)")
        }
    }

    /// The ids of a text; special tokens' spellings are ordinary text.
    public func tokenize(_ text: String) throws(ThimbleError) -> [Int32] {
        try requireTokenizer().encode(text)
    }

    /// The text of ids.
    public func detokenize(_ tokens: [Int32], skipsSpecialTokens: Bool = false) throws(ThimbleError) -> String
    {
        let tokenizer = try requireTokenizer()
        for token in tokens { try checkToken(token) }
        return tokenizer.decode(tokens, skippingSpecialTokens: skipsSpecialTokens)
    }

    func requireTokenizer() throws(ThimbleError) -> Tokenizer {
        guard let tokenizer else { throw .noTokenizer(path) }
        return tokenizer
    }

    func checkToken(_ token: Int32) throws(ThimbleError) {
        let size = file.configuration.text.vocabularySize
        guard token >= 0, token < size else {
            throw ThimbleError(.invalidArgument, "token \(token) is out of range: the vocabulary has \(size)")
        }
    }
}

/// Names of the data segments of a model file.
enum ModelSegment {
    static let tokenizer = "tokenizer"
}
