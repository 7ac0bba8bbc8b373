//! The names that Hugging Face gives to a model's tensors, and ours.

import ModelFile
import Tensors

/// Plans every tensor of a model: finds its source tensors and checks their shapes.
struct ModelPlan {
    let source: any TensorSource
    let recipe: Recipe

    private var text: TextConfiguration { source.configuration.text }

    /// The segments in file order. A missing tensor or one of another shape is an error.
    func segments() throws(CheckpointError) -> [SegmentPlan] {
        var plans: [SegmentPlan] = []
        for segment in ModelSchema(source.configuration).segments {
            let format = recipe.format(ofSegment: segment.name)
            var tensors: [TensorPlan] = []
            for tensor in segment.tensors {
                tensors.append(try plan(tensor, in: segment.name, format: format))
            }
            plans.append(SegmentPlan(name: segment.name, tensors: tensors))
        }
        return plans
    }

    private func plan(
        _ tensor: ModelSchema.Tensor, in segment: String, format: WeightFormat
    ) throws(CheckpointError) -> TensorPlan {
        let parts: [TensorPlan.Part]
        if segment.hasPrefix("vision.") {
            parts = try visionParts(of: tensor, in: segment)
        } else if segment.hasPrefix("layers.") {
            parts = try layerParts(of: tensor, prefix: "\(segment).")
        } else {
            parts = try outerParts(of: tensor)
        }
        return TensorPlan(
            target: tensor, format: tensor.kind == .vector ? .f32 : format, parts: parts,
            arrangement: tensor.name == "gate_up" ? .alternating : .concatenated,
            taps: tensor.name == "downsample" ? tensor.columns / source.configuration.vision!.hiddenSize : nil
        )
    }

    // MARK: Names

    /// The names of a decoder's tensor: transformers 4.52 and later, text-only and early checkpoints, and
    /// 4.5x checkpoints of image models.
    private func textTensor(_ name: String, _ shape: [Int]) throws(CheckpointError) -> [TensorPlan.Part] {
        var prefixes = ["model.language_model.", "model.", "language_model.model."]
        if source.configuration.vision == nil { prefixes.swapAt(0, 1) }
        return [try part(prefixes.map { $0 + name }, shape)]
    }

    private func visionTensor(_ name: String, _ shape: [Int]) throws(CheckpointError) -> [TensorPlan.Part] {
        [try part(["model.visual.\(name)", "visual.\(name)"], shape)]
    }

    private func part(_ names: [String], _ shape: [Int]) throws(CheckpointError) -> TensorPlan.Part {
        let tensor = try source.tensor(names, shape: shape)
        return TensorPlan.Part(source: tensor, rows: 0..<tensor.rows)
    }

    // MARK: Decoder

    private func outerParts(of tensor: ModelSchema.Tensor) throws(CheckpointError) -> [TensorPlan.Part] {
        switch tensor.name {
        case "embed_tokens": return try textTensor("embed_tokens.weight", [tensor.rows, tensor.columns])
        case "norm": return try textTensor("norm.weight", [tensor.rows])
        default:
            return [
                try part(["lm_head.weight", "language_model.lm_head.weight"], [tensor.rows, tensor.columns])
            ]
        }
    }

    private func layerParts(
        of tensor: ModelSchema.Tensor, prefix: String
    ) throws(CheckpointError) -> [TensorPlan.Part] {
        let shape = tensor.kind == .vector ? [tensor.rows] : [tensor.rows, tensor.columns]
        switch tensor.name {
        case "qkv", "qkv.bias":
            let suffix = tensor.kind == .vector ? "bias" : "weight"
            let input = shape.dropFirst()
            let heads = [("q", text.headCount), ("k", text.kvHeadCount), ("v", text.kvHeadCount)]
            var parts: [TensorPlan.Part] = []
            for (letter, count) in heads {
                parts += try textTensor(
                    "\(prefix)self_attn.\(letter)_proj.\(suffix)", [count * text.headSize] + input)
            }
            return parts
        case "o": return try textTensor("\(prefix)self_attn.o_proj.weight", shape)
        case "down": return try textTensor("\(prefix)mlp.down_proj.weight", shape)
        case "gate_up":
            // One tensor in the source: all gate rows, then all up rows.
            let whole = try textTensor("\(prefix)mlp.gate_up_proj.weight", shape)[0].source
            let half = tensor.rows / 2
            return [
                TensorPlan.Part(source: whole, rows: 0..<half),
                TensorPlan.Part(source: whole, rows: half..<tensor.rows),
            ]
        default: return try textTensor("\(prefix)\(tensor.name).weight", shape)
        }
    }

