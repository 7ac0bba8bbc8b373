//! What to expect of a plan: how fast it will run on this machine, and what more memory would buy.

internal import Documents
public import Memory
internal import ModelFile
internal import Models
internal import Tensors

/// What is planned for.
public enum PlanSubject: Sendable {
    /// A model file.
    case file(String)
    /// A config.json, and how its model would be converted.
    case configuration(String, ConversionOptions)

    /// Where it lies.
    var path: String {
        switch self {
        case .file(let path), .configuration(let path, _): path
        }
    }
}

/// What a plan is predicted with and for.
public struct OutlookOptions: Sendable {
    /// Whether what was measured of this machine counts, before what is stated: not where a plan is for
    /// another machine.
    public var isForThisMachine = true
    /// What is stated, for what was not measured.
    public var stated = Budget.Machine()
    /// Tokens of the prompt whose first token is predicted.
    public var promptTokens = 512

    public init() {}
}

/// A plan, and what to expect of it.
public struct PlanOutlook: Sendable {
    public let plan: Plan
    /// Threads that it is for.
    public let threadCount: Int
    /// Pages of keys and values that its context takes.
    public let pageCount: Int
    /// Nil where a GPU holds all weights.
    public let prediction: PlanPrediction?
    /// The same with a limit that is so many bytes higher; nil where nothing limits the plan, or nothing is
    /// predicted.
    public let withMore: (byteCount: Int, contextLength: Int, prediction: PlanPrediction)?
}

extension Engine {
    /// The plan for a model as the engine makes it, and what to expect of it.
    ///
    /// Throws what `plan` does, and `invalidArgument` for a number of prompt tokens that cannot be.
    public static func outlook(
        of subject: PlanSubject, options: EngineOptions = EngineOptions(),
        _ outlook: OutlookOptions = OutlookOptions()
    ) throws(ThimbleError) -> PlanOutlook {
        guard (1...mostPromptTokens).contains(outlook.promptTokens) else {
            throw ThimbleError(
                .invalidArgument,
                "a prompt of \(outlook.promptTokens) tokens; it must be in 1...\(mostPromptTokens)")
        }
        // First of all: what else this process does counts against its limit.
        let plan = try plan(for: subject, options)
        let (model, settings) = try outline(of: subject)
        let threads = try threadCount(options)
        let work = ModelWork(model, kvType: options.kvType)
        let rates = MachineRates(
            measured: outlook.isForThisMachine ? MachineProfile.stored() : nil, stated: outlook.stated,
            threadCount: threads, disk: diskDevice(of: subject.path))
        let pageTokens = try pageTokens(of: model.configuration, settings, options, subject.path)
        func predict(_ plan: Plan) -> PlanPrediction? {
            plan.prediction(of: work, on: rates, promptTokens: outlook.promptTokens, pageTokens: pageTokens)
        }
        let prediction = predict(plan)
        var withMore: (Int, Int, PlanPrediction)?
        if prediction != nil, let step = step(options.limits) {
            var options = options
            options.limits.host = options.limits.host.map { $0 + step }
            options.limits.total = options.limits.total.map { $0 + step }
            let more = try Self.plan(for: subject, options)
            withMore = predict(more).map { (step, more.contextLength, $0) }
        }
        let pages = (plan.contextLength + options.pageTokens - 1) / options.pageTokens
        return PlanOutlook(
            plan: plan, threadCount: threads, pageCount: pages, prediction: prediction, withMore: withMore)
    }

    private static func plan(for subject: PlanSubject, _ options: EngineOptions) throws(ThimbleError) -> Plan
    {
        switch subject {
        case .file(let path): try plan(modelPath: path, options: options)
        case .configuration(let path, let conversion):
            try plan(configurationPath: path, conversion, options: options)
        }
    }

    /// What the model is, and how pages are drawn for it.
    private static func outline(
        of subject: PlanSubject
    ) throws(ThimbleError) -> (model: ModelOutline, pages: PageSettings) {
        switch subject {
        case .file(let path):
            let file = try translating { () throws(ModelFileError) in try ModelFile(path: path) }
            return (ModelOutline(file), try pageSettings(of: file))
        case .configuration(let path, let conversion):
            return (try ModelOutline(configurationPath: path, conversion), PageSettings())
        }
    }

    /// The longest prompt that is predicted, in tokens.
    private static let mostPromptTokens = 1 << 24

    /// By how much a limit is raised to see what that would buy: a small one by less. Bytes; nil where there
    /// is no limit.
    private static func step(_ limits: LedgerLimits) -> Int? {
        [limits.host, limits.total].compactMap { $0 }.min().map { $0 < 2 << 30 ? 256 << 20 : 1 << 30 }
    }

    /// Visual tokens of a whole page; 1 for a text-only model.
    private static func pageTokens(
        of configuration: ModelConfiguration, _ settings: PageSettings, _ options: EngineOptions,
        _ path: String
    ) throws(ThimbleError) -> Int {
        guard let vision = configuration.vision,
            let preprocessor = try preprocessor(of: configuration, imageTokens: options.imageTokens, path)
        else { return 1 }
        func pixels(_ points: Double) -> Int { max(1, Int((points * settings.dpi / 72).rounded())) }
        let cut: PatchCut
        do {
            cut = try preprocessor.cut(
                width: pixels(settings.pageSize.width * settings.horizontalScale),
                height: pixels(settings.pageSize.height))
        } catch { throw ThimbleError(.corrupt, "\(path): page settings: \(error)") }
        return max(1, cut.patchCount / (vision.mergeSize * vision.mergeSize))
    }
}
