//! Flags that say where and how large a model runs.

import ArgumentParser
import Thimble

struct EngineFlags: ParsableArguments {
    @Option(help: "Threads that compute (default: one a core; environment: THIMBLE_THREADS).")
    var threads: Int?

    @Option(
        help: "Where the model runs: auto, cpu, vulkan or vulkan:N (environment: THIMBLE_DEVICE).",
        completion: .list(["auto", "cpu", "vulkan"]))
    var device: String?

    @Option(help: "The longest prompt and answer together, in tokens (environment: THIMBLE_CONTEXT).")
    var context: Int?

    @Option(
        help: "The most memory this process may take, as 900MiB or 2GiB (environment: THIMBLE_HOST_MEMORY).")
    var hostMemory: MemorySize?

    @Option(
        help: ArgumentHelp(
            "The most to keep in memory of what the model made of images, as 256MiB; that of one image is.",
            valueName: "size"))
    var featureMemory: MemorySize?

    @Option(
        help: ArgumentHelp(
            "The most to keep of it on disk, for later runs (environment: THIMBLE_FEATURE_CACHE).",
            valueName: "size"))
    var featureCache: MemorySize?

    @Option(help: "The most visual tokens that an image may become; larger images are shrunk.")
    var imageTokens: Int?

    @Option(help: "Tokens of a prompt that are computed together.")
    var prefillChunk: Int?

    func options() throws -> EngineOptions {
        var options = EngineOptions()
        if let name = device ?? Environment.device { options.device = try DeviceChoice(name) }
        options.threadCount = try threads ?? Environment.threads()
        options.contextLength = try context ?? Environment.context()
        options.limits.host = try (hostMemory?.size ?? Environment.hostMemory())?.bytes
        options.featureMemory = featureMemory?.size.bytes
        options.featureDisk = try (featureCache?.size ?? Environment.featureCache())?.bytes
        options.imageTokens = try Self.positive(imageTokens, "--image-tokens")
        options.chunkTokens = try Self.positive(prefillChunk, "--prefill-chunk")
        return options
    }

    private static func positive(_ number: Int?, _ flag: String) throws -> Int? {
        guard let number else { return nil }
        guard (1...1 << 20).contains(number) else {
            throw ValidationError("\(flag) must be in 1...\(1 << 20), not \(number)")
        }
        return number
    }

    /// Loads a model; the bar shows only where that takes time.
    func load(_ path: String) throws -> Engine {
        var bar = ProgressBar("loading", delay: .seconds(1))
        return try Engine(modelPath: path, options: options()) { bar.show($0) }
    }
}

/// A size as a flag takes it.
struct MemorySize: ExpressibleByArgument {
    let size: ByteSize

    init?(argument: String) {
        guard let size = ByteSize(argument) else { return nil }
        self.size = size
    }
}
