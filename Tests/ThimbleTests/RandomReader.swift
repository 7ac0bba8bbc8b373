//! A model of random weights that reads pages, and what tests ask of it.

import Checkpoints
import Documents
import Foundation
import ModelFile
import Tensors
import TestSupport
import Testing
import Tokenizers

@testable import Thimble

/// A model of random weights that sees, with the reader's chat format and a tokenizer to match.
struct RandomReader {
    private let folder: TemporaryDirectory
    let path: String
    let engine: Engine
    private let contextLength: Int

    /// `endsWith` are the ids that end an answer.
    init(contextLength: Int = 512, endsWith: [Int] = [], seed: UInt64 = 3) throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("model.thimble")
        let tokenizer = try Tokenizer(json: Fixtures.bytes("tokenizers/reader.json"))
        var configuration = try HuggingFaceConfiguration.read(
            configurationPath: Fixtures.url("reference/two-images-head128/config.json").path)
        configuration.text.vocabularySize = tokenizer.count
        configuration.tokens = SpecialTokens(
            endOfSequence: endsWith, image: tokenizer.id(ofSpecial: "<|image|>").map { Int($0) },
            imageStart: nil, imageEnd: nil, video: nil)
        configuration.image = ImageSettings(
            minimumPixels: 2 * 56 * 56, maximumPixels: 2 * 280 * 280, mean: [0.5, 0.5, 0.5],
            standardDeviation: [0.25, 0.25, 0.25])
        let source = try RandomSource(configuration: configuration, seed: seed)
        _ = try Converter(source: source, recipe: Recipe(weights: .f16)).write(
            to: path,
            packaging: Packaging(
                name: "random", creator: "tests", chatFormat: "reader",
                data: [(name: "tokenizer", bytes: tokenizer.serialized())]))
        self.folder = folder
        self.path = path
        self.contextLength = contextLength
        engine = try Self.load(path, contextLength) { _ in }
    }

    /// Loads the model once more, with other options.
    func load(_ change: (inout EngineOptions) -> Void = { _ in }) throws -> Engine {
        try Self.load(path, contextLength, change)
    }

    private static func load(
        _ path: String, _ contextLength: Int, _ change: (inout EngineOptions) -> Void
    ) throws -> Engine {
        var options = EngineOptions()
        options.threadCount = 2
        options.contextLength = contextLength
        change(&options)
        return try Engine(modelPath: path, options: options)
    }
}

/// A picture that `seed` decides.
func picture(_ seed: Int, width: Int = 112, height: Int = 84) -> RGBImage {
    var pixels: [UInt8] = []
    for index in 0..<width * height * 3 {
        pixels.append(UInt8((index * (2 * seed + 1) / 7 + seed * 40) % 256))
    }
    return RGBImage(width: width, height: height, pixels: pixels)
}

/// Options of an answer of `count` tokens.
func options(_ count: Int?) -> GenerationOptions {
    var options = GenerationOptions()
    options.maximumTokens = count
    // Unpenalised, random weights may say one token for ever.
    options.sampling.repetitionPenalty = 1.3
    options.showsSpecialTokens = true
    return options
}

/// What a session answers.
@discardableResult
func answer(_ session: Session, _ count: Int? = 8) throws -> GenerationResult {
    try session.generate(options(count)) { _ in }
}

/// The answer that an engine gives which has computed nothing yet.
func freshAnswer(
    _ reader: RandomReader, _ messages: [Message], _ count: Int = 8
) throws -> GenerationResult {
    let session = try reader.load().makeSession()
    for message in messages { session.append(message) }
    let result = try answer(session, count)
    #expect(result.cachedTokens == 0)
    return result
}
