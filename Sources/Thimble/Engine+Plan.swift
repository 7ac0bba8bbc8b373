//! Plans for a model: how it will run within the limits that the user sets.

internal import CPUBackend
public import Memory
internal import ModelFile
internal import Models
internal import Tensors

extension Engine {
    /// What this process may grow by beside what it draws from its ledger: code that is read when it first
    /// runs, stacks, a request's small things. Bytes.
    private static let growth = 12 << 20

    /// The plan for a model on the CPU, without loading it.
    ///
    /// Throws `budgetExceeded`, with the shortfall and settings that would fit, where there is none.
    public static func plan(
        modelPath: String, options: EngineOptions = EngineOptions()
    ) throws(ThimbleError) -> Plan {
        let file = try translating { () throws(ModelFileError) in try ModelFile(path: modelPath) }
        // As an engine holds it when it makes its plan.
        let tokenizer = try tokenizer(of: file)
        let backend = CPUBackend(threadCount: try threadCount(options))
        let plan = try plan(options, for: file, on: backend)
        withExtendedLifetime(tokenizer) {}
        return plan
    }

    /// The plan for `file` on a backend whose memory is the host's.
    static func plan(
        _ options: EngineOptions, for file: ModelFile, on backend: CPUBackend
    ) throws(ThimbleError) -> Plan {
        try translating { () throws(ModelFileError) in try file.checkSchema() }
        try checkFeatureSizes(options)
        var request = PlanRequest()
        request.limits = options.limits
        request.contextLength = try contextLength(options, of: file)
        request.chunkTokens = options.chunkTokens
        request.imageTokens = options.imageTokens
        request.featureByteCount = options.featureMemory
        let planner = Planner(sizes(of: file, on: backend))
        do { return try planner.plan(request) } catch { throw ThimbleError(error, file.path) }
    }

    private static func sizes(of file: ModelFile, on backend: CPUBackend) -> ModelSizes {
        let text = file.configuration.text
        let image = file.configuration.vision.map { vision in
            let side = vision.patchSize * vision.mergeSize
            return (tokenBytes: text.hiddenSize * 4, pixelBytes: side * side * 3)
        }
        let unlimited = ActivationPlan(file, contextLength: text.maximumPositions, on: backend)
        let merge = file.configuration.vision?.mergeSize ?? 1
        return ModelSizes(
            inventory: WeightInventory(file), maximumContext: text.maximumPositions,
            maximumImageTokens: unlimited.patchCapacity / (merge * merge),
            program: (ProcessMemory.resident ?? 0) + growth,
            reading: SegmentLoader.scratchByteCount(threadCount: backend.threadCount),
            keysAndValues: { KVPool.byteCount(for: text, tokenCapacity: $0) },
            activations: { context, limits in
                ActivationPlan(file, contextLength: context, limits, on: backend).arena.byteCount
            },
            featureTokenBytes: image?.tokenBytes ?? 0, pageTokenBytes: image?.pixelBytes ?? 0)
    }
}

extension ThimbleError {
    /// What a plan is refused for, and what would make one.
    init(_ refusal: PlanRefusal, _ path: String) {
        var mends = ["--\(refusal.place.rawValue)-memory \(refusal.needed.inMebibytes)"]
        if let context = refusal.contextLength { mends.append("--context \(context)") }
        if let tokens = refusal.imageTokens { mends.append("--image-tokens \(tokens)") }
        self.init(
            .budgetExceeded,
            "\(path): \(refusal.limit) bytes of \(refusal.place.rawValue) memory are "
                + "\(refusal.shortfall) too few; give " + mends.joined(separator: ", or "))
    }
}

extension Int {
    /// A multiple of a MiB as a flag takes it.
    fileprivate var inMebibytes: String { "\(self >> 20)MiB" }
}
