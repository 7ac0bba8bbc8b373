#!/usr/bin/env python3
"""Makes tiny random checkpoints and the reference's logits for them: one folder a case, beside this script.

The weights are drawn here (seeded) and stored as bfloat16; the reference loads the stored files, computes in
float32 on one thread of the CPU with eager attention, and sees the same image files as the tests.
Each folder is a checkpoint as its authors publish one, and

    tokens.json    token ids; an image placeholder stands once for each image, in the order of the images
    image-N.png    the images
    logits.npy     float32 [positions after the placeholders are expanded, vocabulary]
    features.npy   float32 [visual tokens of all images, hidden size], where there are images
    summary.json   positions, grids in patches, greedy continuation, largest magnitudes, deviation of the logits

usage: make_reference.py [CASE ...]      needs ../requirements.txt; without a case, all are made
"""

import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import torch
from PIL import Image, ImageDraw
from safetensors import safe_open
from transformers import AutoImageProcessor, Glm4Config, Glm4ForCausalLM, Glm4vConfig, Glm4vForConditionalGeneration

HERE = Path(__file__).resolve().parent
MEAN = [0.48145466, 0.4578275, 0.40821073]
DEVIATION = [0.26862954, 0.26130258, 0.27577711]
GREEDY_STEPS = 16

# Ids of the special tokens, counted from the end of the vocabulary as the published vocabularies do.
TOKENS_41V = {"image_start": 10, "image_end": 9, "video_start": 8, "video_end": 7, "image": 6, "video": 5}
TOKENS_46V = {"image_start": 16, "image_end": 15, "video_start": 14, "video_end": 13, "image": 4, "video": 3}


@dataclass
class Text:
    """The decoder of a case."""

    hidden: int = 128
    layers: int = 2
    heads: int = 2
    kv_heads: int = 1
    intermediate: int = 128
    vocabulary: int = 160
    theta: float = 10000.0
    rotary_factor: float = 0.5
    sections: tuple = (4, 6, 6)
    head_size: int = 64  # Glm4v has no such setting: there it is hidden / heads
    tied: bool = False


@dataclass
class Vision:
    """The vision tower of a case; the default is as small as one can be, for cases without images."""

    hidden: int = 64
    depth: int = 1
    heads: int = 1
    merger: int = 32
    patch: int = 4
    image_size: int = 32


@dataclass
class Case:
    seed: int
    text: Text
    vision: Vision | None = None
    images: list = field(default_factory=list)  # (width, height) of each image
    length: int = 24  # text tokens, placeholders and image marks not counted
    ids: dict = field(default_factory=lambda: TOKENS_41V)
    pixels: tuple = (12544, 9633792)  # limits on frames x height x width
    older_rope: bool = False  # rope settings as transformers 4 spelled them
    shards: int | None = None  # bytes a shard
    large: float = 1.0  # gain that takes the sublayers' outputs out of float16's range


CASES = {
    # Glm4v without an image, rope settings in the older spelling, a large theta.
    "text-head64": Case(1, Text(theta=500000.0), Vision(), older_rope=True, length=40),
    # GLM-4-0414: another class, heads wider than hidden / heads, and the top-level older spelling.
    "causal-head128": Case(2, Text(head_size=128, theta=10000.0), older_rope=True, length=40),
    # The bundled reader's settings, in two shards.
    "one-image": Case(
        3, Text(theta=100.0), Vision(heads=1, depth=2, patch=14, image_size=112), images=[(112, 84)], shards=500_000
    ),
    # A head of 128 (sharing is covered above), GLM-4.6V's token layout, two images of different size.
    "two-images-head128": Case(
        4,
        Text(heads=1, kv_heads=1, theta=500000.0, sections=(8, 12, 12), head_size=128),
        Vision(heads=2, depth=2, patch=14, image_size=112),
        images=[(56, 112), (140, 84)],
        ids=TOKENS_46V,
        pixels=(6272, 9633792),
    ),
    # Resizing: an odd size, one below the minimum, one above the maximum. Tied embedding, the published 24 x 24
    # grid of positions, unequal sections.
    "resized-images": Case(
        11,
        Text(tied=True, sections=(2, 6, 8), kv_heads=2),
        Vision(depth=2, patch=14, image_size=336),
        images=[(101, 67), (40, 31), (230, 170)],
        pixels=(12544, 40000),
    ),
    # MLP outputs beyond 1e6 and attention outputs beyond 65,504.
    "large-activations": Case(6, Text(), large=300.0, length=32),
    # No size is a multiple of 8: heads of 37 that do not fill the hidden size, 9 of them rotated, sides of 7 pixels.
    "odd-shapes": Case(
        8,
        Text(hidden=74, intermediate=51, vocabulary=151, rotary_factor=0.25, sections=(1, 2, 2)),
        Vision(hidden=36, heads=3, merger=50, patch=7, image_size=52),
        images=[(61, 45)],
        pixels=(1000, 9633792),
    ),
    # Crosses many pages of 16 positions.
    "long": Case(7, Text(hidden=64, heads=2, kv_heads=1, layers=3, theta=10000.0), length=601),
}


