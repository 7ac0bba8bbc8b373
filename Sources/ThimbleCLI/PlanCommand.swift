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

            Examples:
              thimble plan model.thimble --host-memory 2GiB
              thimble plan model.thimble --host-memory 900MiB --context 4096 --json
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

    @Option(
        name: [.customShort("p"), .customLong("prompt-tokens")],
        help: "Tokens of the prompt that is predicted.")
    var promptTokens = 512

    @OptionGroup var engineFlags: EngineFlags

    func run() throws {
        var expectations = OutlookOptions()
        expectations.stated = try engineFlags.merged().machine
        expectations.promptTokens = promptTokens
        let outlook = try Engine.outlook(of: subject, options: engineFlags.options(), expectations)
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

    var limitBytes: Int?
    var totalBytes: Int
    /// Of a GPU's memory: what may be taken, and what is; nil where no GPU computes.
    var deviceLimitBytes: Int?
    var deviceTotalBytes: Int?
    /// Layers of the decoder that the CPU computes beside a GPU, and all of them; nil where one has all.
    var cpuLayers: Int?
    var layers: Int?
    var contextTokens: Int
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
        prediction = outlook.prediction.map { PredictionReport($0, outlook.withMore) }
        limitBytes = plan.limits.host
        totalBytes = plan.byteCount(.host)
        if plan.parts.contains(where: { $0.place == .device }) {
            deviceLimitBytes = plan.limits.device
            deviceTotalBytes = plan.byteCount(.device)
        }
        if plan.parts.count > 1 {
            cpuLayers = plan.offloadedLayerCount
            layers = plan.parts.last?.share.layers.upperBound
        }
        contextTokens = plan.contextLength
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
        func allowed(_ limit: Int?) -> String { limit.map { " of \($0.asBytes) allowed" } ?? "" }
        var lines = items.map { item in
            row(item.name, item.bytes.asBytes + (item.place == "device" ? ", device" : ""))
        }
        lines.append(row("total", totalBytes.asBytes + allowed(limitBytes)))
        if let deviceTotalBytes {
            lines.append(row("total", deviceTotalBytes.asBytes + allowed(deviceLimitBytes) + ", device"))
        }
        lines.append("")
        if let cpuLayers, let layers {
            lines.append(row("layers on the CPU", "\(cpuLayers) of \(layers)"))
        }
        lines.append(
            row("context", contextTokens.of("token") + ", \(prefillChunkTokens) of a prompt at a time"))
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
        if let prediction { lines += [""] + prediction.lines(row) }
        return lines
    }
}
