"""Makes the documents of this folder by the programs that people make theirs with, and documents.json, which says of
each who made it and what text it holds.

    python produce.py

Needs LibreOffice Writer, pandoc, pdfLaTeX, reportlab and python-docx: see Scripts/make-documents.
"""

import json
import random
import subprocess
import tempfile
from pathlib import Path

import docx
from reportlab.lib.enums import TA_JUSTIFY
from reportlab.lib.pagesizes import A4, A5, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen import canvas
from reportlab.platypus import (BaseDocTemplate, Frame, PageBreak, PageTemplate, Paragraph, SimpleDocTemplate, Spacer,
                                Table)

HERE = Path(__file__).parent
WORDS = """harbour lantern office fluffy efficient ledger copper kettle voyage winter garden signal engine bridge
afflicted river stone paper window market thunder silver orchard meadow castle shadow compass anchor sailor barrel
history mountain quiet sudden bright narrow careful distant ordinary remarkable consideration measurement
representation understanding international communication characteristic responsibility""".split()
ACCENTED = "café naïve Zürich façade señor Ångström crème déjà Gödel".split()
CHINESE = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏闰余成岁律吕调阳云腾致雨露结为霜金生丽水玉出昆冈"
documents = []


# Content: ("heading", level, text), ("text", text), ("bullets", items), ("numbers", items), ("table", rows).

def sentence(source, accents=False):
    words = [source.choice(WORDS + (ACCENTED if accents else [])) for _ in range(source.randint(6, 16))]
    if source.random() < 0.3:
        words.insert(2, str(source.randint(10, 99999)))
    return words[0].capitalize() + " " + " ".join(words[1:]) + "."


def paragraph(source, accents=False, sentences=(1, 4)):
    return " ".join(sentence(source, accents) for _ in range(source.randint(*sentences)))


def phrase(source):
    return " ".join(source.choice(WORDS[:30]) for _ in range(source.randint(2, 4)))


def cell(source):
    return source.choice(WORDS[:30]) + (" " + str(source.randint(1, 999)) if source.random() < 0.4 else "")


def content(seed, accents=False, tables=True, lists=True, length=8):
    source = random.Random(seed)
    blocks = [("heading", 1, phrase(source).capitalize())]
    for _ in range(length):
        kind = source.choice(["text"] * 4 + ["heading"] + (["bullets", "numbers"] if lists else [])
                             + (["table"] if tables else []))
        if kind == "text" or blocks[-1][0] == kind:
            blocks.append(("text", paragraph(source, accents)))
        elif kind == "heading":
            blocks.append(("heading", source.randint(2, 3), phrase(source).capitalize()))
        elif kind == "table":
            columns = source.randint(2, 3)
            blocks.append(("table", [[cell(source) for _ in range(columns)] for _ in range(source.randint(2, 5))]))
        else:
            blocks.append((kind, [phrase(source) for _ in range(source.randint(2, 5))]))
    blocks.append(("text", paragraph(source, accents)))
    return blocks


def text_of(blocks, cells=" | "):
    lines = []
    for block in blocks:
        kind = block[0]
        if kind == "heading":
            lines.append(block[2])
        elif kind == "text":
            lines.append(block[1])
        elif kind == "bullets":
            lines += ["\u2022 " + item for item in block[1]]
        elif kind == "numbers":
            lines += [f"{number}. {item}" for number, item in enumerate(block[1], 1)]
        else:
            lines += [cells.join(row) for row in block[1]]
    return "\n".join(lines)


def add(name, producer, text, pages=None):
    documents.append({"name": name, "producer": producer, "text": text, "pages": pages})


# reportlab

