//! A small model file for the container's tests.

import Foundation
import ModelFile
import Tensors

enum SampleModel {
    static let configuration = ModelConfiguration(
        architecture: .glm4,
        text: TextConfiguration(
            hiddenSize: 64, layerCount: 1, headCount: 4, kvHeadCount: 2, headSize: 16, intermediateSize: 128,
            vocabularySize: 100, maximumPositions: 512, rmsNormEpsilon: 1e-5, ropeTheta: 10_000,
            rotarySize: 8,
            mropeSections: [], hasQKVBias: true, tiesEmbedding: false),
        vision: nil,
        tokens: SpecialTokens(endOfSequence: [1], image: nil, imageStart: nil, imageEnd: nil, video: nil),
        image: nil,
        generation: GenerationDefaults(
            samples: false, temperature: nil, topK: nil, topP: nil, repetitionPenalty: nil))

    static let description = ModelDescription(
        name: "sample", creator: "tests", recipe: "q4", configuration: configuration, chatFormat: "glm",
        pageSettings: "{\"dpi\":72}")

    static let tokenizer = Array("a tokenizer".utf8)
    static let vector: [Float] = (0..<33).map { Float($0) / 8 }

    /// Bytes that compress by about half: random in the low half of each byte.
    static func bytes(_ count: Int, seed: UInt64, mask: UInt8 = 0x0F) -> [UInt8] {
        var state = seed
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56) & mask
        }
    }

    /// A q4 matrix of 700 x 1024 (a codes plane of more than a block), a vector, an incompressible f16
    /// matrix.
    static let layout = WeightLayout(rows: 700, columns: 1024, format: .q4(group: 32))
    static let codes = bytes(layout.codesByteCount, seed: 1)
    static let scales = bytes(layout.scalesByteCount, seed: 2, mask: 0xFF)
    static let noiseLayout = WeightLayout(rows: 40, columns: 70, format: .f16)
    static let noise = bytes(noiseLayout.codesByteCount, seed: 3, mask: 0xFF)

    static func write(to path: String, threadCount: Int = 2) throws {
        var writer = try ModelFileWriter(path: path, threadCount: threadCount)
        try appendSegments(to: &writer)
        try writer.commit(description)
    }

    static func appendSegments(to writer: inout ModelFileWriter) throws {
        try writer.appendData("tokenizer", tokenizer)
        try writer.beginSegment("layers.0")
        try append("qkv", layout, codes, scales, to: &writer)
        try writer.appendVector("norm", vector)
        try append("noise", noiseLayout, noise, [], to: &writer)
        try writer.endSegment()
        try writer.appendData("empty", [])
    }

    private static func append(
        _ name: String, _ layout: WeightLayout, _ codes: [UInt8], _ scales: [UInt8],
        to writer: inout ModelFileWriter
    ) throws {
        try writer.beginMatrix(name, rows: layout.rows, columns: layout.columns, format: layout.format)
        // In uneven pieces, as a converter sends them.
        for start in stride(from: 0, to: codes.count, by: 100_000) {
            let piece = Array(codes[start..<min(codes.count, start + 100_000)])
            try unsafe piece.withUnsafeBytes { try unsafe writer.appendCodes($0) }
        }
        unsafe scales.withUnsafeBytes { unsafe writer.appendScales($0) }
        try writer.endTensor()
    }
}
