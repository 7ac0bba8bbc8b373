//! Plans for a model: how it will run within the limits that the user sets.

internal import CPUBackend
public import Memory
internal import ModelFile
internal import Models
internal import Tensors
internal import VulkanBackend

extension Engine {
    /// What this process may grow by beside what it draws from its ledger: code that is read when it first
    /// runs, stacks, a request's small things. Bytes.
    private static let growth = 12 << 20

    /// The plan for a model on the device of the options, which is opened; the model is not loaded.
    ///
    /// Throws `budgetExceeded`, with the shortfall and settings that would fit, where there is none.
    public static func plan(
        modelPath: String, options: EngineOptions = EngineOptions()
    ) throws(ThimbleError) -> Plan {
        let file = try translating { () throws(ModelFileError) in try ModelFile(path: modelPath) }
        // As an engine holds it when it makes its plan.
        let tokenizer = try tokenizer(of: file)
        try translating { () throws(ModelFileError) in try file.checkSchema() }
        let (_, plan) = try openAndPlan(
            options, threadCount: try threadCount(options), for: ModelOutline(file), modelPath,
            Ledger(options.limits), VulkanAccess())
        withExtendedLifetime(tokenizer) {}
        return plan
    }

    /// The plan for the model of a config.json, converted as the options of a conversion say. What its
    /// tokenizer takes is not part of it.
    ///
    /// Throws as `plan(modelPath:options:)` does.
    public static func plan(
        configurationPath: String, _ conversion: ConversionOptions, options: EngineOptions = EngineOptions()
    ) throws(ThimbleError) -> Plan {
        let outline = try ModelOutline(configurationPath: configurationPath, conversion)
        return try openAndPlan(
            options, threadCount: try threadCount(options), for: outline, configurationPath,
            Ledger(options.limits), VulkanAccess()
        ).plan
    }

    /// Opens the device of the options and plans for it; `automatic` goes to the CPU where a GPU has not the
    /// memory. Throws `noDevice`, `outOfMemory` and `budgetExceeded`; errors name the model by `path`.
    /// Precondition: the model has all tensors of its configuration.
    static func openAndPlan(
        _ options: EngineOptions, threadCount: Int, for model: ModelOutline, _ path: String, _ ledger: Ledger,
        _ vulkan: VulkanAccess
    ) throws(ThimbleError) -> (device: OpenDevice, plan: Plan) {
        try checkFeatureSizes(options)
        try checkPageTokens(options)
        let opened = try OpenDevice(options.device, threadCount: threadCount, ledger, vulkan: vulkan)
        (opened.backend as? VulkanBackend)?.reachesHost = options.reachesHost
        var onCPU = options
        onCPU.device = .cpu
        let plan: Plan
        do throws(ThimbleError) { plan = try self.plan(options, for: model, path, on: opened) } catch {
            guard options.device == .automatic, opened.availableByteCount != nil,
                error.code == .budgetExceeded || error.code == .outOfMemory
            else { throw error }
            return try openAndPlan(onCPU, threadCount: threadCount, for: model, path, ledger, vulkan)
        }
        if options.device == .automatic, options.deviceLayerCount == nil, plan.parts.count > 1,
            let alone = try? openAndPlan(
                onCPU, threadCount: threadCount, for: model, path, ledger, vulkan),
            isFaster(alone.plan, than: plan, of: model, path, options, threadCount)
        {
            return alone
        }
        return (opened, plan)
    }

    /// Throws `invalidArgument` for pages of a size that none have.
    private static func checkPageTokens(_ options: EngineOptions) throws(ThimbleError) {
        let choices = Budget.KV.pageTokenChoices
        guard choices.contains(options.pageTokens) else {
            throw ThimbleError(
                .invalidArgument,
                "pages of \(options.pageTokens) tokens; give "
                    + choices.map { String($0) }.joined(separator: ", "))
        }
    }

    /// Whether a plan decodes faster than another one, as far as the machine's rates tell.
    private static func isFaster(
        _ plan: Plan, than other: Plan, of model: ModelOutline, _ path: String, _ options: EngineOptions,
        _ threadCount: Int
    ) -> Bool {
        let (work, rates) = (ModelWork(model, kvType: options.kvType), rates(options, threadCount, path))
        func seconds(_ plan: Plan) -> Double {
            plan.prediction(of: work, on: rates, promptTokens: 1, pageTokens: 1)?.token.seconds ?? 0
        }
        return seconds(plan) < seconds(other)
    }

    private static func rates(
        _ options: EngineOptions, _ threadCount: Int, _ path: String
    ) -> MachineRates {
        MachineRates(
            measured: MachineProfile.stored(), stated: options.statedRates, threadCount: threadCount,
            disk: diskDevice(of: path))
    }

