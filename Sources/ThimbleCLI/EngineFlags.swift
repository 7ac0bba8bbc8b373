//! Flags that say where and how large a model runs: a budget, and what each run changes of it.

import ArgumentParser
import Thimble

struct EngineFlags: ParsableArguments {
    @Option(
        help: "A budget: a TOML file, or a profile's name (environment: THIMBLE_BUDGET; docs/budgets.md).",
        completion: .file(extensions: ["toml"]))
    var budget: String?

    @Option(help: "Threads that compute (default: one a core; environment: THIMBLE_THREADS).")
    var threads: Int?

    @Option(
        help: "Where the model runs: auto, cpu, vulkan or vulkan:N (environment: THIMBLE_DEVICE).",
        completion: .list(["auto", "cpu", "vulkan"]))
    var device: String?

    @Option(help: "The longest prompt and answer together, in tokens (environment: THIMBLE_CONTEXT).")
    var context: Int?

    @Option(
        help: "The most memory this process may take, as 900MiB or 2GiB (environment: THIMBLE_HOST_MEMORY).",
        transform: MemorySize.parse)
    var hostMemory: MemorySize?

    @Option(
        help: "The most of a GPU's memory that may be taken (environment: THIMBLE_DEVICE_MEMORY).",
        transform: MemorySize.parse)
    var deviceMemory: MemorySize?

    @Option(
        help: ArgumentHelp(
            "How keys and values are stored: f16, int8 or int5 (environment: THIMBLE_KV).",
            discussion: """
                int8 takes about half the memory of f16 and int5 about a third, at some cost in accuracy.
                """),
        completion: .list(KVType.allCases.map(\.rawValue)))
    var kv: String?

    @Option(
        help: ArgumentHelp(
            "The most to keep in memory of what the model made of images, as 256MiB; that of one image is.",
            valueName: "size"), transform: MemorySize.parse)
    var featureMemory: MemorySize?

    @Option(
        help: ArgumentHelp(
            "The most to keep of it on disk, for later runs (environment: THIMBLE_FEATURE_CACHE).",
            valueName: "size"), transform: MemorySize.parse)
    var featureCache: MemorySize?

    @Option(
        help: ArgumentHelp(
            "Layers that a GPU computes; the CPU computes the others (default: as many as fit).",
            valueName: "count"))
    var gpuLayers: Int?

    @Option(help: "The most visual tokens that an image may become; larger images are shrunk.")
    var imageTokens: Int?

    @Option(help: "Tokens of a prompt that are computed together, and visual tokens of its images.")
    var prefillChunk: Int?

    /// What the flags, the environment and the budget's file say together: the first that says something
    /// counts. Reads the file, so that a run asks once.
    func merged() throws -> Budget {
        do {
            var merged = try Environment.budget(beside: flags())
            if let name = budget ?? Environment.budgetName {
                merged = merged.merged(over: try Budget(named: name))
            }
            try merged.validate(file: "the budget with its flags")
            return merged
        } catch let error as BudgetError { throw ThimbleError(error) }
    }

    private func flags() throws -> Budget {
        var flags = Budget()
        flags.run.threads = threads
        flags.run.device = try device.map(Self.device)
        flags.run.context = context
        flags.run.deviceLayers = gpuLayers
        flags.run.prefillChunk = prefillChunk
        flags.run.imageTokens = imageTokens
        flags.kv.type = try kv.map(Self.kvType)
        flags.memory.host = hostMemory?.size
        flags.memory.device = deviceMemory?.size
        flags.features.memory = featureMemory?.size
        flags.features.disk = featureCache?.size
        return flags
    }

    /// A device's name as a budget has it.
    static func device(_ name: String) throws(ThimbleError) -> Budget.Device {
        // Said in the words of those who open devices.
        _ = try DeviceChoice(name)
        guard let device = Budget.Device(name) else {
            throw ThimbleError(.noDevice, "there is no device '\(name)'; thimble devices lists what there is")
        }
        return device
    }

    /// What `budget`, which `merged` has made, asks of an engine.
    func options(_ budget: Budget) throws -> EngineOptions {
        var options = try EngineOptions(budget)
        // Asked for by itself, a context is what there must be.
        options.contextLength = try Environment.budget(beside: flags()).run.context
        return options
    }

    static func kvType(_ name: String) throws(Failure) -> KVType {
        guard let type = KVType(rawValue: name) else {
            let names = KVType.allCases.map(\.rawValue).joined(separator: ", ")
            throw .usage("keys and values cannot be stored as '\(name)'; it must be one of \(names)")
        }
        return type
    }

    /// Loads a model; the bar shows only where that takes time.
    func load(_ path: String) throws -> Engine { try load(path, within: merged()) }

    /// The same with a budget that `merged` has made.
    func load(_ path: String, within budget: Budget) throws -> Engine {
        var bar = ProgressBar("loading", delay: .seconds(1))
        return try Engine(modelPath: path, options: options(budget)) { bar.show($0) }
    }
}

/// A size as a flag takes it.
struct MemorySize {
    let size: ByteSize

    /// Throws with what a size is.
    static func parse(_ argument: String) throws -> MemorySize {
        guard let size = ByteSize(argument) else {
            throw ValidationError("it must be a size such as 900MiB, 1.5GiB or 2GB, or a number of bytes")
        }
        return MemorySize(size: size)
    }
}
