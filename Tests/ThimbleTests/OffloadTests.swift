//! Holds models whose first layers the CPU computes, and the rest a Vulkan device, against the CPU alone.

import Foundation
import Memory
import Models
import TestSupport
import Testing
import Tokenizers

@testable import Thimble

private let reader = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path

private let question = """
    [gMASK]<sop><|user|>
    <|begin_of_image|><|image|><|end_of_image|>Transcribe the page.<|assistant|>

    """

/// The first lines of a page of prose.
private func page(_ engine: Engine) throws -> RGBImage {
    let folder = try TemporaryDirectory()
    let text = NeedlePages(seed: 3, charactersPerPage: 320).pages[0]
    var settings = try engine.pageSettings()
    settings.pageSize = (588, 84)
    let path = try folder.write(text.utf8, to: "page.txt")
    return try PagedDocument(path: path, settings: settings).page(0)
}

/// What is written on the page, as far as `count` tokens go.
private func transcription(_ page: RGBImage, by session: Session, _ count: Int = 24) throws -> String {
    var options = GenerationOptions()
    options.maximumTokens = count
    options.showsSpecialTokens = true
    return try session.complete(raw: question, images: [page], options) { _ in }.text
}

/// The logits of the question and the page, of every position.
private func logits(_ page: RGBImage, _ engine: Engine) throws -> [Float] {
    var values: [Float] = []
    let tokens = try engine.requireTokenizer().encode(trusted: question)
    try unsafe engine.logits(of: tokens, images: [page]) { unsafe values.append(contentsOf: $0) }
    return values
}

extension VulkanModelTests {
    /// Wherever the model is cut, the last cut leaving the device the output matrix alone.
    @Test static func everyCutSaysWhatTheCPUSays() throws {
        let cpu = try ModelDevice.cpu.engine(reader, contextLength: 256)
        let page = try page(cpu)
        let expected = try transcription(page, by: cpu.makeSession())
        let expectedLogits = try logits(page, cpu)
        let layerCount = cpu.model.configuration.text.layerCount
        let vocabulary = cpu.model.configuration.text.vocabularySize
        for deviceLayers in 0..<layerCount {
            let engine = try device.engine(reader, contextLength: 256) {
                $0.deviceLayerCount = deviceLayers
            }
            #expect(engine.plan.offloadedLayerCount == layerCount - deviceLayers)
            #expect(engine.plan.parts.map(\.share.layers.count) == [layerCount - deviceLayers, deviceLayers])
            #expect(engine.stepDecoder != nil)
            #expect(try transcription(page, by: engine.makeSession()) == expected, "\(deviceLayers) layers")
            let agreement = LogitsAgreement(
                try logits(page, engine), from: expectedLogits, vocabulary: vocabulary)
            #expect(agreement.meanDivergence < 1e-3, "\(deviceLayers) layers: \(agreement)")
        }
    }
}
