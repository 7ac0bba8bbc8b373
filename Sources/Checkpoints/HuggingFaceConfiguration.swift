//! config.json and its companions of a Hugging Face folder, as a ModelConfiguration.

internal import JSON
public import ModelFile

/// Reads the configuration files of a folder that `transformers` wrote.
///
/// Keys, defaults and spellings are those of the `glm4v` and `glm4` configuration classes of transformers
/// 4.5x and 5.x; both token-id sets (GLM-4.1V and GLM-4.6V) and both ways to spell the rotary settings are
/// read.
public enum HuggingFaceConfiguration {
    /// The configuration of the model in `folder`: config.json, and generation_config.json and
    /// preprocessor_config.json where they are present.
    public static func read(folder: String) throws(CheckpointError) -> ModelConfiguration {
        let config = try JSONSection("\(folder)/config.json")
        let generation = try JSONSection(ifPresent: "\(folder)/generation_config.json")
        let preprocessor = try JSONSection(ifPresent: "\(folder)/preprocessor_config.json")
        return try read(config, generation: generation, preprocessor: preprocessor)
    }

    /// The configuration that one config.json gives, whatever its name; what else a folder would say is left
    /// at its defaults.
    public static func read(configurationPath path: String) throws(CheckpointError) -> ModelConfiguration {
        try read(try JSONSection(path), generation: nil, preprocessor: nil)
    }

    static func read(
        _ config: JSONSection, generation: JSONSection?, preprocessor: JSONSection?
    ) throws(CheckpointError) -> ModelConfiguration {
        var configuration: ModelConfiguration
        switch try architecture(config) {
        case .glm4v:
            configuration = try glm4v(config, generation: generation, preprocessor: preprocessor)
        case .glm4:
            configuration = ModelConfiguration(
                architecture: .glm4, text: try text(config, in: .glm4, root: config), vision: nil,
                tokens: SpecialTokens(
                    endOfSequence: try endOfSequence(
                        [config, generation], otherwise: [151329, 151336, 151338]),
                    image: nil, imageStart: nil, imageEnd: nil, video: nil),
                image: nil, generation: try generationDefaults(generation))
        }
        configuration.tokens.removeIDs(from: configuration.text.vocabularySize)
        do throws(ConfigurationFault) {
            try configuration.validate()
        } catch {
            throw CheckpointError(.unsupported, file: config.file, "\(error)")
        }
        return configuration
    }

    private static func architecture(
        _ config: JSONSection
    ) throws(CheckpointError) -> ModelConfiguration.Architecture {
        let known: [String: ModelConfiguration.Architecture] = [
            "Glm4vForConditionalGeneration": .glm4v, "Glm4ForCausalLM": .glm4,
        ]
        let supported = "and \(known.keys.sorted().joined(separator: " and ")) are supported"
        guard case .array(let names) = config.members["architectures"] else {
            throw config.fault("architectures", supported)
        }
        guard names.count == 1, case .string(let name) = names[0], let architecture = known[name] else {
            let shown = names.prefix(4).map(\.summary).joined(separator: ", ")
            throw CheckpointError(
                .unsupported, file: config.file, "architectures is [\(shown)], \(supported)")
        }
        return architecture
    }

    private static func glm4v(
        _ config: JSONSection, generation: JSONSection?, preprocessor: JSONSection?
    ) throws(CheckpointError) -> ModelConfiguration {
        let emptyText = JSONSection(file: config.file, path: "text_config.", members: [:])
        let textConfig = try config.section("text_config") ?? emptyText
        let emptyVision = JSONSection(file: config.file, path: "vision_config.", members: [:])
        let visionConfig = try config.section("vision_config") ?? emptyVision
        let vision = try vision(visionConfig)
        return ModelConfiguration(
            architecture: .glm4v, text: try text(textConfig, in: .glm4v, root: config), vision: vision,
            tokens: SpecialTokens(
                endOfSequence: try endOfSequence([textConfig, config, generation], otherwise: []),
                image: try config.integer("image_token_id") ?? 151343,
                imageStart: try config.integer("image_start_token_id") ?? 151339,
                imageEnd: try config.integer("image_end_token_id") ?? 151340,
                video: try config.integer("video_token_id") ?? 151344),
            image: try imageSettings(preprocessor, vision: vision),
            generation: try generationDefaults(generation))
    }

    // MARK: Decoder

