"""Makes layouts.json: line and page breaks as ReportLab has them, for texts of many kinds.

Needs reportlab 5.1.0, and for the CJK cases fontTools-free access to Noto's advances through Pillow (a face of the
collection at 1000 pixels per em). ReportLab cannot open fonts with CFF outlines, so the CJK cases lay out with a
TrueType font whose advance table is replaced by Noto's: breaks depend on advances alone.
"""

import io
import json
import random
import re
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import ImageFont
from reportlab.lib import colors
from reportlab.lib.enums import TA_CENTER, TA_JUSTIFY, TA_LEFT, TA_RIGHT
from reportlab.lib.styles import ParagraphStyle, getSampleStyleSheet
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Paragraph, SimpleDocTemplate

HERE = Path(__file__).parent
DEJAVU = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
NOTO = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
NOTO_FACE = 7
MARKER = '<font color="#FF0000"> \\n </font>'
ALIGN = {"LEFT": TA_LEFT, "CENTER": TA_CENTER, "RIGHT": TA_RIGHT, "JUSTIFY": TA_JUSTIFY}


class Advances(dict):
    """Advances of Noto's monospaced face in thousandths of an em, filled as asked for."""

    def __init__(self):
        self.font = ImageFont.truetype(NOTO, 1000, index=NOTO_FACE, layout_engine=ImageFont.Layout.BASIC)

    def __missing__(self, code):
        self[code] = self.font.getlength(chr(32 if code == 0xA0 else code))
        return self[code]

    def get(self, code, default=None):
        return self[code]


def register(name):
    if name in pdfmetrics.getRegisteredFontNames():
        return
    font = TTFont(name, DEJAVU)
    # Registering a second font with the same face name would give the first one back.
    font.face.name = name.encode()
    if name == "noto":
        font.face.charWidths = Advances()
    pdfmetrics.registerFont(font)


def build(text, settings, stream=None):
    """Lays the text out as Glyph's script does and returns pages of [text, baseline] lines."""
    pages = []
    s = settings
    width, height = map(float, s.get("page-size", "595,842").split(","))
    font = "noto" if "NotoSansCJK" in s.get("font-path", "") else "dejavu"
    register(font)
    size = s.get("font-size", 9)
    style = ParagraphStyle(
        "custom",
        parent=getSampleStyleSheet()["Normal"],
        fontName=font,
        fontSize=size,
        leading=s.get("line-height", size + 1),
        textColor=colors.HexColor(s.get("font-color", "#000000")),
        backColor=colors.HexColor(s.get("para-bg-color", "#FFFFFF")),
        borderColor=colors.HexColor(s.get("para-border-color", "#FFFFFF")),
        borderWidth=s.get("border-width", 0),
        borderPadding=s.get("border-padding", 0),
        firstLineIndent=s.get("first-line-indent", 0),
        leftIndent=s.get("left-indent", 0),
        rightIndent=s.get("right-indent", 0),
        alignment=ALIGN[s.get("alignment", "LEFT")],
        spaceBefore=s.get("space-before", 0),
        spaceAfter=s.get("space-after", 0),
        wordWrap="CJK" if re.search("[\u4e00-\u9fff]", text) else None,
    )

    class Recorded(Paragraph):
        def drawOn(self, canvas, x, y, _sW=0):
            self.at = y
            super().drawOn(canvas, x, y, _sW)

        def draw(self):
            page = self.canv.getPageNumber()
            while len(pages) < page:
                pages.append([])
            baseline = self.at + self.height - size
            for line in self.blPara.lines:
                words = " ".join(line[1]) if isinstance(line, (tuple, list)) else "".join(w.text for w in line.words)
                if words.strip(" "):
                    pages[page - 1].append([words, round(baseline, 3)])
                baseline -= style.leading
            super().draw()

    newline = s.get("newline-markup", "<br/>")
    prepared = text.replace("\xad", "").replace("\u200b", "")
    prepared = re.sub(" {2,}", lambda m: "&nbsp;" * len(m.group()), escape(prepared))
    lines = prepared.split("\n")
    story = [Recorded(newline.join(lines[i : i + 30]), style) for i in range(0, len(lines), 30)]
    document = SimpleDocTemplate(
        stream or io.BytesIO(),
        pagesize=(width, height),
        leftMargin=s.get("margin-x", 10),
        rightMargin=s.get("margin-x", 10),
        topMargin=s.get("margin-y", 10),
        bottomMargin=s.get("margin-y", 10),
    )
    background = colors.HexColor(s.get("page-bg-color", "#FFFFFF"))

    def fill(canvas, _):
        canvas.saveState()
        canvas.setFillColor(background)
        canvas.rect(0, 0, width, height, stroke=0, fill=1)
        canvas.restoreState()

    document.build(story, onFirstPage=fill, onLaterPages=fill)
    count = document.page
    while len(pages) < count:
        pages.append([])
    return pages


LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def prose(seed, lines, words=(0, 60)):
    """Lines of made-up words with punctuation, reproducible from the seed."""
    r = random.Random(seed)

    def word():
        w = "".join(r.choice(LETTERS[: r.randint(8, 26)]) for _ in range(max(1, int(r.gauss(5, 2.5)))))
        return r.choice([w, w, w, w + ",", w + ".", w.capitalize(), f"({w})", f"{w}&{w}", f"<{w}>"])

    return "\n".join(" ".join(word() for _ in range(r.randint(*words))) for _ in range(lines))


HAN = "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从"
PUNCT = "，。、！？；：（）「」"


