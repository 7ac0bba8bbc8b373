"""Makes the tiny checkpoints beside this script, and probes.json: what the reference computes with them.

Needs torch, transformers and safetensors. Run it in any folder; it writes beside itself.

A probe is one linear map of a checkpoint: the input is x[i] = ((7 i) mod 11 - 5) / 8, the output what the
reference's own module makes of it, without its bias.
"""

import json
import pathlib

import torch
from safetensors.torch import load_file, save_file
from transformers import Glm4Config, Glm4ForCausalLM, Glm4vConfig, Glm4vForConditionalGeneration

HERE = pathlib.Path(__file__).parent


def probe_input(count):
    return torch.tensor([((7 * i) % 11 - 5) / 8 for i in range(count)], dtype=torch.float32)


def linear(weight):
    return (weight.float() @ probe_input(weight.shape[1])).tolist()


def randomize(model):
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        base = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        parameter.data = base + 0.2 * torch.randn_like(parameter)


def alternating(gate, up):
    return torch.stack([gate, up], dim=1).reshape(-1, gate.shape[1])


def layer_probes(layer):
    attention = layer.self_attn
    gate, up = layer.mlp.gate_up_proj.weight.chunk(2, dim=0)
    return {
        "qkv": linear(torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight])),
        "qkv.bias": torch.cat([attention.q_proj.bias, attention.k_proj.bias, attention.v_proj.bias]).tolist(),
        "o": linear(attention.o_proj.weight),
        "gate_up": linear(alternating(gate, up)),
        "down": linear(layer.mlp.down_proj.weight),
        "post_self_attn_layernorm": layer.post_self_attn_layernorm.weight.tolist(),
        "post_attention_layernorm": layer.post_attention_layernorm.weight.tolist(),
        "post_mlp_layernorm": layer.post_mlp_layernorm.weight.tolist(),
    }


def vision_probes(visual):
    patch = visual.patch_embed.proj
    patch_input = probe_input(patch.weight[0].numel()).view(1, *patch.weight.shape[1:])
    down = visual.downsample
    # The patches of a visual token in merge order, each a vector of channels, as the reference views them.
    merge, channels = down.kernel_size[0], down.in_channels
    down_input = probe_input(merge * merge * channels).view(1, merge, merge, channels).permute(0, 3, 1, 2)
    block = visual.blocks[1]
    return {
        "vision.embed": {
            "patch_embed": torch.nn.functional.conv3d(patch_input, patch.weight).flatten().tolist(),
            "patch_embed.bias": patch.bias.tolist(),
            "position_embedding": visual.embeddings.position_embedding.weight.flatten().tolist(),
        },
        "vision.blocks.1": {
            "qkv": linear(block.attn.qkv.weight),
            "proj": linear(block.attn.proj.weight),
            "gate_up": linear(alternating(block.mlp.gate_proj.weight, block.mlp.up_proj.weight)),
            "down": linear(block.mlp.down_proj.weight),
            "norm2": block.norm2.weight.tolist(),
        },
        "vision.merger": {
            "downsample": torch.nn.functional.conv2d(down_input, down.weight).flatten().tolist(),
            "downsample.bias": down.bias.tolist(),
            "proj": linear(visual.merger.proj.weight),
            "post_projection_norm": visual.merger.post_projection_norm.weight.tolist(),
            "post_projection_norm.bias": visual.merger.post_projection_norm.bias.tolist(),
            "gate_up": linear(alternating(visual.merger.gate_proj.weight, visual.merger.up_proj.weight)),
            "down": linear(visual.merger.down_proj.weight),
        },
    }


@torch.no_grad()
def make_glm4v():
    config = Glm4vConfig(
        text_config=dict(
            vocab_size=70, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
            num_key_value_heads=1, max_position_embeddings=256, eos_token_id=[3, 5],
            rope_parameters=dict(
                rope_type="default", rope_theta=10000.0, partial_rotary_factor=0.5, mrope_section=[1, 1, 2])),
        vision_config=dict(
            hidden_size=32, depth=2, num_heads=4, intermediate_size=56, out_hidden_size=48, image_size=16,
            patch_size=4),
        image_token_id=60, video_token_id=61, image_start_token_id=62, image_end_token_id=63,
        video_start_token_id=64, video_end_token_id=65)
    config.architectures = ["Glm4vForConditionalGeneration"]
    config.dtype = "bfloat16"
    model = Glm4vForConditionalGeneration(config)
    randomize(model)
    model = model.to(torch.bfloat16)
    model.save_pretrained(HERE / "glm4v", max_shard_size="80KB")
    model = model.float()
    (HERE / "glm4v/generation_config.json").write_text(
        json.dumps(dict(do_sample=True, temperature=0.8, top_k=2, eos_token_id=[5, 7]), indent=2) + "\n")

    # The same weights under the names of early checkpoints, in one float16 file.
    old = HERE / "glm4v-early-names"
    old.mkdir(exist_ok=True)
    tensors = {}
    for shard in sorted((HERE / "glm4v").glob("*.safetensors")):
        for name, tensor in load_file(shard).items():
            name = name.replace("model.language_model.", "model.").replace("model.visual.", "visual.")
            tensors[name] = tensor.half()
    tensors["an.unexpected.tensor"] = torch.zeros(3)
    save_file(tensors, old / "model.safetensors")
    (old / "config.json").write_text((HERE / "glm4v/config.json").read_text())

    return {
        "embedding": {"embed_tokens": linear(model.model.language_model.embed_tokens.weight)},
        "layers.1": layer_probes(model.model.language_model.layers[1]),
        "head": {"norm": model.model.language_model.norm.weight.tolist(), "lm_head": linear(model.lm_head.weight)},
        **vision_probes(model.model.visual),
    }


@torch.no_grad()
def make_glm4():
    config = Glm4Config(
        vocab_size=50, hidden_size=40, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128, tie_word_embeddings=True,
        eos_token_id=4, pad_token_id=0)
    config.architectures = ["Glm4ForCausalLM"]
    model = Glm4ForCausalLM(config)
    randomize(model)
    model.save_pretrained(HERE / "glm4-tied")
    return {"layers.0": layer_probes(model.model.layers[0]), "head": {"norm": model.model.norm.weight.tolist()}}


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return [float(f"{number:.7g}") for number in value]


probes = {"glm4v": rounded(make_glm4v()), "glm4-tied": rounded(make_glm4())}
(HERE / "probes.json").write_text(json.dumps(probes) + "\n")