    private static func plan(
        _ options: EngineOptions, for model: ModelOutline, _ path: String, on device: OpenDevice
    ) throws(ThimbleError) -> Plan {
        var request = PlanRequest()
        request.limits = options.limits
        request.contextLength = try contextLength(options, of: model.configuration, path)
        request.contextCeiling = options.contextCeiling
        request.chunkTokens = options.chunkTokens
        request.imageTokens = options.imageTokens
        request.mayStream = options.mayStream
        request.mayOffload = options.mayOffload
        request.deviceLayerCount = options.deviceLayerCount
        request.featureByteCount = options.featureMemory
        if let available = device.availableByteCount {
            request.limits.device = min(options.limits.device ?? .max, available)
        } else if options.limits.host ?? options.limits.total == nil {
            try requireMemory(forWeightsOf: model, path)
        }
        let planner = Planner(try sizes(of: model, options, on: device))
        let plan: Plan
        do { plan = try planner.plan(request) } catch {
            throw ThimbleError(error, path, device.description.name, options.limits)
        }
        if plan.parts.count > 1, options.limits.host ?? options.limits.total == nil {
            try requireMemory(for: plan, path)
        }
        return plan
    }

    /// The fewest rows for which bringing the processor's layers to the GPU takes less than computing them.
    static func passageRows(
        of plan: Plan, _ model: ModelOutline, _ path: String, _ options: EngineOptions, _ threadCount: Int
    ) -> Int {
        options.passageRows
            ?? plan.rowsWorthBringing(of: ModelWork(model), on: rates(options, threadCount, path))
    }

    /// What the process holds now. Throws `io` where the system does not tell and a limit depends on it.
    private static func program(_ options: EngineOptions) throws(ThimbleError) -> Int {
        if let stated = options.programByteCount { return stated }
        guard let resident = ProcessMemory.resident else {
            if options.limits == LedgerLimits() { return 0 }
            throw ThimbleError(.io, "the system does not tell what memory this process holds; mount /proc")
        }
        // The same run holds a little more or less another time.
        let step = 1 << 20
        return (resident + step - 1) / step * step
    }

    private static func sizes(
        of model: ModelOutline, _ options: EngineOptions, on device: OpenDevice
    ) throws(ThimbleError) -> ModelSizes {
        let text = model.configuration.text
        let backend = device.backend
        let image = model.configuration.vision.map { vision in
            let side = vision.patchSize * vision.mergeSize
            return (tokenBytes: text.hiddenSize * 4, pixelBytes: side * side * 3)
        }
        let unlimited = ActivationPlan(model, contextLength: text.maximumPositions, on: backend)
        let merge = model.configuration.vision?.mergeSize ?? 1
        let isGPU = device.availableByteCount != nil
        let reading = SegmentLoader.scratchByteCount(threadCount: device.description.threadCount)
        let largestSegment = model.segments.map(\.entry.imageByteCount).max() ?? 0
        return ModelSizes(
            inventory: WeightInventory(model), layerCount: text.layerCount, place: isGPU ? .device : .host,
            maximumContext: text.maximumPositions,
            maximumImageTokens: unlimited.patchCapacity / (merge * merge),
            program: try program(options), reserve: growth,
            reading: { mostFill in
                reading
                    + (isGPU ? VulkanBackend.hostByteCount(largestFill: mostFill ?? largestSegment) : 0)
            },
            spilling: options.spill == nil
                ? 0
                : KVPool.spillByteCount(
                    for: text, type: options.kvType, pageTokens: options.pageTokens) ?? 0,
            pageTokens: options.pageTokens,
            keysAndValues: { context, layerCount in
                KVPool.byteCount(
                    for: text, type: options.kvType, layerCount: layerCount, tokenCapacity: context,
                    pageTokens: options.pageTokens)
            },
            activations: { context, limits, share, place in
                ActivationPlan(
                    model, of: share, contextLength: context, limits,
                    on: place == .host ? device.host : backend
                ).arena.byteCount
            },
            normBytes: text.hiddenSize * 4, featureTokenBytes: image?.tokenBytes ?? 0,
            pageTokenBytes: image?.pixelBytes ?? 0)
    }
}

extension ThimbleError {
    /// What a plan is refused for, and what would make one.
    init(_ refusal: PlanRefusal, _ path: String, _ device: String, _ limits: LedgerLimits) {
        var mends: [String] = refusal.place == .device ? ["--device cpu"] : []
        // What a GPU has left is no limit of the user's, and no flag makes it more.
        if refusal.place == .host || limits.device != nil {
            mends.append("--\(refusal.place.rawValue)-memory \(refusal.needed.inMebibytes)")
        }
        let other: MemoryPlace = refusal.place == .device ? .host : .device
        if let needed = refusal.otherNeeded, other == .host || limits.device != nil {
            let mend = "--\(other.rawValue)-memory \(needed.inMebibytes)"
            if !refusal.needsBoth {
                mends.append(mend)
            } else if limits.device != nil, let last = mends.popLast() {
                mends.append("\(last) with \(mend)")
            }
        }
        if let layers = refusal.deviceLayerCount { mends.append("--gpu-layers \(layers)") }
        if let context = refusal.contextLength { mends.append("--context \(context)") }
        if let tokens = refusal.imageTokens { mends.append("--image-tokens \(tokens)") }
        self.init(
            .budgetExceeded,
            "\(path): \(refusal.limit) bytes of \(refusal.place.rawValue) memory are "
                + "\(refusal.shortfall) too few on \(device); give " + mends.joined(separator: ", or "))
    }
}

extension Int {
    /// A multiple of a MiB as a flag takes it.
    fileprivate var inMebibytes: String { "\(self >> 20)MiB" }
}