def chinese(seed, lines, length=(0, 200), latin=0.03):
    r = random.Random(seed)

    def line():
        out = []
        for _ in range(r.randint(*length)):
            p = r.random()
            if p < latin:
                out.append(" " + "".join(r.choice(LETTERS) for _ in range(r.randint(1, 12))) + r.choice(["", " "]))
            elif p < latin + 0.12:
                out.append(r.choice(PUNCT))
            else:
                out.append(r.choice(HAN))
        return "".join(out)

    return "\n".join(line() for _ in range(lines))


def spaced(seed, lines):
    """Prose with tabs, runs of spaces, raw non-breaking spaces and other white space."""
    r = random.Random(seed)
    gaps = [" ", " ", " ", "  ", "   ", "\t", " \t ", "\u00a0", "\u00a0 ", " \u00a0", "\u3000", "\u2009", "      "]
    out = []
    for _ in range(lines):
        words = prose(r.random(), 1, (0, 40)).split(" ")
        text = r.choice(["", "", "    ", " ", "\t"])
        for w in words:
            text += w + r.choice(gaps)
        out.append(text)
    return "\n".join(out)


def long_words(seed, lines):
    r = random.Random(seed)
    out = []
    for _ in range(lines):
        ws = []
        for _ in range(r.randint(0, 12)):
            n = r.choice([3, 5, 8, 100, 150, 400]) if r.random() < 0.4 else r.randint(1, 9)
            ws.append("".join(r.choice(LETTERS + "&") for _ in range(n)))
        out.append(r.choice([" ", " ", "  "]).join(ws))
    return "\n".join(out)


def cases():
    small = {"page-size": "200,150"}
    yield "one line", "Hello, world.", {}
    yield "one long source line over pages", prose(1, 1, (2500, 2500)), {"page-size": "300,200"}
    yield "prose", prose(2, 150), {}
    yield "prose, justified", prose(3, 70), {**small, "alignment": "JUSTIFY"}
    yield "prose, centred", prose(4, 60), {**small, "alignment": "CENTER", "font-size": 7}
    yield "prose, right", prose(5, 60), {"page-size": "320,240", "alignment": "RIGHT", "font-size": 11.5}
    yield "empty lines", "\n\n\na\n\n\n\n" + "b\n\n" * 80 + "\n" * 70 + "c", {"page-size": "200,200"}
    yield "white space", spaced(6, 90), {"page-size": "300,300"}
    yield "long words", long_words(7, 70), small
    yield "one long word", "x" * 9000, small
    yield "one long word with entities", "ab&" * 3000, small
    yield "marker", prose(8, 120), {"newline-markup": MARKER, "page-size": "300,300"}
    yield "marker and white space", spaced(9, 90), {"newline-markup": MARKER, "page-size": "250,180"}
    yield "marker and empty lines", "\n\nx\n\n\n y  z\n" * 30, {"newline-markup": MARKER, "page-size": "150,150"}
    yield (
        "indents and spaces between",
        prose(10, 130),
        {"page-size": "300,300", "first-line-indent": 18, "left-indent": 12, "right-indent": 7.5,
         "space-before": 4, "space-after": 6.5, "border-padding": 2, "border-width": 1},
    )
    yield "hanging first line", long_words(11, 95), {"page-size": "260,260", "first-line-indent": -9, "left-indent": 9}
    yield "tall lines", prose(12, 60), {"page-size": "420,300", "line-height": 17.3, "font-size": 12.25, "margin-y": 3}
    yield "markup characters", "a<b>c</b> & d &amp; e &lt;\n<br/>\n<para>x</para>\n" * 30, {"page-size": "120,120"}
    yield "soft hyphens", "soft\u00adhyphen zero\u200bwidth\n" * 40, small
    noto = {"font-path": "NotoSansCJK-Regular.ttc", "font-index": NOTO_FACE}
    yield "Chinese", chinese(20, 90), {**noto, "page-size": "300,300"}
    yield "Chinese, one line", chinese(21, 1, (3000, 3000)), {**noto, "page-size": "200,200"}
    yield "Chinese with much Latin", chinese(22, 70, (0, 90), 0.3), {**noto, "page-size": "240,200"}
    yield "Chinese, marker", chinese(23, 80, (0, 120), 0.1), {**noto, "newline-markup": MARKER, "page-size": "240,200"}
    yield "Chinese, spaces", "\u3000\u3000" + chinese(24, 60).replace("的", "  "), {**noto, "page-size": "260,220"}
    yield "Chinese, empty lines", ("\n\n" + chinese(25, 3, (0, 60)) + "\n\n\n") * 25, {**noto, "page-size": "200,160"}
    yield (
        "Chinese, justified with indent",
        chinese(26, 70),
        {**noto, "page-size": "300,240", "alignment": "JUSTIFY", "first-line-indent": 18},
    )


def digest(pages):
    """FNV-1a over the lines, so that long cases need little room: text, a tab, thousandths of a point, a newline."""
    value = 0xCBF29CE484222325
    for page in pages:
        for text, baseline in page:
            for byte in f"{text.rstrip(' ')}\t{round(baseline * 1000)}\n".encode():
                value = (value ^ byte) * 0x100000001B3 % 2**64
        value = (value ^ 0x0C) * 0x100000001B3 % 2**64
    return f"{value:016x}"


def main():
    full = "--full" in sys.argv
    out = []
    for name, text, settings in cases():
        pages = build(text, settings)
        firsts = [[line[0].rstrip(" ") for line in page[:1]] for page in pages]
        case = {"name": name, "settings": settings, "text": text, "pages": len(pages), "firstLines": firsts,
                "digest": digest(pages)}
        if full:
            case["lines"] = pages
        out.append(case)
        print(f"{name}: {len(pages)} pages", file=sys.stderr)
    path = HERE / ("layouts_full.tmp" if full else "layouts.json")
    path.write_text(json.dumps(out, ensure_ascii=False, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