def with_reportlab():
    pdfmetrics.registerFont(TTFont("DejaVu", "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"))
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    for number in range(32):
        source = random.Random(number)
        name = f"reportlab-{number:02}.pdf"
        font = ["Helvetica", "Times-Roman", "Courier", "DejaVu"][number % 4]
        style = ParagraphStyle("body", fontName=font, fontSize=9 + number % 4, leading=14, spaceAfter=8,
                               alignment=TA_JUSTIFY if number % 3 == 0 and number // 4 % 4 != 3 else 0)
        heading = ParagraphStyle("heading", parent=style, fontSize=15, leading=20)
        item = ParagraphStyle("item", parent=style, leftIndent=20, bulletIndent=6)
        blocks = content(1000 + number, accents=True, length=3 + number % 7)
        flow = []
        for block in blocks:
            if block[0] == "heading":
                flow.append(Paragraph(block[2], heading))
            elif block[0] == "text":
                flow.append(Paragraph(block[1], style))
            elif block[0] == "table":
                flow += [Table([[Paragraph(cell, style) for cell in row] for row in block[1]]), Spacer(1, 10)]
            else:
                for index, entry in enumerate(block[1], 1):
                    flow.append(Paragraph(entry, item, bulletText="\u2022" if block[0] == "bullets" else f"{index}."))
            if number % 8 == 7 and source.random() < 0.3:
                flow.append(PageBreak())
        size = [A4, A5, landscape(A4), (400, 300)][number // 4 % 4]
        path = str(HERE / name)
        if number % 8 == 5:
            template = BaseDocTemplate(path, pagesize=A4, invariant=1)
            frames = [Frame(50, 50, 235, 740, id="left"), Frame(310, 50, 235, 740, id="right")]
            template.addPageTemplates(PageTemplate(frames=frames))
            template.build(flow)
        else:
            SimpleDocTemplate(path, pagesize=size, invariant=1, pageCompression=number % 2).build(flow)
        add(name, "reportlab", text_of(blocks, " "))


# pdfLaTeX

def latex(folder, name, options, kind, fonts, body):
    (folder / f"{name}.tex").write_text(
        f"\\documentclass[{options}]{{{kind}}}\n\\usepackage[utf8]{{inputenc}}\n"
        f"{fonts}\n\\usepackage{{textcomp}}\n\\pagestyle{{empty}}\n\\begin{{document}}\n"
        + body + "\n\\end{document}\n")
    subprocess.run(["pdflatex", "-interaction=batchmode", f"{name}.tex"], cwd=folder, check=True,
                   stdout=subprocess.DEVNULL)
    (HERE / f"{name}.pdf").write_bytes((folder / f"{name}.pdf").read_bytes())


def with_latex(folder):
    for number in range(22):
        name = f"tex-{number:02}"
        options = ["10pt", "11pt", "12pt"][number % 3] + (",twocolumn" if number % 5 == 4 else "")
        kind = ["article", "report", "letter"][number % 3] if number % 4 == 3 else "article"
        kind = "article" if kind == "letter" else kind
        # Fonts as outlines with every letter, as bitmaps, and the first ones, without letters that have accents.
        fonts = ["\\usepackage[T1]{fontenc}\\usepackage{lmodern}", "\\usepackage[T1]{fontenc}", ""][(0 if number % 6 == 0 else 1 + number % 2)]
        blocks = content(2000 + number, accents=bool(fonts), length=3 + number % 5)
        body = []
        for block in blocks:
            if block[0] == "heading":
                command = {1: "section", 2: "section", 3: "subsection"}[block[1]]
                body.append(f"\\{command}*{{{block[2]}}}")
            elif block[0] == "text":
                body.append(block[1])
            elif block[0] == "table":
                rows = " \\\\\n".join(" & ".join(row) for row in block[1])
                size = "\\tiny" if "twocolumn" in options else "\\small"
                body.append("\\begin{center}" + size + "\n\\begin{tabular}{" + "l" * len(block[1][0]) + "}\n"
                            + rows + "\n\\end{tabular}\n\\end{center}")
            else:
                environment = "itemize" if block[0] == "bullets" else "enumerate"
                body.append(f"\\begin{{{environment}}}\n" + "\n".join(f"\\item {entry}" for entry in block[1])
                            + f"\n\\end{{{environment}}}")
        latex(folder, name, options, kind, fonts, "\n\n".join(body))
        add(f"{name}.pdf", "pdflatex", text_of(blocks, " "))


# Layouts: columns, wrapped cells, and pages that are drawn in another order than they are read in.

def wrapped(page, text, font, size, width):
    lines = [""]
    for word in text.split():
        longer = (lines[-1] + " " + word).strip()
        if page.stringWidth(longer, font, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def cells(source, lengths):
    return [[" ".join(source.choice(WORDS[:24]) for _ in range(source.randint(1, length))) for length in lengths]
            for _ in range(5)]


def with_layouts(folder):
    fonts = ["Helvetica", "Times-Roman"]
    for number in range(4):
        name = f"layout-{number:02}.pdf"
        style = ParagraphStyle("body", fontName=fonts[number % 2], fontSize=9, leading=12, spaceAfter=6,
                               alignment=TA_JUSTIFY if number < 2 else 0)
        blocks = content(6000 + number, length=9, tables=False, lists=False)
        flow = [Paragraph(block[-1], style) for block in blocks]
        count = 2 + number % 2
        width = (515 - 15 * (count - 1)) / count
        frames = [Frame(40 + index * (width + 15), 500, width, 250, leftPadding=0, rightPadding=0)
                  for index in range(count)]
        template = BaseDocTemplate(str(HERE / name), pagesize=A4, invariant=1)
        template.addPageTemplates(PageTemplate(frames=frames))
        template.build(flow)
        add(name, "reportlab", text_of(blocks, " "))
    for number in range(4, 8):
        name = f"layout-{number:02}.pdf"
        source = random.Random(number)
        style = ParagraphStyle("body", fontName=fonts[number % 2], fontSize=9, leading=11)
        rows, before, after = cells(source, [3, 6, 12]), paragraph(source), paragraph(source)
        table = Table([[Paragraph(cell, style) for cell in row] for row in rows], colWidths=[80, 100, 140],
                      style=[("VALIGN", (0, 0), (-1, -1), ["TOP", "MIDDLE", "BOTTOM"][number % 3])])
        SimpleDocTemplate(str(HERE / name), pagesize=A4, invariant=1).build(
            [Paragraph(before, style), table, Paragraph(after, style)])
        add(name, "reportlab", "\n".join([before] + [" ".join(row) for row in rows] + [after]))
    for number in range(8, 12):
        # Columns across, a table by its columns, questions before answers, and line by line with numbers.
        name = f"layout-{number:02}.pdf"
        source = random.Random(number)
        page = canvas.Canvas(str(HERE / name), pagesize=A4, invariant=1)
        page.setFont("Helvetica", 9)
        if number == 8:
            columns = [wrapped(page, paragraph(source, sentences=(6, 6)), "Helvetica", 9, 220) for _ in range(2)]
            length = min(map(len, columns))
            columns = [column[:length] for column in columns]
            for line in range(length):
                page.drawString(50, 760 - 12 * line, columns[0][line])
                page.drawString(300, 760 - 12 * line, columns[1][line])
            text = " ".join(columns[0] + columns[1])
        else:
            rows = [[cell(source) for _ in range(3)] for _ in range(6)]
            if number == 10:
                rows = [[phrase(source).capitalize() + ":", cell(source)] for _ in range(6)]
            if number == 11:
                rows = [[f"({line})", cell(source)] for line in range(1, 7)]
            for column in range(len(rows[0])):
                for line, row in enumerate(rows):
                    page.drawString(60 + (30 if number == 11 else 150) * column, 760 - 18 * line, row[column])
            text = "\n".join(" ".join(row) for row in rows)
        page.save()
        add(name, "reportlab", text)
    for number in range(12, 16):
        name = f"layout-{number:02}"
        source = random.Random(number)
        if number < 14:
            title, blocks = phrase(source).capitalize(), content(6500 + number, length=9, tables=False, lists=False)
            body = ("\\sloppy\\twocolumn[\\begin{center}\\LARGE " + title + "\\end{center}\\vspace{2em}]\n"
                    + "\n\n".join(block[-1] for block in blocks))
            text = title + "\n" + text_of(blocks, " ")
        else:
            rows, before, after = cells(source, [3, 6, 12]), paragraph(source), paragraph(source)
            body = (before + "\n\n\\begin{tabular}{p{2cm}p{3cm}p{5cm}}\n"
                    + " \\\\\n".join(" & ".join(row) for row in rows) + "\n\\end{tabular}\n\n" + after)
            text = "\n".join([before] + [" ".join(row) for row in rows] + [after])
        latex(folder, name, "10pt", "article", "", body)
        add(f"{name}.pdf", "pdflatex", text)


# pandoc

def markdown(blocks):
    parts = []
    for block in blocks:
        if block[0] == "heading":
            parts.append("#" * block[1] + " " + block[2])
        elif block[0] == "text":
            words = block[1].split(" ")
            # Marks that say nothing in plain text.
            for index in range(3, len(words) - 1, 17):
                words[index] = ["*{}*", "**{}**", "[{}](https://example.org/x)"][index % 3].format(words[index])
            parts.append(" ".join(words))
        elif block[0] == "bullets":
            parts.append("\n".join("- " + item for item in block[1]))
        elif block[0] == "numbers":
            parts.append("\n".join(f"{number}. {item}" for number, item in enumerate(block[1], 1)))
        else:
            rows = ["| " + " | ".join(row) + " |" for row in block[1]]
            parts.append("\n".join([rows[0], "|" + "---|" * len(block[1][0])] + rows[1:]))
    return "\n\n".join(parts) + "\n"


def with_pandoc(folder):
    for number in range(26):
        blocks = content(3000 + number, accents=True, length=3 + number % 7)
        source = folder / "source.md"
        source.write_text(markdown(blocks))
        name = f"pandoc-{number:02}.docx"
        subprocess.run(["pandoc", source, "-o", HERE / name], check=True)
        add(name, "pandoc", text_of(blocks))
        if number < 8:
            name = f"markdown-{number:02}.md"
            (HERE / name).write_text(markdown(blocks))
            add(name, "markdown", text_of(blocks))
    for number in range(4):
        blocks = content(3500 + number, length=3)
        source = folder / "source.md"
        source.write_text(markdown(blocks))
        name = f"pandoc-{number:02}.pdf"
        subprocess.run(["pandoc", source, "-o", HERE / name, "--pdf-engine=pdflatex", "-V", "pagestyle=empty"],
                       check=True)
        add(name, "pandoc", text_of(blocks, " "))


# python-docx

def with_python_docx():
    for number in range(8):
        source = random.Random(number)
        blocks = content(4000 + number, accents=True, length=3 + number % 6)
        if number % 5 == 4:
            blocks = [("heading", 1, "千字文")] + [
                ("text", "".join(source.choice(CHINESE) for _ in range(60)) + "。") for _ in range(4)]
        file = docx.Document()
        lines = text_of([block for block in blocks if block[0] != "numbers"])
        for block in blocks:
            if block[0] == "heading":
                file.add_heading(block[2], block[1])
            elif block[0] == "text":
                words = block[1].split(" ")
                entry = file.add_paragraph(" ".join(words[: len(words) // 2]))
                # A word in two runs, and one in bold.
                entry.add_run(" ").bold = True
                entry.add_run(" ".join(words[len(words) // 2:])).italic = number % 2 == 0
                if len(words) == 1:
                    entry.clear()
                    entry.add_run(block[1][:7]).bold = True
                    entry.add_run(block[1][7:])
            elif block[0] == "bullets":
                for item in block[1]:
                    file.add_paragraph(item, "List Bullet")
            elif block[0] == "table":
                table = file.add_table(len(block[1]), len(block[1][0]))
                for row, cells in enumerate(block[1]):
                    for column, cell in enumerate(cells):
                        table.cell(row, column).text = cell
        name = f"python-docx-{number:02}.docx"
        file.save(HERE / name)
        add(name, "python-docx", lines)


# LibreOffice

def html(blocks):
    parts = []
    for block in blocks:
        if block[0] == "heading":
            parts.append(f"<h{block[1]}>{block[2]}</h{block[1]}>")
        elif block[0] == "text":
            parts.append(f"<p>{block[1]}</p>")
        elif block[0] in ("bullets", "numbers"):
            tag = "ul" if block[0] == "bullets" else "ol"
            parts.append(f"<{tag}>" + "".join(f"<li><p>{item}</p></li>" for item in block[1]) + f"</{tag}>")
        else:
            rows = "".join("<tr>" + "".join(f"<td><p>{cell}</p></td>" for cell in row) + "</tr>" for row in block[1])
            parts.append(f"<table border=1 width=100%>{rows}</table>")
    return "<html><head><meta charset=utf-8></head><body>" + "\n".join(parts) + "</body></html>"


def with_libreoffice(folder):
    def convert(paths, target):
        subprocess.run(["soffice", f"-env:UserInstallation=file://{folder}/profile", "--headless",
                        "--infilter=HTML (StarWriter)", "--convert-to", target, "--outdir", folder / "out", *paths],
                       check=True, stdout=subprocess.DEVNULL)
    for target, kind, count, seed in [("docx:MS Word 2007 XML", "docx", 24, 5000),
                                      ("pdf:writer_pdf_Export", "pdf", 16, 5500)]:
        sources = []
        for number in range(count):
            blocks = content(seed + number, accents=True, length=3 + number % 6)
            if number % 12 == 11:
                source = random.Random(number)
                blocks = [("heading", 1, "千字文")] + [
                    ("text", "".join(source.choice(CHINESE) for _ in range(60)) + "。") for _ in range(3)]
            path = folder / f"libreoffice-{number:02}.html"
            path.write_text(html(blocks))
            sources.append((path, blocks))
        convert([path for path, _ in sources], target)
        for path, blocks in sources:
            name = f"{path.stem}.{kind}"
            (HERE / name).write_bytes((folder / "out" / name).read_bytes())
            add(name, "libreoffice", text_of(blocks, " | " if kind == "docx" else " "))


if __name__ == "__main__":
    for old in HERE.glob("*.*"):
        if old.suffix in (".pdf", ".docx", ".md"):
            old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        with_reportlab()
        with_latex(Path(folder))
        with_layouts(Path(folder))
        with_pandoc(Path(folder))
        with_python_docx()
        with_libreoffice(Path(folder))
    (HERE / "documents.json").write_text(json.dumps(documents, ensure_ascii=False, indent=0))
    print(len(documents), "documents")
