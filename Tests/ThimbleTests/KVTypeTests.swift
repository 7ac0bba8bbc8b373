//! Holds keys and values of 8 and 5 bits against float16: how far logits move, and what the bundled model
//! reads.

import Foundation
import TestSupport
import Testing
import Tokenizers

@testable import Thimble

/// How far a type may move logits from those over float16: Kullback-Leibler divergence in nats, a mean, on
/// small models whose every layer matters.
private func divergenceLimit(_ type: KVType) -> Double {
    switch type {
    case .f16: 0
    case .int8: 1e-3
    case .int5: 2e-2
    }
}

private let packedTypes = [KVType.int8, .int5]

private func engine(_ path: String, _ type: KVType, contextLength: Int? = nil) throws -> Engine {
    var options = EngineOptions()
    options.device = .cpu
    options.threadCount = 2
    options.contextLength = contextLength
    options.kvType = type
    return try Engine(modelPath: path, options: options)
}

private func logits(of engine: Engine, _ tokens: [Int32], _ images: [RGBImage]) throws -> [Float] {
    var values: [Float] = []
    try unsafe engine.logits(of: tokens, images: images) { unsafe values.append(contentsOf: $0) }
    return values
}

/// A reference case as a model of float16 weights, and what it is asked.
private struct ReferenceModel {
    private let folder: TemporaryDirectory
    let path: String
    private let tokens: [Int32]
    private let images: [RGBImage]

    init(_ reference: ReferenceCase) throws {
        folder = try TemporaryDirectory()
        path = folder.path("model.thimble")
        var options = ConversionOptions()
        options.weights = .f16
        _ = try convert(.folder(reference.folder.path), to: path, options)
        tokens = try reference.tokens().map { Int32($0) }
        images = try reference.images().map { try loadImage(path: $0.path) }
    }

    /// The logits of every position.
    func values(of engine: Engine) throws -> [Float] { try logits(of: engine, tokens, images) }

    /// Holds the logits of an engine whose keys and values are of that type against those over float16.
    func expectNearness(of engine: Engine, _ type: KVType, to float16: [Float]) throws {
        let agreement = try LogitsAgreement(
            values(of: engine), from: float16,
            vocabulary: engine.description.configuration.text.vocabularySize)
        #expect(agreement.meanDivergence < divergenceLimit(type), "\(type): \(agreement)")
        #expect(agreement.meanDivergence > 0, "\(type) is not what was asked for")
    }
}

@Test(arguments: ReferenceCase.all)
func logitsOfPackedKeysAndValuesStayNearThoseOfFloat16(reference: ReferenceCase) throws {
    let model = try ReferenceModel(reference)
    let float16 = try model.values(of: engine(model.path, .f16))
    for type in packedTypes {
        try model.expectNearness(of: engine(model.path, type), type, to: float16)
    }
}

/// Pages of facts, and a question about each.
private struct ReadingTest {
    let page: RGBImage
    let needle: Needle

    init(seed: Int, _ settings: PageSettings) throws {
        let made = NeedlePages(seed: UInt64(seed), pageCount: 1, needleCount: 1 + seed % 8)
        needle = made.needles[seed % made.needles.count]
        let folder = try TemporaryDirectory()
        let document = try PagedDocument(
            path: folder.write(made.pages[0].utf8, to: "page.txt"), settings: settings)
        page = try document.page(0)
    }

    var question: Message { Message(.user, [.image(page), .text(needle.question)]) }

    func answer(_ engine: Engine) throws -> String {
        let session = engine.makeSession()
        session.append(question)
        var options = GenerationOptions()
        options.maximumTokens = 16
        let text = try session.generate(options, receive: { _ in }).text
        return text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// The question and its right answer, with one placeholder for the page.
    func conversation(_ engine: Engine) throws -> [Int32] {
        let format = try #require(engine.chatFormat)
        let tokenizer = try engine.requireTokenizer()
        let prompt = try format.prompt(
            [question.chatMessage], tokenizer: tokenizer, options: ChatOptions(enablesThinking: nil))
        return prompt.ids + tokenizer.encode(needle.answer)
    }
}

private let readerPath = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path

@Test func theReaderReadsPackedKeysAndValuesAsFloat16() throws {
    let float16 = try engine(readerPath, .f16, contextLength: 4096)
    let settings = try float16.pageSettings()
    let tests = try (100..<100 + exampleCount(10)).map { try ReadingTest(seed: $0, settings) }
    let expected = try tests.map { try $0.answer(float16) }
    let right = zip(tests, expected).map { $0.needle.answer == $1 }
    #expect(right.count { $0 } * 10 >= tests.count * 9)
    for type in packedTypes {
        let packed = try engine(readerPath, type, contextLength: 4096)
        let answers = try tests.map { try $0.answer(packed) }
        for (index, answer) in answers.enumerated() where right[index] {
            #expect(answer == expected[index], "\(type), page \(index)")
        }
    }
}

@Test func theReadersLogitsOfAPageStayNearThoseOfFloat16() throws {
    let float16 = try engine(readerPath, .f16, contextLength: 4096)
    let settings = try float16.pageSettings()
    let tests = try (100..<100 + exampleCount(4)).map { try ReadingTest(seed: $0, settings) }
    let conversations = try tests.map { try $0.conversation(float16) }
    let expected = try zip(tests, conversations).map { try logits(of: float16, $1, [$0.page]) }
    let vocabulary = float16.description.configuration.text.vocabularySize
    for type in packedTypes {
        let packed = try engine(readerPath, type, contextLength: 4096)
        let values = try zip(tests, conversations).map { try logits(of: packed, $1, [$0.page]) }
        let whole = LogitsAgreement(
            values.flatMap(\.self), from: expected.flatMap(\.self), vocabulary: vocabulary)
        // The rows behind the page: the question's, and those that the answer is read from.
        let behind = 30 * vocabulary
        let text = LogitsAgreement(
            values.flatMap { $0.suffix(behind) }, from: expected.flatMap { $0.suffix(behind) },
            vocabulary: vocabulary)
        #expect(whole.meanDivergence < divergenceLimit(type), "\(type): \(whole)")
        #expect(text.meanDivergence < divergenceLimit(type), "\(type): \(text)")
        #expect(whole.meanDivergence > 0, "\(type) is not what was asked for")
    }
}

extension VulkanModelTests {
    /// Wherever the model is cut: the device has all layers, or the processor the first.
    @Test(arguments: ReferenceCase.examples)
    static func logitsOfPackedKeysAndValuesStayNearThoseOfFloat16(reference: ReferenceCase) throws {
        let model = try ReferenceModel(reference)
        let float16 = try model.values(of: device.engine(model.path))
        for (type, layers) in packedTypes.flatMap({ [($0, nil), ($0, 1)] }) as [(KVType, Int?)] {
            let engine = try device.engine(model.path) {
                ($0.kvType, $0.deviceLayerCount, $0.passageRows) = (type, layers, .max)
            }
            try model.expectNearness(of: engine, type, to: float16)
        }
    }
}
