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
        let (_, plan) = try openAndPlan(
            options, threadCount: try threadCount(options), for: file, Ledger(options.limits), VulkanAccess())
        withExtendedLifetime(tokenizer) {}
        return plan
    }

    /// Opens the device of the options and plans for it; `automatic` goes to the CPU where a GPU has not the
    /// memory. Throws `noDevice`, `outOfMemory`, `budgetExceeded`, and `corrupt` where the file lacks
    /// tensors.
    static func openAndPlan(
        _ options: EngineOptions, threadCount: Int, for file: ModelFile, _ ledger: Ledger,
        _ vulkan: VulkanAccess
    ) throws(ThimbleError) -> (device: OpenDevice, plan: Plan) {
        try translating { () throws(ModelFileError) in try file.checkSchema() }
        try checkFeatureSizes(options)
        let opened = try OpenDevice(options.device, threadCount: threadCount, ledger, vulkan: vulkan)
        do throws(ThimbleError) {
            return (opened, try plan(options, for: file, on: opened))
        } catch {
            guard options.device == .automatic, opened.availableByteCount != nil,
                error.code == .budgetExceeded || error.code == .outOfMemory
            else { throw error }
            var options = options
            options.device = .cpu
            return try openAndPlan(options, threadCount: threadCount, for: file, ledger, vulkan)
        }
    }

    private static func plan(
        _ options: EngineOptions, for file: ModelFile, on device: OpenDevice
    ) throws(ThimbleError) -> Plan {
        var request = PlanRequest()
        request.limits = options.limits
        request.contextLength = try contextLength(options, of: file)
        request.contextCeiling = options.contextCeiling
        request.chunkTokens = options.chunkTokens
        request.imageTokens = options.imageTokens
        request.featureByteCount = options.featureMemory
        if let available = device.availableByteCount {
            request.limits.device = min(options.limits.device ?? .max, available)
        } else if options.limits.host ?? options.limits.total == nil {
            try requireMemory(forWeightsOf: file)
        }
        let planner = Planner(sizes(of: file, on: device))
        do { return try planner.plan(request) } catch { throw ThimbleError(error, file.path) }
    }

    private static func sizes(of file: ModelFile, on device: OpenDevice) -> ModelSizes {
        let text = file.configuration.text
        let backend = device.backend
        let image = file.configuration.vision.map { vision in
            let side = vision.patchSize * vision.mergeSize
            return (tokenBytes: text.hiddenSize * 4, pixelBytes: side * side * 3)
        }
        let unlimited = ActivationPlan(file, contextLength: text.maximumPositions, on: backend)
        let merge = file.configuration.vision?.mergeSize ?? 1
        let isGPU = device.availableByteCount != nil
        let reading = SegmentLoader.scratchByteCount(threadCount: device.description.threadCount)
        return ModelSizes(
            inventory: WeightInventory(file), place: isGPU ? .device : .host,
            maximumContext: text.maximumPositions,
            maximumImageTokens: unlimited.patchCapacity / (merge * merge),
            program: (ProcessMemory.resident ?? 0) + growth,
            reading: reading + (isGPU ? VulkanBackend.hostByteCount(largestFill: largestSegment(file)) : 0),
            keysAndValues: { KVPool.byteCount(for: text, tokenCapacity: $0) },
            activations: { context, limits in
                ActivationPlan(file, contextLength: context, limits, on: backend).arena.byteCount
            },
            featureTokenBytes: image?.tokenBytes ?? 0, pageTokenBytes: image?.pixelBytes ?? 0)
    }

    private static func largestSegment(_ file: ModelFile) -> Int {
        file.segments.map(\.entry.imageByteCount).max() ?? 0
    }
}

extension ThimbleError {
    /// What a plan is refused for, and what would make one.
    init(_ refusal: PlanRefusal, _ path: String) {
        var mends = ["--\(refusal.place.rawValue)-memory \(refusal.needed.inMebibytes)"]
        if refusal.place == .device { mends = ["--device cpu"] + mends }
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
