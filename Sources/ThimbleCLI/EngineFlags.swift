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
        help: ArgumentHelp(
            "How keys and values are stored: f16, int8 or int4 (environment: THIMBLE_KV).",
            discussion: """
                int8 takes about half the memory of f16 and int4 less than a third, at some cost in accuracy;
                both are for the CPU only.
                """),
        completion: .list(KVType.allCases.map(\.rawValue)))
    var kv: String?

    func options() throws -> EngineOptions {
        var options = EngineOptions()
        if let name = device ?? Environment.device { options.device = try DeviceChoice(name) }
        options.threadCount = try threads ?? Environment.threads()
        options.contextLength = try context ?? Environment.context()
        if let name = kv ?? Environment.kv { options.kvType = try kvType(name) }
        return options
    }

    private func kvType(_ name: String) throws(Failure) -> KVType {
        guard let type = KVType(rawValue: name) else {
            let names = KVType.allCases.map(\.rawValue).joined(separator: ", ")
            throw .usage("keys and values cannot be stored as '\(name)'; it must be one of \(names)")
        }
        return type
    }

    /// Loads a model; the bar shows only where that takes time.
    func load(_ path: String) throws -> Engine {
        var bar = ProgressBar("loading", delay: .seconds(1))
        return try Engine(modelPath: path, options: options()) { bar.show($0) }
    }
}
