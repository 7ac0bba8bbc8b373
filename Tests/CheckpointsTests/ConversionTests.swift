//! A converted checkpoint computes what the reference computes.

import Foundation
import Tensors
import TestSupport
import Testing
import Threads

@testable import Checkpoints
@testable import ModelFile

@Suite struct ConversionTests {
    let folder: TemporaryDirectory

    init() throws { folder = try TemporaryDirectory() }

    func convert(_ fixture: String, _ recipe: Recipe, threadCount: Int = 2) throws -> (
        ModelFile, ConversionSummary
    ) {
        let source = try SafetensorsFolder(path: Fixtures.path(fixture))
        let path = folder.path("model-\(threadCount).thimble")
        let summary = try Converter(source: source, recipe: recipe, threadCount: threadCount).write(
            to: path, packaging: Packaging(name: "tiny", creator: "tests", data: [("tokenizer", [1, 2, 3])]))
        let file = try ModelFile(path: path)
        try file.checkSchema()
        try file.verify()
        return (file, summary)
    }

    /// The probes of a checkpoint: segment, tensor, output.
    func probes(_ fixture: String) throws -> [String: [String: [Float]]] {
        let data = try Data(contentsOf: URL(fileURLWithPath: Fixtures.path("probes.json")))
        return try #require(
            try JSONDecoder().decode([String: [String: [String: [Float]]]].self, from: data)[fixture])
    }

    static func probeInput(_ count: Int) -> [Float] { (0..<count).map { Float((7 * $0) % 11 - 5) / 8 } }

    func check(_ file: ModelFile, _ fixture: String, tolerance: Float) throws {
        for (segment, tensors) in try probes(fixture) {
            let image = try SegmentImage(segment, of: file)
            for (name, expected) in tensors {
                let tensor = try #require(image.entry.tensor(named: name))
                let computed: [Float]
                if tensor.kind == .vector {
                    computed = image.vector(name)
                } else {
                    let input = Self.probeInput(tensor.columns)
                    computed = image.matrix(name).map { row in zip(row, input).reduce(0) { $0 + $1.0 * $1.1 }
                    }
                }
                try #require(computed.count == expected.count)
                let worst = zip(computed, expected).map { abs($0 - $1) }.max() ?? 0
                let bound = tensor.kind == .vector ? 1e-5 : tolerance
                #expect(worst <= bound, "\(segment)/\(name): \(worst)")
            }
        }
    }

    @Test func everyTensorComputesWhatTheReferenceComputes() throws {
        let (file, summary) = try convert("glm4v", Recipe(weights: .f16))
        try check(file, "glm4v", tolerance: 1e-3)
        #expect(summary.ignoredTensorCount == 0)
        #expect(summary.widenedTensors.isEmpty)
        #expect(try file.data(named: "tokenizer") == [1, 2, 3])
        #expect(file.configuration.tokens.endOfSequence == [3, 5, 7])
    }

    @Test func quantizedTensorsComputeNearlyTheSame() throws {
        try check(convert("glm4v", Recipe(weights: .q8)).0, "glm4v", tolerance: 0.02)
        try check(convert("glm4v", Recipe(weights: .q4)).0, "glm4v", tolerance: 0.6)
    }

    @Test func earlyTensorNamesAreFound() throws {
        let (file, summary) = try convert("glm4v-early-names", Recipe(weights: .f16))
        try check(file, "glm4v", tolerance: 1e-3)
        #expect(summary.ignoredTensorCount == 1)
    }

    @Test func aTiedTextOnlyModelHasNoHeadMatrix() throws {
        let (file, summary) = try convert("glm4-tied", Recipe(weights: .f32))
        try check(file, "glm4-tied", tolerance: 1e-5)
        #expect(try #require(file.segment(named: "head")).entry.tensors.map(\.name) == ["norm"])
        #expect(file.segment(named: "vision.embed") == nil)
        #expect(summary.tensorCount == 11)
    }

    @Test func theNumberOfThreadsDoesNotChangeTheFile() throws {
        for threadCount in [1, 3] { _ = try convert("glm4v", Recipe(weights: .q4), threadCount: threadCount) }
        let one = try Data(contentsOf: URL(fileURLWithPath: folder.path("model-1.thimble")))
        let three = try Data(contentsOf: URL(fileURLWithPath: folder.path("model-3.thimble")))
        #expect(one == three)
    }

    @Test func theUsualRecipeKeepsSensitivePartsAtEightBits() throws {
        let (file, _) = try convert("glm4v", Recipe(weights: .q4, group: 64))
        let formats = try ["embedding", "layers.0", "head", "vision.blocks.0"].map { name in
            try #require(file.segment(named: name)?.entry.tensors.first { $0.kind == .matrix }).format
        }
        #expect(formats == [.q8(group: 64), .q4(group: 64), .q8(group: 64), .q8(group: 64)])
        #expect(file.manifest.model.recipe == "decoder q4/64, embedding q8/64, head q8/64, vision q8/64")
    }

    @Test func paddingHoldsZeros() throws {
        // 48 rows of 70 columns and the like: the vocabulary of 70 pads to 80 rows, 48 columns pad to 128.
        let (file, _) = try convert("glm4v", Recipe(weights: .q4, group: 128))
        let image = try SegmentImage("layers.0", of: file)
        let qkv = try #require(image.entry.tensor(named: "qkv"))
        #expect(qkv.layout.paddedColumns == 128)
        for row in 0..<qkv.rows {
            for column in qkv.columns..<128 { #expect(image.element(qkv, row, column) == 0) }
        }
        let embedding = try SegmentImage("embedding", of: file)
        let tokens = try #require(embedding.entry.tensor(named: "embed_tokens"))
        for row in 70..<80 { #expect(embedding.scale(tokens, row, 0) == 0) }
    }

    @Test func progressCoversTheWholeSource() throws {
        let source = try SafetensorsFolder(path: Fixtures.path("glm4v"))
        var reports: [ConversionProgress] = []
        _ = try Converter(source: source, recipe: Recipe(weights: .f16)).write(
            to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"),
            progress: { reports.append($0) })
        #expect(reports.first?.tensor == "embedding/embed_tokens")
        #expect(reports.last?.bytesDone == reports.last?.bytesTotal && reports.last?.tensor == "")
        #expect(
            zip(reports, reports.dropFirst()).allSatisfy { $0.bytesDone < $1.bytesDone || $1.tensor == "" })
    }

    @Test func randomWeightsAreReproducibleAndAboutNormal() throws {
        let configuration = try HuggingFaceConfiguration.read(folder: Fixtures.path("glm4v"))
        let source = try RandomSource(configuration: configuration, seed: 7)
        for name in ["a", "b"] {
            _ = try Converter(source: source, recipe: Recipe(weights: .f32), threadCount: name == "a" ? 1 : 2)
                .write(to: folder.path(name), packaging: Packaging(name: "random", creator: "tests"))
        }
        #expect(
            try Data(contentsOf: URL(fileURLWithPath: folder.path("a")))
                == Data(contentsOf: URL(fileURLWithPath: folder.path("b"))))
        let file = try ModelFile(path: folder.path("a"))
        try file.checkSchema()
        let values = try SegmentImage("embedding", of: file).matrix("embed_tokens").flatMap(\.self)
        let deviation = (values.reduce(0) { $0 + $1 * $1 } / Float(values.count)).squareRoot()
        #expect(abs(deviation - 0.02) < 0.002)
        let norm = try SegmentImage("layers.0", of: file).vector("input_layernorm")
        #expect(norm.allSatisfy { abs($0 - 1) < 0.1 } && Set(norm).count > 10)
    }

    @Test func weightsThatFloat16CannotHoldAreStoredAsFloat32() throws {
        let source = AlteredSource(
            value: 70_000, tensor: "model.language_model.layers.1.mlp.down_proj.weight")
        let summary = try Converter(source: source, recipe: Recipe(weights: .f16)).write(
            to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"))
        #expect(summary.widenedTensors == ["layers.1/down"])
        let file = try ModelFile(path: folder.path("m"))
        let image = try SegmentImage("layers.1", of: file)
        #expect(image.entry.tensor(named: "down")?.format == .f32)
        #expect(image.matrix("down")[3][5] == 70_000)
        #expect(file.manifest.model.recipe.contains("layers.1/down"))
    }

    @Test(arguments: [ElementType.f16, .q4]) func everyWeightIsReadOnce(type: ElementType) throws {
        let source = CountingSource()
        _ = try Converter(source: source, recipe: Recipe(weights: type)).write(
            to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"))
        let plans = try ModelPlan(source: source, recipe: Recipe(weights: type)).segments()
        let total = plans.flatMap(\.tensors).flatMap(\.parts).reduce(0) {
            $0 + $1.rows.count * $1.source.columns
        }
        #expect(source.readCount.withLock { $0 } == total)
    }

    @Test(arguments: [Float.nan, .infinity, -.infinity])
    func aWeightThatIsNotANumberIsAnErrorThatNamesIt(value: Float) throws {
        let name = "model.visual.blocks.0.attn.proj.weight"
        for type in [ElementType.f16, .q4] {
            let error = #expect(throws: CheckpointError.self) {
                try Converter(
                    source: AlteredSource(value: value, tensor: name), recipe: Recipe(weights: type)
                ).write(
                    to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"))
            }
            #expect(error?.code == .value)
            #expect(error?.detail.contains("\(name) has \(value) at row 3, column 5") == true)
            #expect(!FileManager.default.fileExists(atPath: folder.path("m")))
        }
    }

    @Test func aVectorsValueThatIsNotANumberIsAnErrorThatNamesIt() throws {
        let folder = try TemporaryDirectory()
        let copy = try folder.copy(of: "glm4-tied")
        let shard = try Safetensors(path: copy + "/model.safetensors")
        let entry = try #require(shard.entries.first { $0.name == "model.norm.weight" })
        var bytes = try Data(contentsOf: URL(fileURLWithPath: shard.file.path))
        // An exponent of all ones is NaN or infinite in every format.
        let offset = entry.fileOffset + 7 * entry.format.byteCount
        for index in 0..<entry.format.byteCount { bytes[offset + index] = 0xFF }
        try bytes.write(to: URL(fileURLWithPath: shard.file.path))
        let error = #expect(throws: CheckpointError.self) {
            try Converter(source: SafetensorsFolder(path: copy), recipe: Recipe(weights: .q8)).write(
                to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"))
        }
        #expect(error?.detail == "tensor model.norm.weight has nan at 7")
        #expect(folder.contents == ["glm4-tied"])
    }

    @Test(arguments: [1, 3]) func aShardThatIsCutWhileItIsReadIsAnErrorThatNamesIt(threadCount: Int) throws {
        let folder = try TemporaryDirectory()
        let copy = try folder.copy(of: "glm4-tied")
        let source = try SafetensorsFolder(path: copy)
        let shard = try FileHandle(forUpdating: URL(fileURLWithPath: copy + "/model.safetensors"))
        try shard.truncate(atOffset: shard.seekToEnd() - 1000)
        let error = #expect(throws: CheckpointError.self) {
            try Converter(source: source, recipe: Recipe(weights: .q4), threadCount: threadCount).write(
                to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"))
        }
        #expect(error?.code == .unreadable && error?.file == copy + "/model.safetensors")
        #expect(error?.detail.contains("the file ends early") == true)
        #expect(folder.contents == ["glm4-tied"])
    }

    @Test func aShardThatIsWrittenToWhileItIsReadIsAnErrorThatNamesIt() throws {
        let folder = try TemporaryDirectory()
        let copy = try folder.copy(of: "glm4-tied")
        let source = try SafetensorsFolder(path: copy)
        let shard = URL(fileURLWithPath: copy + "/model.safetensors")
        try FileManager.default.setAttributes([.modificationDate: Date.distantPast], ofItemAtPath: shard.path)
        let error = #expect(throws: CheckpointError.self) {
            try Converter(source: source, recipe: Recipe(weights: .q4)).write(
                to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"))
        }
        #expect(error?.code == .unreadable && error?.file == shard.path)
        #expect(folder.contents == ["glm4-tied"])
    }

    @Test func aWeightBeyondTheScaleOfAQuantizedFormatIsAnError() throws {
        let source = AlteredSource(value: 1e7, tensor: "model.language_model.layers.1.mlp.down_proj.weight")
        let error = #expect(throws: CheckpointError.self) {
            try Converter(source: source, recipe: Recipe(weights: .q4)).write(
                to: folder.path("m"), packaging: Packaging(name: "tiny", creator: "tests"))
        }
        #expect(error?.code == .value)
        #expect(error?.detail.hasPrefix("row 3 of down is too large for a q4/32 scale") == true)
    }

    /// Rows so wide that a tile is cut into three strips of columns.
    @Test(arguments: [WeightFormat.f16, .f32, .q8(group: 128), .q4(group: 32)])
    func aMatrixOfVeryWideRowsIsThatOfItsParts(format: WeightFormat) throws {
        let source = WideSource()
        let target = ModelSchema.Tensor(name: "wide", kind: .matrix, rows: 35, columns: WideSource.columns)
        let plan = TensorPlan(
            target: target, format: format,
            parts: [
                .init(source: try source.tensor(["a"], shape: [20, WideSource.columns]), rows: 0..<18),
                .init(source: try source.tensor(["b"], shape: [20, WideSource.columns]), rows: 0..<17),
            ], arrangement: .alternating, taps: nil)
        let layout = WeightLayout(rows: target.rows, columns: target.columns, format: format)
        let pieces = MatrixPieces(layout)
        #expect(pieces.count == 9)
        var (codes, scales): ([UInt8], [UInt8]) = ([], [])
        let window = try PieceWindow(source: source, pool: WorkerPool(threadCount: 3, for: "window"))
        try window.forEachPiece(of: plan, layout: layout) { piece, _ in
            unsafe codes.append(contentsOf: piece.codes)
            unsafe scales.append(contentsOf: piece.scales)
            return true
        }
        #expect(codes.count == layout.codesByteCount && scales.count == layout.scalesByteCount)
        let tensor = TensorEntry(
            name: "wide", kind: .matrix, rows: target.rows, columns: target.columns, format: format,
            codesOffset: 0, scalesOffset: scales.isEmpty ? nil : codes.count)
        let entry = SegmentEntry(
            name: "layers.0", kind: .weights, fileOffset: 0, storedByteCount: 0, codesByteCount: codes.count,
            scalesByteCount: scales.count, firstBlock: 0, tensors: [tensor])
        let image = SegmentImage(entry: entry, bytes: codes + scales)
        // A code's step, or float16's.
        let tolerance: Float = [.f32: 0, .f16: 1e-3][format] ?? (format.type == .q8 ? 0.01 : 0.15)
        for row in [0, 1, 15, 16, 17, 34] {
            for column in stride(from: 0, to: WideSource.columns, by: 61) {
                let expected = WideSource.value(
                    row % 2 == 0 ? "a" : "b", row / 2 * WideSource.columns + column)
                #expect(abs(image.element(tensor, row, column) - expected) <= tolerance)
            }
            #expect(image.element(tensor, row, layout.paddedColumns - 1) == 0)
        }
    }

    @Test func aFileThatCannotBeWrittenIsAnErrorThatNamesIt() throws {
        let source = try SafetensorsFolder(path: Fixtures.path("glm4v"))
        let error = #expect(throws: CheckpointError.self) {
            try Converter(source: source, recipe: Recipe(weights: .f16)).write(
                to: "/nonexistent/m.thimble", packaging: Packaging(name: "tiny", creator: "tests"))
        }
        #expect(error?.code == .cannotCreate)
        #expect(error?.file == "/nonexistent/m.thimble")
    }
}

