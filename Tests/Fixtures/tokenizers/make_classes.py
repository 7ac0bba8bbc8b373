"""Writes the character classes of the `tokenizers` package, found by matching every code point.

    python make_classes.py

classes.txt is the fixture that the tests compare all 1,114,112 code points with; CharacterClass+Ranges.swift is the
table in Sources/Tokenizers. Surrogates cannot be in a string and count as `other`.
"""

from pathlib import Path

from tokenizers import Regex, __version__, pre_tokenizers

HERE = Path(__file__).parent
CLASSES = [("letter", r"\p{L}"), ("number", r"\p{N}"), ("space", r"\s")]
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def matching(pattern):
    """The code points that `pattern` matches."""
    text = "".join(map(chr, SCALARS))
    rest = pre_tokenizers.Split(Regex(pattern), "removed").pre_tokenize_str(text)
    unmatched = {i for _, (start, end) in rest for i in range(start, end)}
    return [c for i, c in enumerate(SCALARS) if i not in unmatched]


def ranges(points):
    """Closed ranges of consecutive code points."""
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def main(fixture, table):
    found = {name: ranges(matching(pattern)) for name, pattern in CLASSES}
    with open(fixture, "w") as f:
        for name, spans in found.items():
            for a, b in spans:
                f.write(f"{name} {a:x} {b:x}\n")
    with open(table, "w") as f:
        f.write("//! The code points of each character class, as the tokenizers package matches them.\n\n")
        f.write("extension CharacterClass {\n")
        for name, pattern in CLASSES:
            f.write(f"    /// Closed ranges of `{pattern}`: first, last, first, last, ... in rising order.\n")
            f.write(f"    /// Written by Tests/Fixtures/tokenizers/make_classes.py from tokenizers {__version__}.\n")
            f.write(f"    static let {name}Ranges: [UInt32] = [\n")
            words = [f"0x{c:X}" for span in found[name] for c in span]
            for i in range(0, len(words), 10):
                f.write("        " + ", ".join(words[i : i + 10]) + ",\n")
            f.write("    ]\n" + ("" if name == "space" else "\n"))
        f.write("}\n")


main(HERE / "classes.txt", HERE.parents[2] / "Sources/Tokenizers/CharacterClass+Ranges.swift")
