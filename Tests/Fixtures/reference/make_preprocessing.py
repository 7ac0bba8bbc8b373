#!/usr/bin/env python3
"""Makes preprocessing/: what the reference's image processor does to a few images and sizes.

    sizes.json   results of the reference's smart_resize; a size it refuses has no result
    cases.json   images (drawn by a formula that the test repeats), limits, grids
    NAME.npy     uint8 [patches, 3, patch, patch], the pixels after resizing, in patch order

A pixel of the test image at column x and row y has the channel values that `pixel` below gives. Stored are bytes
before normalisation: the script checks that they determine the reference's floats.

usage: make_preprocessing.py      needs ../requirements.txt
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, Glm4vImageProcessor, Glm46VImageProcessor
from transformers.models.glm4v.image_processing_glm4v import smart_resize as resize_glm4v
from transformers.models.glm46v.image_processing_glm46v import smart_resize as resize_glm46v

FOLDER = Path(__file__).resolve().parent / "preprocessing"
PUBLISHED = (12544, 9633792)

# name: width, height, grey, least and most pixels (frames x height x width), patch
CASES = {
    "unscaled": (84, 112, False, *PUBLISHED, 14),
    "odd": (101, 67, False, *PUBLISHED, 14),
    "grey": (90, 61, True, *PUBLISHED, 14),
    "tall": (30, 400, False, *PUBLISHED, 14),
    "below-minimum": (17, 9, False, *PUBLISHED, 14),
    "above-maximum": (500, 700, False, 12544, 60000, 14),
    "one-axis": (112, 190, False, *PUBLISHED, 14),
    "patch-8": (75, 50, False, 2048, 20000, 8),
}


def pixel(width, height, grey):
    """uint8 [height, width, 3]: hard-edged tiles, slopes and speckle, all in integers."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    channels = []
    for channel in range(3):
        k = 0 if grey else channel
        speckle = (x * 7919 + y * 104729 + x * y * (31 + k)) % 97
        tiles = ((x // (5 + k) + y // (7 - k)) % 2) * 120
        channels.append((tiles + speckle + 3 * x + (k + 1) * y) % 256)
    return np.stack(channels, axis=-1).astype(np.uint8)


def reference_patches(name, width, height, grey, least, most, patch):
    settings = dict(size={"shortest_edge": least, "longest_edge": most}, patch_size=patch)
    image = Image.fromarray(pixel(width, height, grey))
    batch = Glm4vImageProcessor(**settings)(images=[image], return_tensors="pt")
    other = Glm46VImageProcessor(**settings)(images=[image], return_tensors="pt")
    assert torch.equal(batch["pixel_values"], other["pixel_values"]), "the two processors agree"
    values = batch["pixel_values"].numpy().reshape(-1, 3, 2, patch, patch)
    assert (values[:, :, 0] == values[:, :, 1]).all(), "a still image's frames are equal"
    mean = (torch.tensor(Glm4vImageProcessor.image_mean) * 255.0).numpy()[None, :, None, None]
    deviation = (torch.tensor(Glm4vImageProcessor.image_std) * 255.0).numpy()[None, :, None, None]
    pixels = np.rint(values[:, :, 0] * deviation + mean).astype(np.uint8)
    again = (pixels.astype(np.float32) - mean) / deviation
    assert np.abs(again - values[:, :, 0]).max() < 1e-6
    np.save(FOLDER / f"{name}.npy", pixels)
    frames, grid_height, grid_width = batch["image_grid_thw"][0].tolist()
    assert frames == 1
    return {
        "name": name, "width": width, "height": height, "isGrey": grey, "minimumPixels": least,
        "maximumPixels": most, "patchSize": patch, "grid": [grid_height, grid_width],
    }  # fmt: skip


def sizes():
    """300 sizes: published and tight limits, extreme ratios, halves that round to even."""
    generator = np.random.default_rng(20)
    asked = [(14, 2800, 28), (1, 200, 28), (1, 201, 28), (6000, 29, 28), (42, 70, 28), (98, 126, 28), (5, 1001, 28)]
    while len(asked) < 300:
        edge = int(generator.choice([40, 300, 1200, 5000]))
        factor = int(generator.choice([28, 28, 28, 16, 8]))
        asked.append((*(int(side) for side in generator.integers(1, edge, 2)), factor))
    table = []
    for index, (height, width, factor) in enumerate(asked):
        least, most = PUBLISHED if index % 3 else (int(generator.integers(1, 60000)), int(generator.integers(60000, 400000)))
        results = []
        for resize in (resize_glm4v, resize_glm46v):
            try:
                results.append(resize(2, height, width, 2, factor, least, most))
            except ValueError:
                results.append(None)
        assert results[0] == results[1], "the two processors agree"
        table.append({"height": height, "width": width, "factor": factor, "minimumPixels": least, "maximumPixels": most})
        if results[0] is not None:
            table[-1]["result"] = list(results[0])
    return table


def main():
    torch.set_num_threads(1)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    default = AutoImageProcessor.from_pretrained(FOLDER.parent / "one-image")
    assert type(default) is Glm4vImageProcessor, "the published settings load the class that is used here"
    cases = [reference_patches(name, *case) for name, case in CASES.items()]
    (FOLDER / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
    lines = ",\n".join(json.dumps(row) for row in sizes())
    (FOLDER / "sizes.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
