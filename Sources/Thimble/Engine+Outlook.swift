//! What to expect of a plan: how fast it will run on this machine, and what more memory would buy.

internal import Documents
public import Memory
internal import ModelFile
internal import Models
internal import Tensors

/// What a plan is predicted with and for.
public struct OutlookOptions: Sendable {
    /// What was measured; nil where nothing was, or the plan is for another machine.
    public var measured = MachineProfile.stored()
    /// What is stated, for what was not measured.
    public var stated = Budget.Machine()
    /// Tokens of the prompt whose first token is predicted.
    public var promptTokens = 512

    public init() {}
}

/// A plan, and what to expect of it.
public struct PlanOutlook: Sendable {
    public let plan: Plan
    /// Nil where a GPU holds the weights.
    public let prediction: PlanPrediction?
    /// The same with a higher limit; nil where nothing limits the plan, or nothing is predicted.
    public let withMore: (byteCount: Int, prediction: PlanPrediction)?
}

extension Engine {
    /// The plan for a model as `plan(modelPath:options:)` makes it, and what to expect of it.
    ///
    /// Throws `invalidArgument` for a number of prompt tokens that is not positive.
    public static func outlook(
        modelPath: String, options: EngineOptions = EngineOptions(),
        _ outlook: OutlookOptions = OutlookOptions()
    ) throws(ThimbleError) -> PlanOutlook {
        guard (1...Self.mostPromptTokens).contains(outlook.promptTokens) else {
            throw ThimbleError(
                .invalidArgument,
                "a prompt of \(outlook.promptTokens) tokens; it must be in 1...\(Self.mostPromptTokens)")
        }
        let plan = try plan(modelPath: modelPath, options: options)
        let file = try translating { () throws(ModelFileError) in try ModelFile(path: modelPath) }
        let work = ModelWork(file)
        let rates = MachineRates(
            measured: outlook.measured, stated: outlook.stated, threadCount: try threadCount(options),
            disk: diskDevice(of: modelPath))
        let pageTokens = try pageTokens(of: file, options)
        func predict(_ plan: Plan) -> PlanPrediction? {
            plan.prediction(
                of: work, on: rates, promptTokens: outlook.promptTokens, pageTokens: pageTokens)
        }
        let prediction = predict(plan)
        var withMore: (Int, PlanPrediction)?
        if prediction != nil, let step = step(options.limits) {
            var options = options
            options.limits.host = options.limits.host.map { $0 + step }
            options.limits.total = options.limits.total.map { $0 + step }
            withMore = try predict(Self.plan(modelPath: modelPath, options: options)).map { (step, $0) }
        }
        return PlanOutlook(plan: plan, prediction: prediction, withMore: withMore)
    }

    /// The longest prompt that is predicted.
    private static let mostPromptTokens = 1 << 24

    /// By how much a limit is raised to see what that would buy: a small one by less. Bytes; nil where there is
    /// no limit.
    private static func step(_ limits: LedgerLimits) -> Int? {
        [limits.host, limits.total].compactMap { $0 }.min().map { $0 < 2 << 30 ? 256 << 20 : 1 << 30 }
    }

    /// Visual tokens of a whole page, drawn with the model's settings; 1 for a text-only model.
    private static func pageTokens(
        of file: ModelFile, _ options: EngineOptions
    ) throws(ThimbleError) -> Int {
        guard let preprocessor = try preprocessor(of: file, imageTokens: options.imageTokens),
            let vision = file.configuration.vision
        else { return 1 }
        let settings = try pageSettings(of: file)
        func pixels(_ points: Double) -> Int { max(1, Int((points * settings.dpi / 72).rounded())) }
        let cut: PatchCut
        do {
            cut = try preprocessor.cut(
                width: pixels(settings.pageSize.width * settings.horizontalScale),
                height: pixels(settings.pageSize.height))
        } catch { throw ThimbleError(.corrupt, "\(file.path): page settings: \(error)") }
        return max(1, cut.grid.count / (vision.mergeSize * vision.mergeSize))
    }
}