# MARK: weights


def drawn_weights(model, case):
    """Values that keep logits and attention far from degenerate; the same for the same seed."""
    generator = torch.Generator().manual_seed(case.seed)

    def normal(shape, deviation):
        return torch.randn(shape, generator=generator) * deviation

    state = {}
    for name, value in sorted(model.state_dict().items()):
        shape, leaf = value.shape, name.split(".")[-2]
        fan_in = value[0].numel() if value.dim() > 1 else 1
        if name.endswith(".bias"):
            state[name] = normal(shape, 0.1 if "merger" in name or "visual" in name else 0.3)
        elif value.dim() == 1:
            state[name] = 0.5 + torch.rand(shape, generator=generator)
        elif leaf == "embed_tokens":
            state[name] = normal(shape, 2.0 * shape[1] ** -0.5 if case.text.tied else 0.7)
        elif leaf == "position_embedding":
            state[name] = normal(shape, 0.5)
        elif leaf == "lm_head":
            state[name] = normal(shape, 2.0 * fan_in**-0.5)
        elif leaf in ("q_proj", "k_proj", "qkv"):
            state[name] = normal(shape, 1.4 * fan_in**-0.5)
        elif leaf == "down_proj" and "merger" in name:
            state[name] = normal(shape, 3.0 * fan_in**-0.5)
        else:
            gain = 1.0
            if "visual" not in name and leaf in ("v_proj", "o_proj", "gate_up_proj", "down_proj"):
                gain = case.large
            state[name] = normal(shape, gain * fan_in**-0.5)
    if case.text.tied:
        embedding = next(name for name in state if name.endswith("embed_tokens.weight"))
        state["lm_head.weight"] = state[embedding]
    return state


# MARK: checkpoints


def special_ids(case):
    return {f"{name}_token_id": case.text.vocabulary - offset for name, offset in case.ids.items()}


def configuration(case):
    text = case.text
    rope = {"rope_type": "default", "rope_theta": text.theta, "partial_rotary_factor": text.rotary_factor}
    shared = dict(
        hidden_size=text.hidden,
        intermediate_size=text.intermediate,
        num_hidden_layers=text.layers,
        num_attention_heads=text.heads,
        num_key_value_heads=text.kv_heads,
        vocab_size=text.vocabulary,
        max_position_embeddings=2048,
        eos_token_id=[text.vocabulary - 20, text.vocabulary - 19],
        pad_token_id=text.vocabulary - 20,
    )
    if case.vision is None:
        return Glm4Config(
            **shared,
            head_dim=text.head_size,
            attention_bias=True,
            rope_parameters=rope,
            tie_word_embeddings=text.tied,
            rms_norm_eps=1e-5,
        )
    vision = case.vision
    return Glm4vConfig(
        text_config=dict(**shared, rope_parameters=rope | {"mrope_section": list(text.sections)}),
        vision_config=dict(
            depth=vision.depth,
            hidden_size=vision.hidden,
            num_heads=vision.heads,
            intermediate_size=vision.merger,
            out_hidden_size=text.hidden,
            patch_size=vision.patch,
            image_size=vision.image_size,
        ),
        tie_word_embeddings=text.tied,
        **special_ids(case),
    )


def spell_rope_as_before(path):
    """Rewrites config.json's rope settings in the spelling that published GLM-4 checkpoints use."""
    config = json.loads(path.read_text())
    section = config.get("text_config", config)
    rope = section.pop("rope_parameters")
    section["rope_theta"] = rope["rope_theta"]
    section["partial_rotary_factor"] = rope["partial_rotary_factor"]
    if "mrope_section" in rope:
        section["rope_scaling"] = {"rope_type": "default", "mrope_section": rope["mrope_section"]}
    config.get("vision_config", {}).pop("rope_parameters", None)
    path.write_text(json.dumps(config, indent=2) + "\n")


def write_checkpoint(case, folder):
    model_class = Glm4ForCausalLM if case.vision is None else Glm4vForConditionalGeneration
    model = model_class(configuration(case))
    model.load_state_dict(drawn_weights(model, case))
    model.to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size=case.shards or "1GB")
    if case.older_rope:
        spell_rope_as_before(folder / "config.json")
    if case.vision is not None:
        preprocessor = {
            "image_processor_type": "Glm46VImageProcessor" if case.ids is TOKENS_46V else "Glm4vImageProcessor",
            "size": {"shortest_edge": case.pixels[0], "longest_edge": case.pixels[1]},
            "do_rescale": True,
            "patch_size": case.vision.patch,
            "temporal_patch_size": 2,
            "merge_size": 2,
            "image_mean": MEAN,
            "image_std": DEVIATION,
        }
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n")
    generation = {"do_sample": False, "eos_token_id": [case.text.vocabulary - 20, case.text.vocabulary - 19]}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    return model_class


# MARK: inputs


