//! What `plan` says: who would live where, and how fast that would be.

internal import Memory
internal import Tensors

/// A plan and what to expect of it, for a person or for a program to read.
public struct PlanReport: Encodable {
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

    public init(_ outlook: PlanOutlook) {
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

    /// Lines for a person.
    public var text: String { lines.map { $0 + "\n" }.joined() }

    /// One JSON object on one line.
    public func json() throws(ThimbleError) -> String { try ReportLine.json(self) }

    private var lines: [String] {
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