    private static func text(
        _ config: JSONSection, in architecture: ModelConfiguration.Architecture, root: JSONSection
    ) throws(CheckpointError) -> TextConfiguration {
        try requireSilu(config)
        let isText = architecture == .glm4
        let hiddenSize = try config.integer("hidden_size") ?? 4096
        let headCount = try config.integer("num_attention_heads") ?? 32
        guard headCount > 0, hiddenSize >= headCount else {
            throw config.fault(
                "num_attention_heads", "which hidden_size \(hiddenSize) cannot be shared among")
        }
        // The reference's glm4v attention takes the quotient whatever head_dim says; its angles do not.
        let statedHeadSize = try config.integer("head_dim") ?? (isText ? 128 : nil)
        let quotient = hiddenSize / headCount
        let headSize = isText ? statedHeadSize ?? quotient : quotient
        let rope = try RopeSettings(config, defaultRotaryFactor: isText ? 0.5 : 1)
        // The reference's glm4v attention has these biases whatever attention_bias says.
        let hasBias = try config.bool("attention_bias") ?? true || !isText
        let outerTies = try root.bool("tie_word_embeddings") ?? false
        let innerTies = try config.bool("tie_word_embeddings") ?? false
        return TextConfiguration(
            hiddenSize: hiddenSize, layerCount: try config.integer("num_hidden_layers") ?? 40,
            headCount: headCount, kvHeadCount: try config.integer("num_key_value_heads") ?? 2,
            headSize: headSize, intermediateSize: try config.integer("intermediate_size") ?? 13696,
            vocabularySize: try config.integer("vocab_size") ?? 151552,
            maximumPositions: try config.integer("max_position_embeddings") ?? (isText ? 131072 : 32768),
            rmsNormEpsilon: Float(try config.number("rms_norm_eps") ?? (isText ? 1.5625e-7 : 1e-5)),
            ropeTheta: Float(rope.theta), rotarySize: try rope.rotarySize(of: statedHeadSize ?? headSize),
            mropeSections: isText ? [] : rope.sections, hasQKVBias: hasBias,
            tiesEmbedding: outerTies || innerTies)
    }

    private static func requireSilu(_ config: JSONSection) throws(CheckpointError) {
        guard try config.string("hidden_act") ?? "silu" == "silu" else {
            throw config.fault("hidden_act", "and only \"silu\" is supported")
        }
    }

    // MARK: Vision tower

    private static func vision(_ config: JSONSection) throws(CheckpointError) -> VisionConfiguration {
        try requireSilu(config)
        let patchSize = try config.integer("patch_size") ?? 14
        let imageSize = try config.integer("image_size") ?? 336
        guard patchSize > 0, imageSize >= patchSize else {
            throw config.fault("patch_size", "which does not cut image_size \(imageSize) into patches")
        }
        var ropeTheta = 10_000.0
        if let rope = try config.section("rope_parameters") {
            guard ["axial", "default"].contains(try rope.string("rope_type") ?? "axial") else {
                throw rope.fault("rope_type", "and only \"axial\" is supported")
            }
            ropeTheta = try rope.number("rope_theta") ?? ropeTheta
        }
        return VisionConfiguration(
            hiddenSize: try config.integer("hidden_size") ?? 1536,
            depth: try config.integer("depth") ?? 24,
            headCount: try config.integer("num_heads") ?? 12,
            mergerIntermediateSize: try config.integer("intermediate_size") ?? 13696,
            outputSize: try config.integer("out_hidden_size") ?? 4096,
            patchSize: patchSize, temporalPatchSize: try config.integer("temporal_patch_size") ?? 2,
            mergeSize: try config.integer("spatial_merge_size") ?? 2,
            channelCount: try config.integer("in_channels") ?? 3,
            positionGridSize: imageSize / patchSize,
            rmsNormEpsilon: Float(try config.number("rms_norm_eps") ?? 1e-5), ropeTheta: Float(ropeTheta),
            hasQKVBias: try config.bool("attention_bias") ?? false)
    }

