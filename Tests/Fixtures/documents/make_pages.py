"""Makes pages_*.png and pages.json: finished pages from ReportLab and poppler, and lines drawn by PIL.

Needs reportlab, numpy, Pillow, and poppler's pdftoppm.
"""

import json
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from make_layouts import DEJAVU, MARKER, build, prose

HERE = Path(__file__).parent


def finish(image, s, last):
    """Scales and crops a page as Glyph's script does."""
    scale = s.get("horizontal-scale", 1.0)
    if scale != 1.0:
        image = image.resize((int(image.width * scale), image.height))
    gray = np.array(image.convert("L")).astype(float)
    mask = np.abs(gray - np.median(gray[:2, :2])) > 5
    columns = np.where(mask.any(axis=0))[0]
    rows = np.where(mask.any(axis=1))[0]
    image = image.crop((0, 0, min(image.width, columns[-1] + 1 + s.get("margin-x", 10)), image.height))
    if last:
        image = image.crop((0, 0, image.width, min(image.height, rows[-1] + s.get("margin-y", 10))))
    return image


def poppler(text, s, page):
    with tempfile.TemporaryDirectory() as folder:
        pdf = Path(folder) / "text.pdf"
        with pdf.open("wb") as stream:
            count = len(build(text, s, stream))
        subprocess.run(["pdftoppm", "-r", str(s.get("dpi", 72)), "-f", str(page), "-l", str(page), pdf,
                        Path(folder) / "page"], check=True)
        image = Image.open(next(Path(folder).glob("page*.ppm"))).convert("RGB")
        return finish(image, s, page == count)


def pil(lines, s):
    width, height = map(int, s["page-size"].split(","))
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(DEJAVU, s["font-size"], layout_engine=ImageFont.Layout.BASIC)
    for number, line in enumerate(lines):
        top = s["margin-y"] + 6 + number * s["line-height"]
        draw.text((s["margin-x"] + 6, top), line, fill="black", font=font)
    return finish(image, s, True)


def main():
    cases = [
        ("english", prose(40, 60), {"page-size": "260,150"}, 1),
        ("english_last", prose(41, 32, (2, 14)), {"page-size": "300,300"}, 2),
        ("marker_96dpi", prose(42, 20, (4, 30)),
         {"page-size": "240,120", "dpi": 96, "alignment": "JUSTIFY", "newline-markup": MARKER}, 1),
        ("coloured_150dpi", prose(43, 20, (3, 20)),
         {"page-size": "180,110", "dpi": 150, "horizontal-scale": 0.9, "font-color": "#203060",
          "page-bg-color": "#F0E0D0", "para-bg-color": "#FFFFE0", "border-width": 2, "border-padding": 3,
          "para-border-color": "#008000", "left-indent": 6, "first-line-indent": 9, "alignment": "RIGHT"}, 1),
        # At 96 dpi every third baseline is a whole number of pixels, but for roundings.
        ("every_third_96dpi", prose(45, 40, (0, 12)), {"page-size": "240,400", "dpi": 96, "newline-markup": MARKER}, 1),
        # Tall glyphs are not placed between pixels; the box of this font is higher than 50 pixels.
        ("tall_200dpi", prose(46, 3, (2, 6)), {"page-size": "200,80", "dpi": 200, "font-size": 14}, 1),
        # The first line is tight, and the lines below it lose its indent.
        ("lost_indent", "Which very time the for they no his at his people longs could a make.\nJust when. " + prose(47, 6),
         {"page-size": "277.5,120", "font-size": 9, "alignment": "RIGHT", "first-line-indent": 18, "right-indent": 8,
          "newline-markup": MARKER}, 1),
        ("centred", prose(44, 20, (1, 9)), {"page-size": "200,120", "alignment": "CENTER", "font-size": 11}, 1),
    ]
    out = []
    for name, text, settings, page in cases:
        poppler(text, settings, page).save(HERE / f"page_{name}.png", optimize=True)
        out.append({"name": name, "settings": settings, "text": text, "page": page})
    (HERE / "pages.json").write_text(json.dumps(out, indent=0), encoding="utf-8")

    lines = ["The quick brown fox jumps over", "the lazy dog; 0123456789 AVATAR.", "", "{[(WoToYo)]} \"fi\" & <tag> @#$%",
             "mmmm iiii llll ....,,,, ----"]
    placed = []
    for size, leading in ((9, 10), (12, 14), (15, 20)):
        settings = {"page-size": "320,140", "font-size": size, "line-height": leading, "margin-x": 10, "margin-y": 10,
                    "glyph-placement": "pixel"}
        pil(lines, settings).save(HERE / f"pixel_{size}.png", optimize=True)
        placed.append({"name": str(size), "settings": settings, "text": "\n".join(lines), "page": 1})
    (HERE / "pixel.json").write_text(json.dumps(placed, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
