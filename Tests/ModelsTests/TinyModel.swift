//! A tiny model for the tests of this target: a reference checkpoint, converted and loaded.

import CPUBackend
import Checkpoints
import Foundation
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

    /// Converts the case `name` to float16 and loads it on `backend`.
    init(_ name: String, on backend: any Backend = CPUBackend(threadCount: 2), tokenCapacity: Int = 2048)
        throws
    {
        let folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        _ = try Converter(
            source: SafetensorsFolder(path: ReferenceCase(name: name).folder.path),
            recipe: Recipe(weights: .f16)
        ).write(to: path, packaging: Packaging(name: name, creator: "tests"))
        let file = try ModelFile(path: path)
        model = try Glm4v(file: file, contextLength: tokenCapacity, on: backend, threadCount: 2)
        features = try VisualFeatureStore(
            columns: model.configuration.text.hiddenSize, capacity: tokenCapacity, on: backend)
        pool = try KVPool(for: model.configuration.text, tokenCapacity: tokenCapacity, on: backend)
    }

    func makeSequence() -> KVSequence { KVSequence(pool: pool, capacity: pool.pageCount * pool.pageTokens) }

    /// Encodes a picture of smooth colours that `seed` decides, under a number of its own, and holds it.
    func image(width: Int, height: Int, seed: Int = 1) throws -> VisualFeatures {
        guard let vision = model.configuration.vision, let settings = model.configuration.image else {
            preconditionFailure("a model that sees")
        }
        var pixels: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                for channel in 0..<3 {
                    pixels.append(UInt8((x * (3 + seed) + y * 5 + channel * 70 * seed) % 256))
                }
            }
        }
        let made = try model.encode(
            pixels: pixels.span, width: width, height: height,
            preprocessor: ImagePreprocessor(settings: settings, vision: vision),
            as: UInt128.random(in: 0 ... .max), into: features)
        guard let made else { preconditionFailure("nobody has stopped it") }
        return made
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

/// `count` ids of text below the special ones, the same each time.
func textTokens(_ count: Int, seed: Int = 1) -> [Int32] {
    var random = SeededGenerator(seed: UInt64(seed))
    return (0..<count).map { _ in Int32(random.next() % 130) }
}
