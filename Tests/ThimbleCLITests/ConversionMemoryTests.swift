//! The program holds no tensor while it converts: its peak memory, as the system counts it.

import Foundation
import TestSupport
import Testing

@Suite struct ConversionMemoryTests {
    let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private static let hidden = 512
    private static let intermediate = 16_384
    private static let layers = 6

    /// A decoder of 157 million weights and two tensors `[vocabulary, 512]`, which are the largest.
    private func writeConfiguration(vocabulary: Int, to name: String) throws {
        let json = """
            {"architectures": ["Glm4ForCausalLM"], "model_type": "glm4", "attention_bias": false,
             "eos_token_id": [1], "pad_token_id": 1, "head_dim": 128, "hidden_act": "silu",
             "hidden_size": \(Self.hidden), "intermediate_size": \(Self.intermediate),
             "num_hidden_layers": \(Self.layers), "num_attention_heads": 4, "num_key_value_heads": 1,
             "max_position_embeddings": 4096, "partial_rotary_factor": 0.5, "rms_norm_eps": 1e-05,
             "rope_theta": 10000.0, "tie_word_embeddings": false, "vocab_size": \(vocabulary)}
            """
        try directory.write(json.utf8, to: name)
    }

    /// Names and shapes of the checkpoint's tensors.
    private func tensors(vocabulary: Int) -> [(name: String, shape: [Int])] {
        let hidden = Self.hidden
        var tensors = [
            ("model.embed_tokens.weight", [vocabulary, hidden]), ("lm_head.weight", [vocabulary, hidden]),
            ("model.norm.weight", [hidden]),
        ]
        for layer in 0..<Self.layers {
            let named: [(String, [Int])] = [
                ("input_layernorm", [hidden]), ("post_self_attn_layernorm", [hidden]),
                ("post_attention_layernorm", [hidden]), ("post_mlp_layernorm", [hidden]),
                ("self_attn.q_proj", [512, hidden]), ("self_attn.k_proj", [128, hidden]),
                ("self_attn.v_proj", [128, hidden]), ("self_attn.o_proj", [hidden, 512]),
                ("mlp.gate_up_proj", [2 * Self.intermediate, hidden]),
                ("mlp.down_proj", [hidden, Self.intermediate]),
            ]
            tensors += named.map { ("model.layers.\(layer).\($0.0).weight", $0.1) }
        }
        return tensors
    }

    /// Writes a checkpoint of zeros, which take no room on disk; returns the bytes of its file.
    private func writeFolder(type: String, elementByteCount: Int, vocabulary: Int) throws -> Int {
        try writeConfiguration(vocabulary: vocabulary, to: "config.json")
        var (end, entries) = (0, [String]())
        for (name, shape) in tensors(vocabulary: vocabulary) {
            let next = end + shape.reduce(elementByteCount, *)
            entries.append(
                "\"\(name)\":{\"dtype\":\"\(type)\",\"shape\":\(shape),\"data_offsets\":[\(end),\(next)]}")
            end = next
        }
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        let path = try directory.write(length + header, to: "model.safetensors")
        let file = try FileHandle(forUpdating: URL(filePath: path))
        try file.truncate(atOffset: UInt64(8 + header.count + end))
        try file.close()
        return 8 + header.count + end
    }

    /// Bytes of peak memory that the run tells.
    private func peakMemory(_ run: ProgramRun) throws -> Double {
        try #require(run.status == 0, "\(run)")
        let match = try #require(run.errors.firstMatch(of: /peak memory ([0-9.]+) MiB/), "\(run)")
        return try #require(Double(match.1)) * 1_048_576
    }

    private let largestTensor = 64 << 20
    /// Twice the largest tensor and 128 MiB.
    private var limit: Double { Double(2 * largestTensor + (128 << 20)) }

    @Test(arguments: [("f16", 380), ("q4", 130)])
    func randomWeightsAreNeverHeldWhole(weights: String, leastMegabytes: Int) throws {
        // bfloat16, as published: 2 bytes a weight.
        let vocabulary = largestTensor / 2 / Self.hidden
        try writeConfiguration(vocabulary: vocabulary, to: "config.json")
        let output = directory.path("m.thimble")
        let run = try ProgramRun.of(
            "convert", "--random", directory.path("config.json"), "-o", output, "--weights", weights,
            "--threads", "4", "--stats")
        #expect(try peakMemory(run) < limit, "\(run)")
        let size = try #require(
            FileManager.default.attributesOfItem(atPath: output)[.size] as? Int)
        #expect(size > leastMegabytes << 20)
    }

    @Test(arguments: [("F32", 4), ("BF16", 2)])
    func aCheckpointIsNeverHeldWhole(type: String, elementByteCount: Int) throws {
        let vocabulary = largestTensor / elementByteCount / Self.hidden
        let size = try writeFolder(
            type: type, elementByteCount: elementByteCount, vocabulary: vocabulary)
        #expect(Double(size) > 1.6 * limit)
        for weights in ["f16", "q8"] {
            let run = try ProgramRun.of(
                "convert", directory.url.path, "-o", directory.path("m.thimble"), "--weights", weights,
                "--threads", "4", "--stats")
            #expect(try peakMemory(run) < limit, "\(run)")
        }
    }
}
