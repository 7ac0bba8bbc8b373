//! The config.json of a model that is made, loaded and run in a moment.

import Foundation

/// A model of 2 layers and 64 channels that sees, around the token ids of the reader's tokenizer.
public enum TinyConfiguration {
    /// The text of its config.json.
    public static func json(contextLength: Int = 32_768) -> String {
        """
        {"architectures": ["Glm4vForConditionalGeneration"], "model_type": "glm4v", "dtype": "bfloat16",
         "image_start_token_id": 1014, "image_end_token_id": 1015, "image_token_id": 1018,
         "video_start_token_id": 1016, "video_end_token_id": 1017, "video_token_id": 1019,
         "tie_word_embeddings": false,
         "text_config": {"model_type": "glm4v_text", "eos_token_id": [1004, 1011, 1013], "hidden_act": "silu",
           "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
           "num_key_value_heads": 1, "max_position_embeddings": \(contextLength), "rms_norm_eps": 1e-05,
           "vocab_size": 1024, "attention_bias": true, "pad_token_id": 1004,
           "rope_parameters": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5,
             "mrope_section": [2, 3, 3]}},
         "vision_config": {"model_type": "glm4v_vision", "depth": 1, "hidden_size": 32, "num_heads": 2,
           "image_size": 112, "patch_size": 14, "temporal_patch_size": 2, "spatial_merge_size": 2,
           "in_channels": 3, "intermediate_size": 64, "out_hidden_size": 64, "hidden_act": "silu",
           "attention_bias": false, "rms_norm_eps": 1e-05}}
        """
    }

    /// Writes config.json, tokenizer.json and the reader's chat template into `folder`, as a checkpoint has
    /// them; returns the configuration's path.
    @discardableResult
    public static func write(to folder: TemporaryDirectory, contextLength: Int = 32_768) throws -> String {
        try folder.write(Fixtures.bytes("tokenizers/reader.json"), to: "tokenizer.json")
        try folder.write(Fixtures.bytes("tokenizers/templates/reader.jinja"), to: "chat_template.jinja")
        return try folder.write(json(contextLength: contextLength).utf8, to: "config.json")
    }
}
