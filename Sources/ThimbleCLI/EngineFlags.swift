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

    func options() throws -> EngineOptions {
        var options = EngineOptions()
        if let name = device ?? Environment.device { options.device = try DeviceChoice(name) }
        options.threadCount = try threads ?? Environment.threads()
        options.contextLength = try context ?? Environment.context()
        return options
    }

    /// Loads a model; the bar shows only where that takes time.
    func load(_ path: String) throws -> Engine {
        var bar = ProgressBar("loading", delay: .seconds(1))
        return try Engine(modelPath: path, options: options()) { bar.show($0) }
    }
}