    /// The processor's settings; the processor's own defaults where the file or a key is missing.
    private static func imageSettings(
        _ config: JSONSection?, vision: VisionConfiguration
    ) throws(CheckpointError) -> ImageSettings {
        let config = config ?? JSONSection(file: "preprocessor_config.json", members: [:])
        let fixed = [
            ("patch_size", vision.patchSize), ("temporal_patch_size", vision.temporalPatchSize),
            ("merge_size", vision.mergeSize),
        ]
        for (key, expected) in fixed where try config.integer(key) ?? expected != expected {
            throw config.fault(key, "and config.json says \(expected)")
        }
        for key in ["do_resize", "do_rescale", "do_normalize"] where try config.bool(key) == false {
            throw config.fault(key, "and only true is supported")
        }
        if let factor = try config.number("rescale_factor"), abs(factor * 255 - 1) > 1e-5 {
            throw config.fault("rescale_factor", "and only 1/255 is supported")
        }
        if let resample = try config.integer("resample"), resample != 3 {
            throw config.fault("resample", "and only 3, bicubic, is supported")
        }
        let size = try config.section("size")
        let shortest = try size?.integer("shortest_edge")
        let longest = try size?.integer("longest_edge")
        let minimum = try config.integer("min_pixels")
        let maximum = try config.integer("max_pixels")
        return ImageSettings(
            minimumPixels: shortest ?? minimum ?? 112 * 112,
            maximumPixels: longest ?? maximum ?? 28 * 28 * 15_000,
            mean: try config.numbers("image_mean") ?? [0.48145466, 0.4578275, 0.40821073],
            standardDeviation: try config.numbers("image_std") ?? [0.26862954, 0.26130258, 0.27577711])
    }

    // MARK: Generation

    /// The end-of-sequence ids of all sections, united, ascending; `otherwise` where no section has any.
    private static func endOfSequence(
        _ sections: [JSONSection?], otherwise: [Int]
    ) throws(CheckpointError) -> [Int] {
        var ids: Set<Int> = []
        for section in sections {
            if let section { ids.formUnion(try section.oneOrMore("eos_token_id")) }
        }
        return ids.isEmpty ? otherwise : ids.sorted()
    }

    private static func generationDefaults(_ config: JSONSection?) throws(CheckpointError)
        -> GenerationDefaults
    {
        GenerationDefaults(
            samples: try config?.bool("do_sample") ?? false,
            temperature: try config?.number("temperature").map(Float.init),
            topK: try config?.integer("top_k"), topP: try config?.number("top_p").map(Float.init),
            repetitionPenalty: try config?.number("repetition_penalty").map(Float.init))
    }
}

extension SpecialTokens {
    /// Forgets ids that the vocabulary is too small for: a small model often states, or leaves at their
    /// defaults, those of its large siblings, and no text can hold them.
    fileprivate mutating func removeIDs(from vocabularySize: Int) {
        endOfSequence.removeAll { $0 >= vocabularySize }
        for id in [\SpecialTokens.image, \.imageStart, \.imageEnd, \.video] {
            if let value = self[keyPath: id], value >= vocabularySize { self[keyPath: id] = nil }
        }
    }
}

/// The decoder's rotary settings, in whichever of the two spellings.
private struct RopeSettings {
    let theta: Double
    let rotaryFactor: Double
    let sections: [Int]
    private let config: JSONSection

    /// A setting in `rope_scaling` or `rope_parameters` goes before one beside it, as in the reference.
    init(_ config: JSONSection, defaultRotaryFactor: Double) throws(CheckpointError) {
        let scaling = try config.section("rope_scaling")
        let parameters = try config.section("rope_parameters")
        let nested = scaling ?? parameters
        for key in ["rope_type", "type"] {
            guard let nested, let type = try nested.string(key) else { continue }
            guard type == "default" else { throw nested.fault(key, "and only \"default\" is supported") }
        }
        let innerTheta = try nested?.number("rope_theta")
        let outerTheta = try config.number("rope_theta")
        theta = innerTheta ?? outerTheta ?? 10_000
        let innerFactor = try nested?.number("partial_rotary_factor")
        let outerFactor = try config.number("partial_rotary_factor")
        rotaryFactor = innerFactor ?? outerFactor ?? defaultRotaryFactor
        sections = try nested?.integers("mrope_section") ?? [8, 12, 12]
        self.config = nested ?? config
    }

    func rotarySize(of headSize: Int) throws(CheckpointError) -> Int {
        guard rotaryFactor > 0, rotaryFactor <= 1, (1...65_536).contains(headSize) else {
            throw config.fault("partial_rotary_factor", "and 0 to 1 is supported")
        }
        return Int(Double(headSize) * rotaryFactor)
    }
}
