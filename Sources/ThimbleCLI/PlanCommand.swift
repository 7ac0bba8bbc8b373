//! `thimble plan`: who would live where in memory, before anything is loaded.

import ArgumentParser
import Thimble

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Say how a model will run within a limit on memory.",
        discussion: """
            Nothing is loaded. Where nothing fits, the exit status is 3, and what would fit is said. A
            config.json in place of a model file plans for that model as it would be converted.

            How fast the plan will run is predicted with what thimble devices --measure has found; where it
            has not been run, with what the budget states of the machine, or with guesses.

            Examples:
              thimble plan model.thimble --host-memory 2GiB
              thimble plan model.thimble --host-memory 900MiB --context 4096 --json
              thimble plan model.thimble --budget raspberrypi-5-8gb --other-machine
              thimble plan model.thimble --host-memory 1GiB --emit-config > model.toml
            """)

    @Argument(
        help: "The model file, or the config.json of a model that is yet to be converted.",
        completion: .file(extensions: ["thimble", "json"]))
    var model: String

    @Option(help: "How the weights of a config.json would be stored.")
    var weights = WeightChoice.q4

    @Option(help: "Inputs that would share a scale: 32, 64 or 128.")
    var group = 32

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Print a budget that leads to this plan, and nothing else.")
    var emitConfig = false

    @Option(
        name: [.customShort("p"), .customLong("prompt-tokens")],
        help: "Tokens of the prompt whose first token is predicted.")
    var promptTokens = 512

    @Flag(help: "Predict for a machine as the budget states it, not for this one as it was measured.")
    var otherMachine = false

    @OptionGroup var engineFlags: EngineFlags

    func validate() throws {
        if json && emitConfig { throw ValidationError("--json and --emit-config exclude each other") }
    }

    func run() throws {
        let budget = try engineFlags.merged()
        var expectations = OutlookOptions()
        expectations.stated = budget.machine
        expectations.isForThisMachine = !otherMachine
        expectations.promptTokens = promptTokens
        let outlook = try Engine.outlook(of: subject, options: engineFlags.options(budget), expectations)
        if emitConfig {
            let config = outlook.plan.budget(over: budget, threadCount: outlook.threadCount)
            return try StandardStream.output.write(config.toml)
        }
        let report = PlanReport(outlook)
        if json { return try JSONLine.write(report) }
        try StandardStream.output.write(report.lines.map { $0 + "\n" }.joined())
    }
}

extension PlanCommand {
    private var subject: PlanSubject {
        guard model.hasSuffix(".json") else { return .file(model) }
        var conversion = ConversionOptions()
        conversion.weights = weights
        conversion.group = group
        return .configuration(model, conversion)
    }
}

/// What `plan` prints.
private struct PlanReport: Encodable {
    struct Item: Encodable {
        var name: String
        var place: String
        var bytes: Int
    }

    /// Of the process's memory, where something limits it.
    var limitBytes: Int?
    var totalBytes: Int
    /// Of a GPU's memory, where one computes.
    var deviceLimitBytes: Int?
    var deviceTotalBytes: Int?
    /// Layers of the decoder that the CPU computes beside a GPU, and all of them; nil where one has all.
    var cpuLayers: Int?
    var layers: Int?
    var contextTokens: Int
    /// Of keys and values, which the context takes.
    var pages: Int
    var prefillChunkTokens: Int
    var imageTokens: Int?
    var items: [Item]
    /// Of the file, for each decoded token.
    var streamedBytes: Int
    /// Of the file, for each image.
    var streamedVisionBytes: Int
    /// Of weights, for each decoded token.
    var decodedBytes: Int

    var prediction: PredictionReport?

    init(_ outlook: PlanOutlook) {
        let plan = outlook.plan
        prediction = PredictionReport(outlook)
        limitBytes = [plan.limits.host, plan.limits.total].compactMap(\.self).min()
        totalBytes = plan.byteCount(.host)
        if plan.parts.contains(where: { $0.place == .device }) {
            deviceLimitBytes = [plan.limits.device, plan.limits.total].compactMap(\.self).min()
            deviceTotalBytes = plan.byteCount(.device)
        }
        if plan.parts.count > 1 {
            cpuLayers = plan.offloadedLayerCount
            layers = plan.parts.last?.share.layers.upperBound
        }
        contextTokens = plan.contextLength
        pages = outlook.pageCount
        prefillChunkTokens = plan.activations.chunkTokens
        imageTokens = plan.activations.imageTokens
        items = plan.items.map { Item(name: $0.name, place: $0.place.rawValue, bytes: $0.byteCount) }
        streamedBytes = plan.streamedByteCount
        streamedVisionBytes = plan.streamedVisionByteCount
        decodedBytes = plan.decodedByteCount
    }

    var lines: [String] {
        let width = ((items.map(\.name) + ["layers on the CPU"]).map(\.count).max() ?? 0) + 2
        func row(_ name: String, _ text: String) -> String {
            name + String(repeating: " ", count: max(1, width - name.count)) + text
        }
        func table(_ place: String, _ total: Int, of limit: Int?) -> [String] {
            let allowed = limit.map { " of \($0.asBytes) allowed" } ?? ""
            return items.filter { $0.place == place }.map { row($0.name, $0.bytes.asBytes) }
                + [row("total", total.asBytes + allowed), ""]
        }
        var lines: [String] = []
        if let deviceTotalBytes {
            lines.append("in the GPU's memory")
            lines += table("device", deviceTotalBytes, of: deviceLimitBytes) + ["in the host's memory"]
        }
        lines += table("host", totalBytes, of: limitBytes)
        if let cpuLayers, let layers {
            lines.append(row("layers on the CPU", "\(cpuLayers) of \(layers)"))
        }
        lines.append(
            row(
                "context",
                "\(contextTokens.of("token")) in \(pages.of("page")) of keys and values, "
                    + "\(prefillChunkTokens) of a prompt at a time"))
        if streamedBytes > 0 {
            let share = Double(streamedBytes) / Double(max(decodedBytes, 1)) * 100
            lines.append(
                row(
                    "a token reads",
                    "\(streamedBytes.asBytes) of the file, \(share.fixed(0)) % of its weights"))
        } else {
            lines.append(row("a token reads", "nothing of the file: its weights are in memory"))
        }
        if streamedVisionBytes > 0 {
            lines.append(row("an image reads", "\(streamedVisionBytes.asBytes) of the file"))
        }
        if let prediction {
            lines += [""] + prediction.lines(row)
        } else {
            lines += ["", row("speed", "not predicted where a GPU holds all weights")]
        }
        return lines
    }
}