def drawn_image(width, height, generator):
    """Soft colour slopes under a few shapes with hard edges, so that resampling has something to get wrong."""
    y, x = np.mgrid[0:height, 0:width]
    phases = generator.uniform(0, 6.28, 3)
    slopes = [127 + 100 * np.sin(x / 23.0 + y / 31.0 + phase) for phase in phases]
    image = Image.fromarray(np.stack(slopes, axis=-1).round().astype(np.uint8))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x0, y0 = int(generator.integers(0, width)), int(generator.integers(0, height))
        box = [x0, y0, x0 + int(generator.integers(3, 30)), y0 + int(generator.integers(3, 30))]
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        pen.rectangle(box, fill=colour) if generator.random() < 0.5 else pen.ellipse(box, fill=colour)
    return image


def write_inputs(case, folder):
    generator = np.random.default_rng(case.seed)
    for index, (width, height) in enumerate(case.images):
        drawn_image(width, height, generator).save(folder / f"image-{index}.png", optimize=True)
    ordinary = case.text.vocabulary - 24
    tokens = [int(token) for token in generator.integers(0, ordinary, case.length)]
    ids = special_ids(case)
    for index in range(len(case.images)):
        at = 3 + 5 * index
        tokens[at:at] = [ids["image_start_token_id"], ids["image_token_id"], ids["image_end_token_id"]]
    (folder / "tokens.json").write_text(json.dumps(tokens) + "\n")
    return tokens


# MARK: the reference's answer


class Magnitudes:
    """The largest absolute output of each kind of sublayer of the decoder."""

    def __init__(self, model):
        self.largest = {"mlp": 0.0, "attention": 0.0}
        decoder = getattr(model.model, "language_model", model.model)
        for layer in decoder.layers:
            layer.mlp.register_forward_hook(self.hook("mlp"))
            layer.self_attn.register_forward_hook(self.hook("attention"))

    def hook(self, kind):
        def record(module, arguments, output):
            value = output[0] if isinstance(output, tuple) else output
            self.largest[kind] = max(self.largest[kind], float(value.abs().max()))

        return record


def reference_inputs(case, folder, tokens):
    """The keyword arguments of the reference's forward pass, the placeholders expanded; and the grids."""
    if not case.images:
        return {"input_ids": torch.tensor([tokens])}, []
    processor = AutoImageProcessor.from_pretrained(folder)
    images = [Image.open(folder / f"image-{index}.png") for index in range(len(case.images))]
    batch = processor(images=images, return_tensors="pt")
    grids, image = batch["image_grid_thw"].tolist(), special_ids(case)["image_token_id"]
    remaining, expanded = list(grids), []
    for token in tokens:
        if token == image:
            frames, height, width = remaining.pop(0)
            expanded += [token] * (frames * height * width // 4)
        else:
            expanded.append(token)
    ids = torch.tensor([expanded])
    arguments = {"input_ids": ids, "mm_token_type_ids": (ids == image).int(), **batch}
    return arguments, [[height, width] for _, height, width in grids]


@torch.no_grad()
def greedy(model, arguments, steps):
    output = model.generate(
        **arguments, max_new_tokens=steps, min_new_tokens=steps, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    return output[0, arguments["input_ids"].shape[1] :].tolist()


@torch.no_grad()
def write_reference(case, folder, tokens, model_class):
    model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    magnitudes = Magnitudes(model)
    arguments, grids = reference_inputs(case, folder, tokens)
    logits = model(**arguments).logits[0]
    assert logits.dtype == torch.float32 and torch.isfinite(logits).all()
    summary = {
        "positions": logits.shape[0],
        "grids": grids,
        "greedy": greedy(model, arguments, GREEDY_STEPS),
        "largest_mlp_output": magnitudes.largest["mlp"],
        "largest_attention_output": magnitudes.largest["attention"],
        "logits_deviation": float(logits.std()),
    }
    assert 0.8 < summary["logits_deviation"] < 4, summary
    if case.large > 1:
        assert magnitudes.largest["mlp"] > 1e6 and magnitudes.largest["attention"] > 65504, summary
    if case.images:
        features = model.model.get_image_features(arguments["pixel_values"], arguments["image_grid_thw"]).pooler_output
        features = torch.cat(list(features)) if isinstance(features, (list, tuple)) else features
        np.save(folder / "features.npy", features.numpy())
        summary["features_deviation"] = float(features.std())
    np.save(folder / "logits.npy", logits.numpy())
    (folder / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def check_weights(folder):
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():
                tensor = weights.get_tensor(name)
                assert tensor.dtype == torch.bfloat16 and tensor.abs().max() < 65504, name


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name in sys.argv[1:] or CASES:
        case, folder = CASES[name], HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        model_class = write_checkpoint(case, folder)
        tokens = write_inputs(case, folder)
        check_weights(folder)
        summary = write_reference(case, folder, tokens, model_class)
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{name}: {size / 1e6:.2f} MB", json.dumps(summary))


if __name__ == "__main__":
    main()
