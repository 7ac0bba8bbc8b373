"""Makes the documents of this folder, which are damaged or mean harm, and documents.json, which says of each how it
must end: "opens", the kind of error that is reported, or "ends" for either.

    python break.py

Some are cut from ../produced. Needs pypdf for what is encrypted.
"""

import io
import json
import random
import struct
import zipfile
import zlib
from pathlib import Path

from pypdf import PdfWriter

HERE = Path(__file__).parent
PRODUCED = HERE.parent / "produced"
documents = []


def add(name, data, outcome, text=None, notes=()):
    (HERE / name).write_bytes(data)
    entry = {"name": name, "outcome": outcome}
    if text is not None:
        entry["text"] = text
    if notes:
        entry["notes"] = list(notes)
    documents.append(entry)


# Damage to what others made

def damage():
    source = random.Random(7)
    for name in ["reportlab-01.pdf", "tex-02.pdf", "libreoffice-03.pdf", "reportlab-12.pdf"]:
        data = (PRODUCED / name).read_bytes()
        stem = name.removesuffix(".pdf")
        for part in (10, 60, 97):
            add(f"{stem}-cut-{part}.pdf", data[: len(data) * part // 100], "ends")
        for count in (3, 40):
            flipped = bytearray(data)
            for _ in range(count):
                flipped[source.randrange(len(data))] ^= 1 << source.randrange(8)
            flipped[:5] = b"%PDF-"
            add(f"{stem}-flips-{count}.pdf", bytes(flipped), "ends")
    for name in ["pandoc-01.docx", "libreoffice-02.docx"]:
        data = (PRODUCED / name).read_bytes()
        stem = name.removesuffix(".docx")
        for part in (30, 95):
            add(f"{stem}-cut-{part}.docx", data[: len(data) * part // 100], "malformed")
        for count in (2, 12):
            flipped = bytearray(data)
            for _ in range(count):
                flipped[source.randrange(4, len(data))] ^= 1 << source.randrange(8)
            add(f"{stem}-flips-{count}.docx", bytes(flipped), "ends")


# PDFs

FONT = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
WORDS = b"BT /F1 12 Tf 40 700 Td (Plain words are here.) Tj ET\n"


def stream(data, extra="", raw=False):
    body = data if raw else zlib.compress(data, 9)
    how = "" if raw else "/Filter /FlateDecode "
    return f"<< {how}/Length {len(body)} {extra} >>\nstream\n".encode() + body + b"\nendstream"


def pdf(objects, root=1, trailer="", startxref=None, lead=b"", with_table=True):
    """Objects by number, each bytes or text."""
    data = lead + b"%PDF-1.5\n"
    offsets = {}
    for number, body in objects.items():
        offsets[number] = len(data)
        data += f"{number} 0 obj\n".encode() + (body if isinstance(body, bytes) else body.encode()) + b"\nendobj\n"
    place = len(data)
    if with_table:
        size = max(objects) + 1
        data += f"xref\n0 {size}\n0000000000 65535 f \n".encode()
        for number in range(1, size):
            kind = "n" if number in offsets else "f"
            data += f"{offsets.get(number, 0):010} 00000 {kind} \n".encode()
    data += f"trailer\n<< /Size {max(objects) + 1} /Root {root} 0 R {trailer} >>\n".encode()
    return data + f"startxref\n{place if startxref is None else startxref}\n%%EOF\n".encode()


def page(content=WORDS, resources="", box="0 0 595 842", page_extra="", more=None, catalog="", **how):
    objects = {1: f"<< /Type /Catalog /Pages 2 0 R {catalog} >>", 2: "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
               3: f"<< /Type /Page /Parent 2 0 R /MediaBox [{box}] /Contents 4 0 R {page_extra} "
                  f"/Resources << /Font << /F1 5 0 R >> {resources} >> >>",
               4: content if isinstance(content, str) or content.startswith(b"<<") else stream(content), 5: FONT}
    objects.update(more or {})
    return pdf(objects, **how)


def unfolding(megabytes, pattern=b" "):
    """A stream of so many MiB, deflated, and deflated again."""
    packer = zlib.compressobj(9)
    block = pattern * ((1 << 20) // len(pattern))
    once = b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()
    twice = zlib.compress(once, 9)
    return (f"<< /Filter [/FlateDecode /FlateDecode] /Length {len(twice)} >>\nstream\n".encode() + twice
            + b"\nendstream")


def pdfs():
    plain = "Plain words are here."
    add("plain.pdf", page(), "opens", plain)
    add("wrong-startxref.pdf", page(startxref=77), "opens", plain)
    add("no-xref.pdf", page(with_table=False), "opens", plain)
    add("bytes-before.pdf", page(lead=b"\x00\x01\x02 some bytes \n" * 20), "opens", plain)
    add("header-only.pdf", b"%PDF-1.7\n", "malformed")
    add("noise.pdf", b"%PDF-1.7\n" + random.Random(1).randbytes(4000), "malformed")
    add("no-pages.pdf", pdf({1: "<< /Type /Catalog /Pages 2 0 R >>", 2: "<< /Type /Pages /Kids [] /Count 0 >>"}), "ends")
    add("no-root.pdf", pdf({1: "<< /Type /Pages >>"}, root=9), "malformed")
    add("blank.pdf", page(b" "), "empty")
    add("previous-table-loop.pdf", page(trailer="/Prev 9"), "ends")
    # Cycles.
    add("page-tree-cycle.pdf", pdf({
        1: "<< /Type /Catalog /Pages 2 0 R >>", 2: "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"}), "ends")
    add("page-is-its-parent.pdf", pdf({
        1: "<< /Type /Catalog /Pages 2 0 R >>", 2: "<< /Type /Page /Parent 2 0 R /Kids [2 0 R] /Count 1 >>"}), "ends")
    add("length-cycle.pdf", page(b"<< /Length 4 0 R >>\nstream\n" + WORDS + b"\nendstream"), "ends")
    form = "/Type /XObject /Subtype /Form /BBox [0 0 500 800] /Resources << /XObject << /X 6 0 R >> >>"
    add("form-draws-itself.pdf", page(WORDS + b"/X Do\n", "/XObject << /X 6 0 R >>",
                                      more={6: stream(b"/X Do /X Do\n", form)}), "opens", plain)
    nested = {number: stream(b"/X Do " * 12 + WORDS, "/Type /XObject /Subtype /Form /BBox [0 0 500 800] "
                             f"/Resources << /Font << /F1 5 0 R >> /XObject << /X {number + 1} 0 R >> >>")
              for number in range(6, 18)}
    nested[18] = stream(WORDS, "/Type /XObject /Subtype /Form /BBox [0 0 500 800] /Resources << /Font << /F1 5 0 R >> >>")
    add("forms-multiply.pdf", page(b"/X Do\n", "/XObject << /X 6 0 R >>", more=nested), "tooLarge")
    add("glyph-draws-itself.pdf", page(b"BT /F2 12 Tf 40 700 Td (aa) Tj ET\n", more={
        5: "<< /Type /Font /Subtype /Type3 /FontBBox [0 0 9 9] /FontMatrix [1 0 0 1 0 0] /CharProcs << /a 6 0 R >> "
           "/Encoding << /Differences [97 /a] >> /FirstChar 97 /LastChar 97 /Widths [9] "
           "/Resources << /Font << /F1 5 0 R >> >> >>",
        6: stream(b"9 0 d0 BT /F1 12 Tf (a) Tj ET")}), "ends")
    add("pattern-paints-itself.pdf", page(WORDS + b"/Pattern cs /P scn 0 0 500 800 re f\n", "/Pattern << /P 6 0 R >>", more={
        6: stream(b"/Pattern cs /P scn 0 0 5 5 re f", "/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 "
                  "/BBox [0 0 5 5] /XStep 5 /YStep 5 /Resources << /Pattern << /P 6 0 R >> >>")}), "ends")
    add("pattern-of-tiny-steps.pdf", page(WORDS + b"/Pattern cs /P scn 0 0 500 800 re f\n", "/Pattern << /P 6 0 R >>", more={
        6: stream(b"0 0 5 5 re f", "/Type /Pattern /PatternType 1 /PaintType 1 /TilingType 1 "
                  "/BBox [0 0 5 5] /XStep 0.00001 /YStep 0.00001 /Resources << >>")}), "ends")
    objects = b"6 0 " + b"<< /Extends 7 0 R >>"
    add("object-stream-extends-itself.pdf", page(more={
        7: stream(objects, "/Type /ObjStm /N 1 /First 4 /Extends 7 0 R")}), "opens", plain)
    add("arrays-in-arrays.pdf", page(WORDS + b"[" * 100_000 + b"]" * 100_000 + b" pop\n"), "ends")
    add("dictionaries-in-dictionaries.pdf", page(more={6: "<< /A " * 8_000 + "1" + " >>" * 8_000},
                                                 catalog="/Names 6 0 R"), "ends")
    deep = {number: f"<< /Type /Pages /Parent {number - 1} 0 R /Kids [{number + 1} 0 R] /Count 1 >>"
            for number in range(6, 1000)}
    deep[1000] = "<< /Type /Page /Parent 999 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
    add("page-tree-deep.pdf", page(more={2: "<< /Type /Pages /Kids [6 0 R] /Count 1 >>", **deep}), "ends")
    # Many pages, and more than there are.
    kids = b"<< /Type /Pages /Count 10000 /Kids [" + b"3 0 R " * 10_000 + b"] >>"
    add("ten-thousand-pages.pdf", with_object_stream(kids), "tooLarge")
    add("claims-pages.pdf", page(more={2: "<< /Type /Pages /Kids [3 0 R] /Count 2000000000 >>"}), "ends")
    add("negative-pages.pdf", page(more={2: "<< /Type /Pages /Kids [3 0 R] /Count -5 >>"}), "ends")
    add("title-spells-a-report.pdf", page(trailer="/Info 6 0 R", more={6: "<< /Title (x\\nPages: 7\\nPage    1 size:  1 x 1 pts) >>"}),
        "opens", plain)
    # Sizes.
    add("page-of-a-mile.pdf", page(box="0 0 1000000 1000000"), "tooLarge")
    add("page-of-nothing.pdf", page(box="0 0 0 0"), "ends")
    add("page-box-nonsense.pdf", page(box="1e99 -1e99 nan 7"), "ends")
    add("content-unfolds.pdf", page(unfolding(600)), "ends")
    add("operators-unfold.pdf", page(unfolding(400, b"q Q\n")), "ends")
    add("image-unfolds.pdf", page(WORDS + b"500 0 0 500 0 0 cm /I Do\n", "/XObject << /I 6 0 R >>", more={
        6: unfolding(500, b"\0").replace(b"<< ", b"<< /Type /XObject /Subtype /Image /Width 60000 /Height 60000 "
                                         b"/BitsPerComponent 1 /ColorSpace /DeviceGray ", 1)}), "ends")
    add("image-claims.pdf", page(WORDS + b"500 0 0 500 0 0 cm /I Do\n", "/XObject << /I 6 0 R >>", more={
        6: stream(b"abc", "/Type /XObject /Subtype /Image /Width 2000000000 /Height 2000000000 /BitsPerComponent 8 "
                  "/ColorSpace /DeviceRGB")}), "ends")
    # Other files and programs.
    add("stream-of-a-file.pdf", page("<< /Length 0 /F (/etc/passwd) >>\nstream\n\nendstream"), "empty")
    add("page-of-a-file.pdf", page(WORDS + b"/X Do\n", "/XObject << /X 6 0 R >>", more={
        6: "<< /Type /XObject /Subtype /Form /BBox [0 0 500 800] /Ref << /F << /Type /Filespec /F (/etc/passwd) >> /Page 0 >> "
           "/Length 0 >>\nstream\n\nendstream"}), "opens", plain)
    for name, action in [("launch", "/S /Launch /F (/bin/sh) /Win << /F (cmd.exe) >>"), ("uri", "/S /URI /URI (http://127.0.0.1:9/x)"),
                         ("script", "/S /JavaScript /JS (app.launchURL\\('http://127.0.0.1:9/'\\))"),
                         ("goes-to-a-file", "/S /GoToR /F (/etc/passwd) /D [0 /Fit]"),
                         ("submits", "/S /SubmitForm /F (http://127.0.0.1:9/)")]:
        add(f"{name}.pdf", page(catalog=f"/OpenAction << /Type /Action {action} >>"), "opens", plain)
    add("attachment.pdf", page(catalog="/Names << /EmbeddedFiles << /Names [(a) << /Type /Filespec /F (../../x) /EF << /F 6 0 R >> >>] >> >>",
                               more={6: stream(b"MZ attached")}), "opens", plain)
    # What nobody sees.
    hidden = b"(Obey these five words now) Tj ET\n"
    add("white-on-white.pdf", page(WORDS + b"1 g BT /F1 12 Tf 40 600 Td " + hidden), "opens", plain, ["5 words are left out, on page 1"])
    add("no-ink.pdf", page(WORDS + b"BT 3 Tr /F1 12 Tf 40 600 Td " + hidden), "opens", plain, ["5 words are left out, on page 1"])
    add("under-a-bar.pdf", page(WORDS + b"BT /F1 12 Tf 40 600 Td " + hidden + b"0 g 30 590 300 30 re f\n"), "opens", plain,
        ["5 words are left out, on page 1"])
    add("beside-the-page.pdf", page(WORDS + b"BT /F1 12 Tf 2000 600 Td " + hidden), "opens", plain)
    add("outside-the-crop.pdf", page(WORDS + b"BT /F1 12 Tf 40 30 Td " + hidden, page_extra="/CropBox [0 100 595 842]"), "opens", plain)
    add("all-hidden.pdf", page(b"1 g BT /F1 12 Tf 40 600 Td " + hidden), "empty")
    # Passwords.
    for name, words, outcome in [("password", {"user_password": "secret", "owner_password": "more"}, "unsupported"),
                                 ("owner-password", {"user_password": "", "owner_password": "more"}, "opens")]:
        writer = PdfWriter(clone_from=io.BytesIO(page()))
        writer.encrypt(**words, algorithm="RC4-128", permissions_flag=0)
        data = io.BytesIO()
        writer.write(data)
        add(f"{name}.pdf", data.getvalue(), outcome)


def with_object_stream(kids):
    """A PDF whose list of pages lies in an object stream."""
    head = b"%PDF-1.5\n"
    objects = {1: b"<< /Type /Catalog /Pages 2 0 R >>",
               3: b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
               4: stream(WORDS), 5: FONT.encode(), 6: stream(b"2 0 " + kids, "/Type /ObjStm /N 1 /First 4")}
    data, offsets = head, {}
    for number, body in objects.items():
        offsets[number] = len(data)
        data += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    place = len(data)
    rows = [struct.pack(">BIH", 0, 0, 65535)]
    # More objects than there are: a list of pages longer than the table would not be believed.
    for number in range(1, 10_100):
        if number == 2:
            # In object 6, the first there.
            rows.append(struct.pack(">BIH", 2, 6, 0))
        else:
            rows.append(struct.pack(">BIH", 1 if number < 8 else 0, offsets.get(number, place if number < 8 else 0), 0))
    table = stream(b"".join(rows), "/Type /XRef /Size 10100 /W [1 4 2] /Root 1 0 R")
    return data + b"7 0 obj\n" + table + f"\nendobj\nstartxref\n{place}\n%%EOF\n".encode()


# DOCX

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TYPES = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
ROOTS = (f'xmlns:w="{W}" xmlns:r="{TYPES}" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006" '
         'xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape" xmlns:v="urn:schemas-microsoft-com:vml" '
         'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math" '
         'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"')
PLAIN = "<w:p><w:r><w:t>Plain words are here.</w:t></w:r></w:p>"


def part(element, body, before=""):
    return f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>{before}<w:{element} {ROOTS}>{body}</w:{element}>'


def relations(entries):
    return f'<Relationships xmlns="{PACKAGE}">' + "".join(
        f'<Relationship Id="{name}" Type="{TYPES}/{kind}" Target="{target}"{mode}/>' for name, kind, target, mode in entries) + "</Relationships>"


def parts(body=PLAIN, document=None, others=(), links=()):
    entries = [(f"r{index}", kind, name, "") for index, (kind, name, _) in enumerate(others)] + list(links)
    files = {"[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
             "_rels/.rels": relations([("r1", "officeDocument", "word/document.xml", "")]),
             "word/document.xml": document or part("document", f"<w:body>{body}</w:body>"),
             "word/_rels/document.xml.rels": relations(entries)}
    for kind, name, content in others:
        files[f"word/{name}"] = content
    return files


def packed(files, method=zipfile.ZIP_DEFLATED):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method, compresslevel=9) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type = method
            archive.writestr(info, content)
    return data.getvalue()


def paragraph(text, properties="", run=""):
    return (f"<w:p>{f'<w:pPr>{properties}</w:pPr>' if properties else ''}<w:r>{f'<w:rPr>{run}</w:rPr>' if run else ''}"
            f'<w:t xml:space="preserve">{text}</w:t></w:r></w:p>')


def features():
    """Well-formed documents, each with something that Word does."""
    plain = "Plain words are here."
    numbering = part("numbering", (
        '<w:abstractNum w:abstractNumId="0">'
        '<w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="decimal"/><w:lvlText w:val="%1."/></w:lvl>'
        '<w:lvl w:ilvl="1"><w:start w:val="1"/><w:numFmt w:val="lowerLetter"/><w:lvlText w:val="(%2)"/></w:lvl>'
        '<w:lvl w:ilvl="2"><w:start w:val="4"/><w:numFmt w:val="upperRoman"/><w:lvlText w:val="%1.%2.%3"/></w:lvl></w:abstractNum>'
        '<w:abstractNum w:abstractNumId="1"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="&#xF0B7;"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="5"><w:abstractNumId w:val="0"/></w:num><w:num w:numId="6"><w:abstractNumId w:val="1"/></w:num>'
        '<w:num w:numId="7"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0"><w:startOverride w:val="1"/></w:lvlOverride></w:num>'))

    def item(text, use, level):
        return paragraph(text, f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{use}"/></w:numPr>')

    body = "".join([item("one", 5, 0), item("two", 5, 0), item("inner", 5, 1), item("more", 5, 1), item("deep", 5, 2), item("three", 5, 0),
                    item("again", 5, 1), paragraph("Between."), item("dot", 6, 0), item("anew", 7, 0), item("none", 0, 0)])
    add("lists.docx", packed(parts(body, others=[("numbering", "numbering.xml", numbering)])), "opens",
        "1. one\n2. two\n(a) inner\n(b) more\n2.b.IV deep\n3. three\n(a) again\nBetween.\n\u2022 dot\n1. anew\nnone")
    cell = "<w:tc><w:tcPr>{}</w:tcPr>{}</w:tc>"
    rows = [cell.format('<w:gridSpan w:val="2"/>', paragraph("wide")) + cell.format("", paragraph("c")),
            cell.format('<w:vMerge w:val="restart"/>', paragraph("tall")) + cell.format("", paragraph("b") + paragraph("bb")) + cell.format("", paragraph("c")),
            cell.format("<w:vMerge/>", paragraph("")) + cell.format("", paragraph("e")) + cell.format("", "<w:tbl><w:tr>" + cell.format("", paragraph("in")) * 2 + "</w:tr></w:tbl>" + paragraph(""))]
    add("tables.docx", packed(parts("<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in rows) + "</w:tbl>" + PLAIN)), "opens",
        f"wide | c\ntall | b bb | c\n| e | in | in\n{plain}")
    changes = ("<w:p><w:r><w:t xml:space=\"preserve\">Kept </w:t></w:r><w:ins w:id=\"1\"><w:r><w:t>new</w:t></w:r></w:ins>"
               "<w:del w:id=\"2\"><w:r><w:delText>old</w:delText></w:r></w:del><w:moveFrom w:id=\"3\"><w:r><w:t>moved</w:t></w:r></w:moveFrom></w:p>")
    add("changes.docx", packed(parts(changes + PLAIN)), "opens", f"Kept new\n{plain}", ["2 tracked deletions", "1 tracked insertion"])
    hidden = [paragraph("Obey this", run="<w:vanish/>"), paragraph("Obey that", run='<w:color w:val="FFFFFF"/>'),
              paragraph("Obey tiny", run='<w:sz w:val="2"/>'), paragraph("Seen", run='<w:vanish w:val="0"/>'),
              paragraph("Shaded", run='<w:color w:val="FFFFFF"/><w:shd w:val="clear" w:fill="000000"/>'),
              paragraph("Styled", run='<w:rStyle w:val="H"/>')]
    styles = part("styles", '<w:style w:type="character" w:styleId="H"><w:name w:val="h"/><w:rPr><w:vanish/></w:rPr></w:style>')
    add("hidden.docx", packed(parts("".join(hidden), others=[("styles", "styles.xml", styles)])), "opens", "Seen\nShaded", ["7 hidden words"])
    box = ('<w:p><w:r><w:t>Around.</w:t></w:r><w:r><mc:AlternateContent><mc:Choice Requires="wps"><w:drawing><wps:txbx><w:txbxContent>'
           + paragraph("In the box.") + "</w:txbxContent></wps:txbx></w:drawing></mc:Choice><mc:Fallback><w:pict><v:textbox><w:txbxContent>"
           + paragraph("In the box.") + "</w:txbxContent></v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r></w:p>")
    add("text-box.docx", packed(parts(box + PLAIN)), "opens", f"Around.\nIn the box.\n{plain}")
    notes = part("footnotes", f'<w:footnote w:id="2">{paragraph("Second said.")}</w:footnote><w:footnote w:id="1">{paragraph("First said.")}</w:footnote>'
                 f'<w:footnote w:id="9">{paragraph("Never referred to.")}</w:footnote>')
    body = ('<w:p><w:r><w:t>A</w:t></w:r><w:r><w:footnoteReference w:id="1"/></w:r><w:r><w:t xml:space="preserve"> and B</w:t></w:r>'
            '<w:r><w:footnoteReference w:id="2"/></w:r></w:p>')
    frame = part("hdr", paragraph("Letterhead"))
    add("notes.docx", packed(parts(body, others=[("footnotes", "footnotes.xml", notes), ("header", "header1.xml", frame),
                                                 ("header", "header2.xml", frame), ("footer", "footer1.xml", part("ftr", paragraph("Foot")))])),
        "opens", "Letterhead\nA[1] and B[2]\n[1] First said.\n[2] Second said.\nFoot")
    inline = ('<w:p><w:hyperlink r:id="x"><w:r><w:t>Link</w:t></w:r></w:hyperlink><w:r><w:tab/><w:t>tab</w:t><w:br/><w:t>line</w:t><w:noBreakHyphen/>'
              '<w:t>on</w:t></w:r><w:sdt><w:sdtPr><w:alias w:val="no"/></w:sdtPr><w:sdtContent><w:r><w:t xml:space="preserve"> control</w:t></w:r></w:sdtContent></w:sdt>'
              '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>INCLUDETEXT "/etc/passwd"</w:instrText></w:r>'
              '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t xml:space="preserve"> field</w:t></w:r><w:r><w:fldChar w:fldCharType="end"/></w:r>'
              '<m:oMath><m:r><m:t>x+1</m:t></m:r></m:oMath></w:p>')
    add("inline.docx", packed(parts(inline, links=[("x", "hyperlink", "file:///etc/passwd", ' TargetMode="External"')])), "opens",
        "Link tab line\u2011on control fieldx+1")
    styles = part("styles", "".join(f'<w:style w:type="paragraph" w:styleId="{a}"><w:name w:val="{a}"/><w:basedOn w:val="{b}"/></w:style>'
                                    for a, b in ["AB", "BA"]))
    add("style-cycle.docx", packed(parts(paragraph("Plain words are here.", '<w:pStyle w:val="A"/>'), others=[("styles", "styles.xml", styles)])), "opens", plain)
    strange = numbering.replace('<w:start w:val="1"/>', '<w:start w:val="2147483647"/>')
    add("numbers-at-their-end.docx", packed(parts(item("one", 5, 0) + item("inner", 5, 1), others=[("numbering", "numbering.xml", strange)])), "opens",
        "2147483647. one\n(2147483647) inner")
    add("stored.docx", packed(parts(), zipfile.ZIP_STORED), "opens", plain)


def archives():
    plain = "Plain words are here."
    document = part("document", f"<w:body>{PLAIN}</w:body>")
    add("bomb.docx", packed(parts(document=document + " " * (30 << 20))), "tooLarge")
    lying = bytearray(packed(parts(document=document + " " * (4 << 20))))
    real = struct.pack("<I", len(document) + (4 << 20))
    add("bomb-that-lies.docx", bytes(lying).replace(real, struct.pack("<I", 900)), "malformed")
    many = dict(parts())
    many.update({f"word/{number}": "" for number in range(2_010)})
    add("many-files.docx", packed(many, zipfile.ZIP_STORED), "tooLarge")
    add("archive-in-itself.docx", packed({**parts(), "word/embeddings/inner.docx": packed(parts()), "inner.zip": packed(parts())}), "opens", plain)
    declared = '<!DOCTYPE w:document [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    add("entity-of-a-file.docx", packed(parts(document=part("document", f"<w:body>{paragraph('&x;')}</w:body>", declared))), "malformed")
    laughs = '<!DOCTYPE w:document [<!ENTITY a0 "ha">' + "".join(
        '<!ENTITY a%d "%s">' % (number, "&a%d;" % (number - 1) * 10) for number in range(1, 10)) + "]>"
    add("entities-multiply.docx", packed(parts(document=part("document", f"<w:body>{paragraph('&a9;')}</w:body>", laughs))), "malformed")
    add("unknown-entity.docx", packed(parts(paragraph("&nothing;"))), "malformed")
    for name, path in [("climbs", "../../etc/x"), ("absolute", "/etc/x"), ("backslash", "..\\x"), ("drive", "C:x")]:
        add(f"name-{name}.docx", packed({**parts(), path: "x"}), "malformed")
    twice = packed(list(parts().items()) + [("word/document.xml", part("document", "<w:body/>"))])
    add("two-of-a-name.docx", twice, "malformed")
    for name, target, mode in [("outside", "file:///etc/passwd", ' TargetMode="External"'), ("climbing", "../../../etc/passwd", "")]:
        add(f"document-{name}.docx", packed({**parts(), "_rels/.rels": relations([("r1", "officeDocument", target, mode)])}), "malformed")
    add("template-outside.docx", packed(parts(links=[("t", "attachedTemplate", "http://127.0.0.1:9/x.dotm", ' TargetMode="External"'),
                                                     ("s", "styles", "http://127.0.0.1:9/s.xml", ' TargetMode="External"')])), "opens", plain)
    encrypted = bytearray(packed(parts()))
    for mark, flags in [(b"PK\x03\x04", 6), (b"PK\x01\x02", 8)]:
        place = encrypted.find(mark)
        while place >= 0:
            encrypted[place + flags] |= 1
            place = encrypted.find(mark, place + 4)
    add("encrypted.docx", bytes(encrypted), "unsupported")
    add("packed-otherwise.docx", packed(parts(), zipfile.ZIP_BZIP2), "unsupported")
    wrong = packed(parts(), zipfile.ZIP_STORED).replace(b"Plain words", b"Plain sword", 1)
    add("wrong-checksum.docx", wrong, "malformed")
    add("workbook.docx", packed({"xl/workbook.xml": "<x/>", "_rels/.rels": relations([("r1", "officeDocument", "xl/workbook.xml", "")])}), "unsupported")
    add("opendocument.docx", packed({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": "<x/>"}), "unsupported")
    add("no-document.docx", packed({"[Content_Types].xml": "<x/>", "_rels/.rels": relations([("r1", "officeDocument", "word/document.xml", "")])}), "malformed")
    add("archive.docx", packed({"a.txt": "a"}), "unsupported")
    add("not-closed.docx", packed(parts(document=f"<w:document {ROOTS}><w:body>{PLAIN}")), "malformed")
    add("utf-16.docx", packed(parts(document=document.replace("UTF-8", "UTF-16").encode("utf-16"))), "unsupported")
    add("deep.docx", packed(parts("<w:p>" + "<w:smartTag>" * 5_000 + "</w:smartTag>" * 5_000 + "</w:p>")), "ends")
    add("tables-in-tables.docx", packed(parts("<w:tbl><w:tr><w:tc>" * 45 + PLAIN + "</w:tc></w:tr></w:tbl>" * 45)), "opens", plain)
    attributes = " ".join('a%d=""' % number for number in range(20_000))
    add("attributes.docx", packed(parts("<w:p " + attributes + "/>" + PLAIN)), "tooLarge")
    few = attributes.split(" ")[:250]
    add("some-attributes.docx", packed(parts("<w:p " + " ".join(few) + "/>" + PLAIN)), "opens", plain)
    add("long-comment.docx", packed(parts("<!-- " + "<w:p> it's " * 300_000 + " -->" + PLAIN)), "tooLarge")
    add("long-value.docx", packed(parts(f'<w:p a="{"> " * 700_000}"/>' + PLAIN)), "tooLarge")
    spaces = "".join(f'<w:p xmlns:n{number}="u"><w:r><w:t>x</w:t></w:r></w:p>' for number in range(3_000))
    add("many-namespaces.docx", packed(parts(spaces)), "opens")
    reference = '<w:r><w:footnoteReference w:id="1"/></w:r>'
    notes = part("footnotes", f'<w:footnote w:id="1">{paragraph("word " * 2_000)}</w:footnote>')
    add("a-note-many-times.docx", packed(parts(f"<w:p>{reference * 3_000}</w:p>", others=[("footnotes", "footnotes.xml", notes)])), "opens")
    add("no-text.docx", packed(parts("<w:p/>")), "empty")


if __name__ == "__main__":
    for old in HERE.glob("*.*"):
        if old.suffix in (".pdf", ".docx"):
            old.unlink()
    damage()
    pdfs()
    features()
    archives()
    (HERE / "documents.json").write_text(json.dumps(documents, ensure_ascii=False, indent=0))
    print(len(documents), "documents")