/// The tiny checkpoint with one value at row 3, column 5 of one tensor.
struct AlteredSource: TensorSource {
    let value: Float
    let tensor: String
    let base = try! SafetensorsFolder(path: Fixtures.path("glm4v"))

    var configuration: ModelConfiguration { base.configuration }
    var location: String { base.location }
    var tensorCount: Int? { base.tensorCount }

    func tensor(_ names: [String], shape: [Int]) throws(CheckpointError) -> SourceTensor {
        try base.tensor(names, shape: shape)
    }

    func checkUnchanged() throws(CheckpointError) {}

    func read(
        _ tensor: SourceTensor, elements: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        unsafe try base.read(tensor, elements: elements, into: values)
        let element = 3 * tensor.columns + 5
        guard tensor.name == self.tensor, elements.contains(element) else { return }
        unsafe values[element - elements.lowerBound] = value
    }
}

/// The tiny checkpoint, which counts the elements that are read.
final class CountingSource: TensorSource {
    let base = try! SafetensorsFolder(path: Fixtures.path("glm4v"))
    let readCount = Monitor(0)

    var configuration: ModelConfiguration { base.configuration }
    var location: String { base.location }
    var tensorCount: Int? { base.tensorCount }

    func tensor(_ names: [String], shape: [Int]) throws(CheckpointError) -> SourceTensor {
        try base.tensor(names, shape: shape)
    }

    func checkUnchanged() throws(CheckpointError) {}

    func read(
        _ tensor: SourceTensor, elements: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        readCount.withLock { $0 += elements.count }
        unsafe try base.read(tensor, elements: elements, into: values)
    }
}

/// Two tensors of wide rows whose values tell where they are.
struct WideSource: TensorSource {
    static let columns = 2 * MatrixPieces.maximumColumnCount + 1001

    static func value(_ name: String, _ element: Int) -> Float {
        Float((element &* 7919 + (name == "a" ? 1 : 50)) % 997 - 498) / 498
    }

    var configuration: ModelConfiguration { fatalError("a test of one matrix needs none") }
    var location: String { "wide" }
    var tensorCount: Int? { nil }

    func tensor(_ names: [String], shape: [Int]) throws(CheckpointError) -> SourceTensor {
        SourceTensor(name: names[0], shape: shape, elementByteCount: 4)
    }

    func checkUnchanged() throws(CheckpointError) {}

    func read(
        _ tensor: SourceTensor, elements: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        for (index, element) in elements.enumerated() {
            unsafe values[index] = Self.value(tensor.name, element)
        }
    }
}
