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
func page(_ engine: Engine) throws -> RGBImage {
    let folder = try TemporaryDirectory()
    let text = NeedlePages(seed: 3, charactersPerPage: 320).pages[0]
    var settings = try engine.pageSettings()
    settings.pageSize = (588, 84)
    let path = try folder.write(text.utf8, to: "page.txt")
    return try PagedDocument(path: path, settings: settings).page(0)
}

/// What is written on the page, as far as `count` tokens go.
func transcription(_ page: RGBImage, by session: Session, _ count: Int = 24) throws -> String {
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
    /// Cut near either end and amid, the first leaving the device the output matrix alone; small models are
    /// cut everywhere below.
    @Test static func everyCutSaysWhatTheCPUSays() throws {
        let cpu = try ModelDevice.cpu.engine(reader, contextLength: 256)
        let page = try page(cpu)
        let expected = try transcription(page, by: cpu.makeSession())
        let expectedLogits = try logits(page, cpu)
        let layerCount = cpu.model.configuration.text.layerCount
        let vocabulary = cpu.model.configuration.text.vocabularySize
        let cuts = [1, layerCount / 2, 0, layerCount - 1]
        for deviceLayers in cuts.prefix(exampleCount(cuts.count)) {
            let engine = try device.engine(reader, contextLength: 256) {
                $0.deviceLayerCount = deviceLayers
                // The prompt is the device's; decoding reads what came back of it.
                $0.passageRows = deviceLayers % 2 == 0 ? 1 : .max
            }
            #expect(engine.plan.hasPassage && engine.plan.offloadedLayerCount == layerCount - deviceLayers)
            #expect(engine.plan.parts.map(\.share.layers.count) == [layerCount - deviceLayers, deviceLayers])
            #expect(engine.stepDecoder != nil)
            #expect(try transcription(page, by: engine.makeSession()) == expected, "\(deviceLayers) layers")
            // Of the tower's 4-bit weights on the device; it alone has as much.
            let agreement = LogitsAgreement(
                try logits(page, engine), from: expectedLogits, vocabulary: vocabulary)
            #expect(agreement.meanDivergence < 3e-3, "\(deviceLayers) layers: \(agreement)")
        }
    }

    @Test(arguments: ReferenceCase.examples)
    static func everyCutHasTheLogitsOfTheReference(reference: ReferenceCase) throws {
        let folder = try TemporaryDirectory()
        var conversion = ConversionOptions()
        conversion.weights = .f16
        let path = folder.path("model.thimble")
        _ = try convert(.folder(reference.folder.path), to: path, conversion)
        let expected = try reference.logits()
        let images = try reference.images().map { try loadImage(path: $0.path) }
        let layerCount = try ModelDevice.cpu.engine(path).model.configuration.text.layerCount
        // By the device alone, to which weights are brought that it fetches by itself or the host copies, or
        // never.
        let ways: [(passes: Bool, reaches: Bool)] = [(false, false), (true, false), (true, true)]
        for (deviceLayers, way) in (0..<layerCount).flatMap({ count in ways.map { (count, $0) } }) {
            // Chunks that prompts are longer than, so that what is handed over comes in several.
            let engine = try device.engine(path) {
                $0.deviceLayerCount = deviceLayers
                $0.chunkTokens = 24
                $0.passageRows = way.passes ? 1 : .max
                $0.reachesHost = way.reaches
            }
            #expect(engine.plan.hasPassage)
            var values: [Float] = []
            try unsafe engine.logits(of: reference.tokens().map { Int32($0) }, images: images) {
                unsafe values.append(contentsOf: $0)
            }
            let agreement = LogitsAgreement(
                values, from: expected.floats(), vocabulary: expected.shape[1], nearTie: 0.02)
            #expect(agreement.meanDivergence < 1e-4, "\(deviceLayers) layers, \(way): \(agreement)")
            #expect(agreement.disagreements.isEmpty, "\(deviceLayers) layers, \(way): \(agreement)")
        }
    }

    /// Limits from far too small to ample for either place: the same answer within both, or a refusal of
    /// which every suggestion works.
    @Test static func bothLimitsAreKeptOrRefusedWithOnesThatWork() throws {
        let cpu = try ModelDevice.cpu.engine(reader, contextLength: 256)
        let page = try page(cpu)
        let expected = try transcription(page, by: cpu.makeSession(), 12)
        var (shared, passing, refused) = (0, 0, 0)
        for deviceMebibytes in [8, 14, 26].prefix(exampleCount(3)) {
            for hostMebibytes in [nil, 40, 69, 84] as [Int?] {
                func change(_ options: inout EngineOptions) {
                    options.limits.device = deviceMebibytes << 20
                    options.limits.host = hostMebibytes.map { $0 << 20 }
                    options.programByteCount = 8 << 20
                    options.imageTokens = 120
                    options.chunkTokens = 64
                }
                var options = EngineOptions()
                change(&options)
                let ledger = Ledger(options.limits)
                let subject = "device \(deviceMebibytes), host \(hostMebibytes ?? 0)"
                do {
                    let engine = try device.engine(reader, contextLength: 256, ledger: ledger, change)
                    if engine.plan.parts.count > 1 { shared += 1 }
                    if engine.plan.streamedByteCount > 0 { passing += 1 }
                    #expect(try transcription(page, by: engine.makeSession(), 12) == expected, "\(subject)")
                    #expect(ledger.peak(.device) <= deviceMebibytes << 20, "\(subject)")
                    #expect(ledger.peak(.host) <= (hostMebibytes ?? .max >> 20) << 20, "\(subject)")
                    for place in MemoryPlace.allCases {
                        #expect(ledger.peak(place) <= engine.plan.byteCount(place), "\(subject), \(place)")
                    }
                } catch let error as ThimbleError {
                    refused += 1
                    #expect(error.code == .budgetExceeded, "\(subject): \(error.message)")
                    try checkSuggestions(error.message, change)
                }
            }
        }
        #expect(
            isSanitized || shared > 4 && passing > 0 && refused > 2,
            "\(shared), \(passing), \(refused)")
    }

    private static func checkSuggestions(
        _ message: String, _ change: (inout EngineOptions) -> Void
    ) throws {
        let list = try #require(message.split(separator: "; give ").last)
        for suggestion in String(list).components(separatedBy: ", or ") where suggestion != "--device cpu" {
            let plan = Result {
                try device.plan(reader, contextLength: 256) { options in
                    change(&options)
                    for flag in suggestion.matches(of: /--([a-z-]+) (\d+)(?:MiB)?/) {
                        let value = Int(flag.2)
                        switch flag.1 {
                        case "device-memory": options.limits.device = value.map { $0 << 20 }
                        case "host-memory": options.limits.host = value.map { $0 << 20 }
                        case "context": options.contextLength = value
                        case "gpu-layers": options.deviceLayerCount = value
                        default: options.imageTokens = value
                        }
                    }
                }
            }
            #expect(throws: Never.self, "\(message): \(suggestion)") { try plan.get() }
        }
    }

    /// Pages of keys and values are the same in both memories, whoever holds them.
    @Test static func sessionsShareWhatBothPlacesHold() throws {
        let cpu = try ModelDevice.cpu.engine(reader, contextLength: 512)
        let page = try page(cpu)
        let engine = try device.engine(reader, contextLength: 512) { $0.deviceLayerCount = 3 }
        let expected = try transcription(page, by: cpu.makeSession(), 40)
        let sessions = (0..<3).map { _ in engine.makeSession() }
        for (index, session) in sessions.enumerated() {
            var options = GenerationOptions()
            options.maximumTokens = 40
            options.showsSpecialTokens = true
            let result = try session.complete(raw: question, images: [page], options) { _ in }
            #expect(result.text == expected)
            #expect(result.cachedTokens >= (index == 0 ? 0 : 48), "what the first has computed")
        }
        // A session goes back into its last page, which others hold too, and writes there.
        #expect(try transcription(page, by: sessions[1], 7) == transcription(page, by: sessions[0], 7))
        #expect(try transcription(page, by: sessions[2], 40) == expected)
    }

    @Test static func tooManyLayersAreRefusedWithAsManyAsFit() throws {
        func change(_ options: inout EngineOptions) {
            options.limits.device = 6 << 20
            options.deviceLayerCount = 7
            options.imageTokens = 120
        }
        let error = #expect(throws: ThimbleError.self) {
            try device.plan(reader, contextLength: 256, change)
        }
        let message = try #require(error?.message)
        #expect(message.contains("--gpu-layers"), "\(message)")
        try checkSuggestions(message, change)
    }

    @Test static func offloadingMayBeForbidden() throws {
        func change(_ options: inout EngineOptions) {
            options.limits.device = 14 << 20
            options.chunkTokens = 64
            options.imageTokens = 120
        }
        #expect(try device.plan(reader, contextLength: 256, change).offloadedLayerCount > 0)
        let error = #expect(throws: ThimbleError.self) {
            try device.plan(reader, contextLength: 256) {
                change(&$0)
                $0.mayOffload = false
            }
        }
        #expect(error?.code == .budgetExceeded)
        #expect(error?.message.contains("--device-memory") == true, "\(error?.message ?? "")")
    }
}
