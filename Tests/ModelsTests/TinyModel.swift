//! A tiny model for the tests of this target: a reference checkpoint, converted and loaded.

import CPUBackend
import Checkpoints
import Foundation
import Memory
import ModelFile
import Tensors
import TestSupport

@testable import Models

/// A loaded reference checkpoint.
struct TinyModel {
    let model: Glm4v
    let pool: KVPool
    /// Keeps the features of all images.
    let features: VisualFeatureStore

    /// Converts the case `name` and loads it on `backend`.
    init(
        _ name: String, weights: ElementType = .f16, on backend: any Backend = CPUBackend(threadCount: 2),
        tokenCapacity: Int = 2048, _ limits: ActivationLimits = ActivationLimits()
    ) throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        _ = try Converter(
            source: SafetensorsFolder(path: ReferenceCase(name: name).folder.path),
            recipe: Recipe(weights: weights)
        ).write(to: path, packaging: Packaging(name: name, creator: "tests"))
        let file = try ModelFile(path: path)
        model = try Glm4v(
            file: file, contextLength: tokenCapacity, activations: limits, on: backend, threadCount: 2)
        features = try VisualFeatureStore(
            columns: model.configuration.text.hiddenSize, capacity: tokenCapacity, on: backend)
        pool = try KVPool(for: model.configuration.text, tokenCapacity: tokenCapacity, on: backend)
    }

    func makeSequence() -> KVSequence { KVSequence(pool: pool, capacity: pool.pageCount * pool.pageTokens) }

    /// Encodes a picture of smooth colours that `seed` decides, under a number of its own, and holds it.
    func image(width: Int, height: Int, seed: Int = 1) throws -> VisualFeatures {
        var batch = model.makeBatch()
        let made = try append(to: &batch, width: width, height: height, seed: seed)
        guard try model.encode(batch, into: features) else { preconditionFailure("nobody has stopped it") }
        return made
    }

    /// Adds such a picture to a batch.
    @discardableResult
    func append(
        to batch: inout ImageBatch, width: Int, height: Int, seed: Int = 1
    ) throws -> VisualFeatures {
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<3 {
                    pixels.append(UInt8((x * (3 + seed) + y * 5 + channel * 70 * seed) % 256))
                }
            }
        }
        return try batch.append(pixels, width: width, height: height, for: model, in: features)
    }

    /// Runs what `sequence` lacks of `inputs`; the logits of the last position, or of all.
    func forward(
        _ inputs: InputSequence, _ sequence: KVSequence, _ rows: Glm4v.LogitRows = .last
    ) throws -> [Float] {
        var values: [Float] = []
        try unsafe model.forward(inputs, into: sequence, logits: rows) {
            unsafe values.append(contentsOf: $0)
        }
        return values
    }
}

extension Glm4v {
    /// How the model's own settings cut an image.
    func cut(width: Int, height: Int) throws -> PatchCut {
        guard let vision = configuration.vision, let settings = configuration.image else {
            preconditionFailure("a model that sees")
        }
        return try ImagePreprocessor(settings: settings, vision: vision).cut(width: width, height: height)
    }
}

extension ImageBatch {
    /// Adds an image as `model` cuts it, under `number` or one of its own.
    mutating func append(
        _ pixels: [UInt8], width: Int, height: Int, for model: Glm4v, as number: UInt128? = nil,
        in store: VisualFeatureStore
    ) throws -> VisualFeatures {
        let cut = try model.cut(width: width, height: height)
        let grid = ImageGrid(height: cut.gridHeight / cut.mergeSize, width: cut.gridWidth / cut.mergeSize)
        let features = VisualFeatures(of: number ?? .random(in: 0 ... .max), grid: grid, in: store)
        append(pixels, cut, as: features)
        return features
    }
}

/// `count` ids of text below the special ones, the same each time.
func textTokens(_ count: Int, seed: Int = 1) -> [Int32] {
    var random = SeededGenerator(seed: UInt64(seed))
    return (0..<count).map { _ in Int32(random.next() % 130) }
}
