//! `thimble inspect`: what a model file says of itself.

import ArgumentParser
import Thimble

struct InspectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Show what a model file holds, and check it.",
        discussion: """
            Examples:
              thimble inspect model.thimble
              thimble inspect model.thimble --verify
              thimble inspect model.thimble --tensors --json
            """)

    @Argument(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var file: String

    @Flag(help: "List the tensors.")
    var tensors = false

    @Flag(help: "Read the whole file and check every checksum.")
    var verify = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
        let inspection = try ModelInspection(modelPath: file)
        if verify { try inspection.verify() }
        let all = inspection.tensors
        if json {
            return try JSONLine.write(
                InspectionReport(
                    file: file, bytes: inspection.byteCount, model: inspection.description,
                    tensorCount: all.count,
                    tensors: tensors ? all : nil, isVerified: verify ? true : nil))
        }
        var lines = summary(inspection, tensorCount: all.count)
        if verify { lines.append("verified      every checksum holds") }
        if tensors {
            lines.append("")
            for tensor in all {
                let name = "\(tensor.segment)/\(tensor.name)"
                let shape = tensor.shape.map(String.init).joined(separator: "x")
                lines.append(
                    "\(name)  \(shape)  \(tensor.format)  \(tensor.byteCount.asBytes)"
                )
            }
        }
        try StandardStream.output.write(lines.map { $0 + "\n" }.joined())
    }

    private func summary(_ inspection: ModelInspection, tensorCount: Int) -> [String] {
        let model = inspection.description
        let text = model.configuration.text
        var lines = [
            "name          \(model.name)",
            "architecture  \(model.configuration.architecture.rawValue)",
            "file          \(inspection.byteCount.asBytes), \(tensorCount.of("tensor"))",
            "weights       \(model.recipe)",
            "decoder       \(text.layerCount) layers, width \(text.hiddenSize), \(text.headCount) heads of "
                + "\(text.headSize), \(text.kvHeadCount) key-value heads, vocabulary \(text.vocabularySize)",
        ]
        if let vision = model.configuration.vision {
            lines.append(
                "vision        \(vision.depth) layers, width \(vision.hiddenSize), patch \(vision.patchSize)"
            )
        }
        lines.append("context       \(text.maximumPositions.of("token"))")
        lines.append("chat format   \(model.chatFormat ?? "none; write prompts with run --raw")")
        lines.append("page settings \(model.pageSettings == nil ? "none" : "in the file")")
        if let source = model.source { lines.append("source        \(source)") }
        if let licence = model.licence { lines.append("licence       \(licence)") }
        lines.append("written by    \(model.creator)")
        return lines.map(\.onOneLine)
    }
}

/// What `inspect --json` prints.
private struct InspectionReport: Encodable {
    var file: String
    var bytes: Int
    var model: ModelDescription
    var tensorCount: Int
    var tensors: [ModelInspection.Tensor]?
    var isVerified: Bool?

    enum CodingKeys: String, CodingKey {
        case file, bytes, model, tensorCount, tensors
        case isVerified = "verified"
    }
}
