//! Every published configuration is read, or refused by name.

import Foundation
import ModelFile
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct HuggingFaceConfigurationTests {
    /// Reads published files by name, with keys replaced: a path of keys, and JSON or nil to remove.
    func read(
        _ config: String, generation: String? = nil, preprocessor: String? = nil,
        replacing changes: [(String, String?)] = []
    ) throws -> ModelConfiguration {
        let folder = try TemporaryDirectory()
        for (name, source) in [
            ("config", config), ("generation_config", generation), ("preprocessor_config", preprocessor),
        ] {
            guard let source else { continue }
            let data = try Data(contentsOf: URL(fileURLWithPath: Fixtures.path("configs/\(source).json")))
            var object = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
            for (path, json) in changes where name == "config" {
                try Self.set(path.split(separator: ".").map(String.init)[...], json, in: &object)
            }
            try JSONSerialization.data(withJSONObject: object).write(
                to: URL(fileURLWithPath: folder.path("\(name).json")))
        }
        return try HuggingFaceConfiguration.read(folder: folder.url.path)
    }

    static func set(_ path: ArraySlice<String>, _ json: String?, in object: inout [String: Any]) throws {
        if path.count == 1 {
            object[path.first!] = try json.map {
                try JSONSerialization.jsonObject(with: Data($0.utf8), options: .fragmentsAllowed)
            }
        } else {
            var inner = object[path.first!] as? [String: Any] ?? [:]
            try set(path.dropFirst(), json, in: &inner)
            object[path.first!] = inner
        }
    }

    @Test func glm41vIsReadWithTheOlderRotarySpelling() throws {
        let configuration = try read(
            "GLM-4.1V-9B-Thinking.config", preprocessor: "GLM-4.1V-9B-Thinking.preprocessor_config")
        let text = configuration.text
        #expect(configuration.architecture == .glm4v)
        #expect(
            text.hiddenSize == 4096 && text.layerCount == 40 && text.headCount == 32 && text.kvHeadCount == 2)
        #expect(text.headSize == 128 && text.intermediateSize == 13696 && text.vocabularySize == 151552)
        #expect(text.maximumPositions == 65536 && text.ropeTheta == 10_000 && text.rotarySize == 64)
        #expect(text.mropeSections == [8, 12, 12] && text.hasQKVBias && !text.tiesEmbedding)
        let vision = try #require(configuration.vision)
        #expect(vision.hiddenSize == 1536 && vision.depth == 24 && vision.headSize == 128)
        #expect(
            vision.mergerIntermediateSize == 13696 && vision.outputSize == 4096
                && vision.positionGridSize == 24)
        #expect(vision.patchElementCount == 1176 && !vision.hasQKVBias)
        #expect(configuration.tokens.image == 151343 && configuration.tokens.video == 151344)
        #expect(configuration.tokens.endOfSequence == [151329, 151336, 151338, 151348])
        #expect(
            configuration.image?.minimumPixels == 12544 && configuration.image?.maximumPixels == 9_633_792)
    }

    @Test func glm46vFlashIsReadWithTheNewerRotarySpelling() throws {
        let configuration = try read(
            "GLM-4.6V-Flash.config", generation: "GLM-4.6V.generation_config",
            preprocessor: "GLM-4.6V.preprocessor_config")
        #expect(configuration.text.ropeTheta == 500_000 && configuration.text.rotarySize == 64)
        #expect(configuration.text.maximumPositions == 131072)
        #expect(configuration.tokens.image == 151363 && configuration.tokens.video == 151364)
        #expect(configuration.tokens.imageStart == 151339 && configuration.tokens.imageEnd == 151340)
        #expect(
            configuration.generation
                == GenerationDefaults(
                    samples: true, temperature: 0.8, topK: 2, topP: 0.6, repetitionPenalty: nil))
    }

    @Test func glm4IsReadAsTextOnly() throws {
        let configuration = try read("GLM-4-9B-0414.config", generation: "GLM-4-9B-0414.generation_config")
        #expect(
            configuration.architecture == .glm4 && configuration.vision == nil && configuration.image == nil)
        #expect(configuration.text.rotarySize == 64 && configuration.text.mropeSections == [])
        #expect(
            configuration.tokens.endOfSequence == [151329, 151336, 151338]
                && configuration.tokens.image == nil)
    }

    @Test(arguments: [
        ("GLM-OCR.config", "GlmOcrForConditionalGeneration"),
        ("GLM-ASR-Nano.config", "GlmAsrForConditionalGeneration"),
    ]) func otherArchitecturesAreRefusedByName(config: String, architecture: String) throws {
        let error = #expect(throws: CheckpointError.self) { try read(config) }
        #expect(error?.code == .unsupported)
        #expect(error?.detail.contains("architectures is [\"\(architecture)\"]") == true)
        #expect(error?.file.hasSuffix("/config.json") == true)
    }

    @Test func absentKeysHaveTheReferenceDefaults() throws {
        let absent = ["rope_parameters", "hidden_size", "num_attention_heads", "vocab_size", "rms_norm_eps"]
        let changes: [(String, String?)] =
            absent.map { ("text_config.\($0)", nil) } + [("vision_config", nil), ("image_token_id", nil)]
            + [("text_config.rope_parameters", "{\"mrope_section\": [16, 24, 24]}")]
        let configuration = try read("GLM-4.6V-Flash.config", replacing: changes)
        #expect(configuration.text.hiddenSize == 4096 && configuration.text.headCount == 32)
        // Without partial_rotary_factor the reference rotates the whole head.
        #expect(configuration.text.ropeTheta == 10_000 && configuration.text.rotarySize == 128)
        #expect(configuration.vision?.depth == 24 && configuration.tokens.image == 151343)
        // The processor's own limit, not the published file's.
        #expect(configuration.image?.maximumPixels == 28 * 28 * 15_000)
        let glm4 = try read(
            "GLM-4-9B-0414.config", replacing: [("partial_rotary_factor", nil), ("eos_token_id", nil)])
        #expect(glm4.text.rotarySize == 64 && glm4.tokens.endOfSequence == [151329, 151336, 151338])
    }

    @Test func biasesOfGlm4vDoNotDependOnAttentionBias() throws {
        let image = try read("GLM-4.6V-Flash.config", replacing: [("text_config.attention_bias", "false")])
        #expect(image.text.hasQKVBias)
        #expect(try !read("GLM-4-9B-0414.config", replacing: [("attention_bias", "false")]).text.hasQKVBias)
    }

    @Test func idsBeyondTheVocabularyAreForgotten() throws {
        let small = try read("GLM-4.6V-Flash.config", replacing: [("text_config.vocab_size", "1000")])
        #expect(small.tokens.endOfSequence == [] && small.tokens.image == nil)
        let missing = try read("GLM-4.6V-Flash.config", replacing: [("image_token_id", "151552")])
        #expect(missing.tokens.image == nil && missing.tokens.imageStart != nil)
    }

    @Test func headsThatDoNotFillTheHiddenSizeAreRead() throws {
        // 4096 / 31 is 132, and half of that is rotated.
        let configuration = try read(
            "GLM-4.6V-Flash.config",
            replacing: [
                ("text_config.num_attention_heads", "31"), ("text_config.num_key_value_heads", "1"),
                ("text_config.rope_parameters.mrope_section", "[10, 11, 12]"),
            ])
        #expect(configuration.text.headSize == 132 && configuration.text.rotarySize == 66)
    }

    @Test func endOfSequenceIdsAreUnited() throws {
        let configuration = try read(
            "GLM-4.6V-Flash.config", generation: "GLM-4.6V.generation_config",
            replacing: [("text_config.eos_token_id", "7"), ("eos_token_id", "[9]")])
        #expect(configuration.tokens.endOfSequence == [7, 9, 151329, 151336, 151338])
    }

    @Test(arguments: [
        (
            "text_config.rope_parameters.rope_type", "\"yarn\"",
            "text_config.rope_parameters.rope_type is \"yarn\""
        ),
        ("text_config.hidden_act", "\"gelu\"", "text_config.hidden_act is \"gelu\""),
        ("vision_config.hidden_act", "\"gelu\"", "vision_config.hidden_act is \"gelu\""),
        ("text_config.head_dim", "512", "text.rotarySize is 256, and 1 to 128 is supported"),
        ("text_config.head_dim", "-1", "partial_rotary_factor"),
        ("text_config.num_attention_heads", "8", "text.headSize is 512"),
        ("text_config.hidden_size", "31", "num_attention_heads is 32"),
        ("text_config.hidden_size", "-1", "num_attention_heads is 32"),
        ("text_config.hidden_size", "\"big\"", "text_config.hidden_size is \"big\""),
        ("text_config.hidden_size", "1e300", "text_config.hidden_size"),
        ("text_config.num_attention_heads", "0", "num_attention_heads is 0"),
        ("text_config.num_key_value_heads", "5", "text.headCount is 32, not a multiple of 5"),
        ("text_config.num_hidden_layers", "100000", "text.layerCount is 100000"),
        ("text_config.rms_norm_eps", "0", "text.rmsNormEpsilon"),
        ("text_config.rope_parameters.rope_theta", "-1", "text.ropeTheta"),
        ("text_config.rope_parameters.partial_rotary_factor", "7", "partial_rotary_factor is 7"),
        ("text_config.rope_parameters.mrope_section", "[1, 2]", "text.mropeSections is [1, 2]"),
        ("vision_config.out_hidden_size", "2048", "vision.outputSize is 2048"),
        ("vision_config.patch_size", "0", "vision_config.patch_size is 0"),
        ("vision_config.patch_size", "[14, 14]", "vision_config.patch_size is an array"),
        ("vision_config.num_heads", "0", "vision.headCount is 0"),
        ("vision_config.num_heads", "7", "vision.hiddenSize is 1536, not a multiple of 7"),
        ("vision_config.in_channels", "4", "vision.channelCount is 4"),
        ("image_token_id", "-1", "tokens.image is -1"),
        ("text_config", "3", "text_config is 3"),
        ("architectures", "[]", "architectures is []"),
        ("architectures", "null", "architectures is missing"),
    ]) func whatIsNotSupportedIsNamed(key: String, value: String, message: String) throws {
        let error = #expect(throws: CheckpointError.self) {
            try read("GLM-4.6V-Flash.config", replacing: [(key, value)])
        }
        #expect(error?.code == .unsupported)
        #expect(error?.detail.contains(message) == true, "\(error?.detail ?? "")")
    }

    @Test func bothSpellingsOfPixelLimitsAreRead() throws {
        let folder = try TemporaryDirectory()
        try FileManager.default.copyItem(
            atPath: Fixtures.path("configs/GLM-4.6V-Flash.config.json"), toPath: folder.path("config.json"))
        try Data("{\"min_pixels\": 1000, \"max_pixels\": 2000}".utf8).write(
            to: URL(fileURLWithPath: folder.path("preprocessor_config.json")))
        let image = try #require(try HuggingFaceConfiguration.read(folder: folder.url.path).image)
        #expect(image.minimumPixels == 1000 && image.maximumPixels == 2000)
        try Data("{\"patch_size\": 16}".utf8).write(
            to: URL(fileURLWithPath: folder.path("preprocessor_config.json")))
        let error = #expect(throws: CheckpointError.self) {
            try HuggingFaceConfiguration.read(folder: folder.url.path)
        }
        #expect(error?.detail == "patch_size is 16, and config.json says 14")
    }

    @Test func aMissingConfigurationIsNamed() throws {
        let error = #expect(throws: CheckpointError.self) {
            try HuggingFaceConfiguration.read(folder: "/nonexistent")
        }
        #expect(error?.description == "/nonexistent/config.json: there is no such file")
    }
}
