"""Makes hostile.json: small files that are large images, one that unfolds in memory, and 16-bit greys.

    python make_hostile.py
"""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from transformers.image_transforms import convert_to_rgb

HERE = Path(__file__).parent
TOO_LARGE, LARGE = 10_000, 8_000


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, colour, raw, interlaced=False, before=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    data = zlib.compress(raw, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def blank(size, bits, interlaced):
    """The filtered rows of a square of zeros."""
    passes = [(8, 8), (8, 8), (4, 8), (4, 4), (2, 4), (2, 2), (1, 2)] if interlaced else [(1, 1)]
    return b"".join(bytes((1 + -(-(size // across) * bits // 8)) * (size // down)) for across, down in passes)


def encoded(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def main():
    palette = chunk(b"PLTE", bytes([1, 2, 3, 4, 5, 6])) + chunk(b"tRNS", bytes([128]))
    grey, white = Image.new("L", (LARGE // 2, LARGE // 2), 90), Image.new("RGB", (LARGE, LARGE), (90, 120, 150))
    files = {
        "too_large.png": png(TOO_LARGE, TOO_LARGE, 1, 0, blank(TOO_LARGE, 1, False)),
        "too_large_interlaced.png": png(TOO_LARGE, TOO_LARGE, 1, 0, blank(TOO_LARGE, 1, True), True),
        "large.png": png(LARGE, LARGE, 1, 0, blank(LARGE, 1, False)),
        "large_interlaced.png": png(LARGE, LARGE, 1, 0, blank(LARGE, 1, True), True),
        "large_transparent.png": png(LARGE, LARGE, 1, 3, blank(LARGE, 1, True), True, palette),
        "large.webp": encoded(white.resize((LARGE // 2, LARGE // 2)), "WEBP", quality=0),
        "large_lossless.webp": encoded(white.convert("RGBA"), "WEBP", lossless=True),
        "large_transparent.webp": encoded(Image.new("RGBA", (LARGE, LARGE), (9, 8, 7, 128)), "WEBP", lossless=True, exact=True),
        "large_progressive.jpg": encoded(grey, "JPEG", quality=1, progressive=True, optimize=True),
        "small_progressive.jpg": encoded(white.resize((48, 48)), "JPEG", quality=90, progressive=True, subsampling=0),
    }
    out = {name: base64.b64encode(data).decode() for name, data in files.items()}
    # A text chunk of 8 KB that is 8 MB of text.
    out["unfolding_chunk"] = base64.b64encode(chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(8_000_000), 9))).decode()
    shades = np.array([[0, 1, 100, 255, 256, 257, 4000, 65535, 0x80FF]], dtype=">u2")
    rows = b"\0" + shades.tobytes()
    sixteen = {
        "grey": png(9, 1, 16, 0, rows),
        "grey_transparent": png(9, 1, 16, 0, rows, before=chunk(b"tRNS", struct.pack(">H", 4000))),
        "grey_alpha": png(9, 1, 16, 4, b"\0" + np.stack([shades[0], shades[0, ::-1]], 1).tobytes()),
        "rgb": png(9, 1, 16, 2, b"\0" + np.stack([shades[0]] * 3, 1).tobytes()),
    }
    out["sixteen_bits"] = {
        name: {"file": base64.b64encode(data).decode(),
               "pixels": base64.b64encode(convert_to_rgb(Image.open(io.BytesIO(data)), return_numpy=True).tobytes()).decode()}
        for name, data in sixteen.items()
    }  # fmt: skip
    for name, value in out.items():
        print(name, len(value))
    (HERE / "hostile.json").write_text(json.dumps(out, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