    // MARK: Vision tower

    private func visionParts(
        of tensor: ModelSchema.Tensor, in segment: String
    ) throws(CheckpointError) -> [TensorPlan.Part] {
        let shape = tensor.kind == .vector ? [tensor.rows] : [tensor.rows, tensor.columns]
        switch segment {
        case "vision.embed": return try visionEmbedParts(of: tensor, shape)
        case "vision.merger": return try mergerParts(of: tensor, shape)
        default:
            let prefix = segment.dropFirst("vision.".count) + "."
            switch tensor.name {
            case "qkv": return try visionTensor("\(prefix)attn.qkv.weight", shape)
            case "qkv.bias": return try visionTensor("\(prefix)attn.qkv.bias", shape)
            case "proj": return try visionTensor("\(prefix)attn.proj.weight", shape)
            case "gate_up": return try gateAndUp("\(prefix)mlp.", shape)
            case "down": return try visionTensor("\(prefix)mlp.down_proj.weight", shape)
            default: return try visionTensor("\(prefix)\(tensor.name).weight", shape)
            }
        }
    }

    private func visionEmbedParts(
        of tensor: ModelSchema.Tensor, _ shape: [Int]
    ) throws(CheckpointError) -> [TensorPlan.Part] {
        let vision = source.configuration.vision!
        switch tensor.name {
        case "patch_embed":
            // A 3-D convolution: channels, frames, height, width.
            let kernel = [vision.channelCount, vision.temporalPatchSize, vision.patchSize, vision.patchSize]
            return try visionTensor("patch_embed.proj.weight", [vision.hiddenSize] + kernel)
        case "patch_embed.bias": return try visionTensor("patch_embed.proj.bias", shape)
        case "position_embedding":
            let positions = vision.positionGridSize * vision.positionGridSize
            return try visionTensor("embeddings.position_embedding.weight", [positions, vision.hiddenSize])
        default: return try visionTensor("\(tensor.name).weight", shape)
        }
    }

    private func mergerParts(
        of tensor: ModelSchema.Tensor, _ shape: [Int]
    ) throws(CheckpointError) -> [TensorPlan.Part] {
        let vision = source.configuration.vision!
        switch tensor.name {
        case "post_layernorm": return try visionTensor("post_layernorm.weight", shape)
        case "downsample":
            let kernel = [vision.hiddenSize, vision.mergeSize, vision.mergeSize]
            return try visionTensor("downsample.weight", [vision.outputSize] + kernel)
        case "downsample.bias": return try visionTensor("downsample.bias", shape)
        case "gate_up": return try gateAndUp("merger.", shape)
        case "proj", "post_projection_norm": return try visionTensor("merger.\(tensor.name).weight", shape)
        case "post_projection_norm.bias": return try visionTensor("merger.\(tensor.name)", shape)
        default: return try visionTensor("merger.down_proj.weight", shape)
        }
    }

    private func gateAndUp(_ prefix: String, _ shape: [Int]) throws(CheckpointError) -> [TensorPlan.Part] {
        let half = [shape[0] / 2, shape[1]]
        return try visionTensor("\(prefix)gate_proj.weight", half)
            + visionTensor("\(prefix)up_proj.weight", half)
    }
}
