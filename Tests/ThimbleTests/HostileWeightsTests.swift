//! Weights that are no numbers: a model file of right checksums may hold them, and nothing breaks.

import Foundation
import ModelFile
import Tensors
import TestSupport
import Testing

@testable import Thimble

/// A number that no training leaves in a weight, as float16 and as float32.
private enum Poison: CaseIterable {
    case nan, infinity, minusInfinity, largest

    var half: UInt16 {
        switch self {
        case .nan: 0x7E00
        case .infinity: 0x7C00
        case .minusInfinity: 0xFC00
        case .largest: 0x7BFF
        }
    }
    var single: Float {
        switch self {
        case .nan: .nan
        case .infinity: .infinity
        case .minusInfinity: -.infinity
        case .largest: .greatestFiniteMagnitude
        }
    }
}

/// How much of a tensor is spoiled.
private enum Extent: CaseIterable {
    case first, all
}

@Suite struct HostileWeightsTests {
    let folder: TemporaryDirectory
    let path: String

    init() throws {
        folder = try TemporaryDirectory()
        path = folder.path("model.thimble")
    }

    private func make(_ weights: WeightChoice) throws -> ModelFile {
        var options = ConversionOptions()
        options.weights = weights
        options.threadCount = 1
        let configuration = try TinyConfiguration.write(to: folder, contextLength: 512)
        _ = try convert(.random(configuration: configuration, seed: 5), to: path, options)
        return try ModelFile(path: path)
    }

    /// Writes `file` again to `path` with `poison` in one tensor: in the scales of a quantised matrix, in the
    /// values of any other.
    private func spoil(
        _ file: ModelFile, _ segment: String, _ tensor: String, _ poison: Poison, _ extent: Extent
    ) throws {
        var writer = try ModelFileWriter(path: path)
        for source in file.segments {
            if source.entry.kind == .data {
                try writer.appendData(source.entry.name, file.data(named: source.entry.name))
                continue
            }
            var image = [UInt8](repeating: 0, count: source.entry.imageByteCount)
            try unsafe image.withUnsafeMutableBytes { try unsafe file.read(source, into: $0) }
            try writer.beginSegment(source.entry.name)
            for entry in source.entry.tensors {
                let isSpoilt = source.entry.name == segment && entry.name == tensor
                try append(entry, of: image, isSpoilt ? (poison, extent) : nil, to: &writer)
            }
            try writer.endSegment()
        }
        try writer.commit(file.manifest.model)
    }

    private func append(
        _ entry: TensorEntry, of image: [UInt8], _ spoilt: (poison: Poison, extent: Extent)?,
        to writer: inout ModelFileWriter
    ) throws {
        var codes = Array(image[entry.codesOffset...].prefix(entry.codesByteCount))
        var scales = entry.scalesOffset.map { Array(image[$0...].prefix(entry.scalesByteCount)) } ?? []
        if let (poison, extent) = spoilt {
            func fill<Value>(_ bytes: inout [UInt8], _ value: Value) {
                unsafe bytes.withUnsafeMutableBytes { buffer in
                    let values = unsafe buffer.bindMemory(to: Value.self)
                    let count = extent == .first ? 1 : values.count
                    for index in 0..<count { unsafe values[index] = value }
                }
            }
            if !scales.isEmpty {
                fill(&scales, poison.half)
            } else if entry.format == .f16 {
                fill(&codes, poison.half)
            } else {
                fill(&codes, poison.single)
            }
        }
        if entry.kind == .vector {
            let values = unsafe codes.withUnsafeBytes { unsafe Array($0.bindMemory(to: Float.self)) }
            return try writer.appendVector(entry.name, values)
        }
        try writer.beginMatrix(entry.name, rows: entry.rows, columns: entry.columns, format: entry.format)
        try unsafe codes.withUnsafeBytes { try unsafe writer.appendCodes($0) }
        unsafe scales.withUnsafeBytes { unsafe writer.appendScales($0) }
        try writer.endTensor()
    }

    /// The error of an answer of three tokens to an image and a question; nil where there was an answer.
    private func fault() throws -> ThimbleError? {
        var options = EngineOptions()
        options.threadCount = 1
        options.contextLength = 256
        let session = try Engine(modelPath: path, options: options).makeSession()
        let pixels = (0..<56 * 56 * 3).map { UInt8($0 % 251) }
        session.append(
            Message(.user, [.image(RGBImage(width: 56, height: 56, pixels: pixels)), .text("What is it?")]))
        var generation = GenerationOptions()
        generation.maximumTokens = 3
        do throws(ThimbleError) {
            let result = try session.generate(generation) { _ in }
            #expect(result.generatedTokens <= 3)
            return nil
        } catch { return error }
    }

    @Test(arguments: [WeightChoice.q4, .q8, .f16])
    func everyTensorMayHoldWhatIsNoNumber(weights: WeightChoice) throws {
        let file = try make(weights)
        #expect(try fault() == nil)
        var (answers, refusals) = (0, 0)
        for segment in file.segments where segment.entry.kind == .weights {
            for tensor in segment.entry.tensors {
                for (poison, extent) in Poison.allCases.flatMap({ one in Extent.allCases.map { (one, $0) } })
                where weights == .q4 || (poison == .nan && extent == .all) {
                    try spoil(file, segment.entry.name, tensor.name, poison, extent)
                    if let error = try fault() {
                        refusals += 1
                        #expect(error.code == .corrupt && error.message.contains(path), "\(error)")
                    } else {
                        answers += 1
                    }
                }
            }
        }
        #expect(refusals > 0)
        #expect(weights != .q4 || answers > 0)
    }

    /// A whole tensor of no numbers on the way to every logit leaves nothing to choose from.
    @Test(arguments: ["embed_tokens", "qkv", "o", "down", "input_layernorm", "norm", "lm_head"])
    func weightsThatAreNoNumbersAreToldAsCorrupt(tensor: String) throws {
        let file = try make(.q4)
        let segment = try #require(
            file.segments.last { $0.entry.tensor(named: tensor) != nil && !$0.entry.name.contains("vision") })
        try spoil(file, segment.entry.name, tensor, .nan, .all)
        let error = try #require(try fault())
        #expect(error.code == .corrupt)
        #expect(error.message.contains("logits are not numbers") && error.message.contains(path))
    }

    /// A file of zeros is small, and may declare weights of any size.
    @Test func weightsBeyondTheMemoryOfTheProcessAreRefused() throws {
        let file = try make(.q4)
        let needed = file.segments.filter { $0.entry.kind == .weights }.map(\.entry.imageByteCount)
            .reduce(0, +)
        #expect(needed > 0)
        try Engine.requireMemory(forWeightsOf: ModelOutline(file), file.path, available: needed)
        let error = #expect(throws: ThimbleError.self) {
            try Engine.requireMemory(
                forWeightsOf: ModelOutline(file), file.path, available: needed - 1)
        }
        #expect(error?.code == .outOfMemory)
        #expect(error?.message.contains("\(needed) bytes") == true)
        #expect(error?.message.contains("\(needed - 1)") == true)
    }
}
