"""Makes images.json: image files of each format and mode, and the pixels that the reference gets from them."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.image_transforms import convert_to_rgb

HERE = Path(__file__).parent
W, H = 13, 9


def picture(channels):
    y, x = np.mgrid[0:H, 0:W]
    planes = [x * 19, y * 28, (x + y) * 11, 255 - x * 15 - y * 3]
    return np.stack([p.clip(0, 255).astype(np.uint8) for p in planes[:channels]], axis=2)


def main():
    rgb, rgba = Image.fromarray(picture(3), "RGB"), Image.fromarray(picture(4), "RGBA")
    grey = rgb.convert("L")
    paletted = rgb.quantize(16)
    turned = Image.Exif()
    turned[0x112] = 6
    files = {
        "rgb.png": (rgb, {}),
        "rgba.png": (rgba, {}),
        "grey.png": (grey, {}),
        "grey_alpha.png": (rgba.convert("LA"), {}),
        "palette.png": (paletted, {}),
        "palette_transparent.png": (paletted, {"transparency": 3}),
        "bilevel.png": (grey.convert("1"), {}),
        "palette_two_bits.png": (rgb.quantize(4), {"bits": 2}),
        "grey_transparent.png": (grey, {"transparency": 37}),
        "rgb_transparent.png": (rgb, {"transparency": (3, 4, 5)}),
        "turned.jpg": (rgb, {"quality": 90, "exif": turned}),
        "restarts.jpg": (rgb, {"quality": 90, "restart_marker_blocks": 1}),
        "rgb.jpg": (rgb, {"quality": 90}),
        "progressive.jpg": (rgb, {"quality": 80, "progressive": True}),
        "grey.jpg": (grey, {"quality": 90}),
        "cmyk.jpg": (rgb.convert("CMYK"), {"quality": 90}),
        "lossless.webp": (rgb, {"lossless": True}),
        "alpha.webp": (rgba, {"lossless": True, "exact": True}),
        "lossy.webp": (rgb, {"quality": 80}),
    }
    out = []
    for name, (image, options) in files.items():
        data = io.BytesIO()
        image.save(data, {"png": "PNG", "jpg": "JPEG", "webp": "WEBP"}[name.split(".")[1]], **options)
        pixels = convert_to_rgb(Image.open(io.BytesIO(data.getvalue())), return_numpy=True)
        out.append({"name": name, "width": W, "height": H, "file": base64.b64encode(data.getvalue()).decode(),
                    "pixels": base64.b64encode(pixels.tobytes()).decode()})
    (HERE / "images.json").write_text(json.dumps(out, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
