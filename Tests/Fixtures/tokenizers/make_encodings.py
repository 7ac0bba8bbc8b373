"""Trains mixed.json and glm4.json, and writes encodings.json: what the `tokenizers` package makes of many strings.

    python make_encodings.py
    python make_encodings.py SUBJECT VARIANT RUN

Strings are made by the generator below and by the same one in TokenizerFixtures.swift, so only a hash of the ids of
each run of cases is stored, beside a few hundred strings in full. The second form prints the cases of one run with
their ids, in the form in which a failing test prints its own: the first line that differs is the case at fault.
SUBJECT is `pairs`, `strings`, `codePoints` or `decodings`, VARIANT the number of the variant in encodings.json.

- pairs: each two of 200 code points that stand for their classes; a run holds those with the same first one.
- strings: random strings of words, code points and ASCII; run N holds the 500 of the generator with seed N.
- codePoints: every code point alone, 4,096 a run, without the 2,048 surrogates: they have no UTF-8 form.
- decodings: random ids, also such as stand for no token, with the text of them without special tokens; run N holds
  the 500 lists of the generator with seed N.
"""

import copy
import functools
import json
import random
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

PATTERNS = {
    "tripleNumbers": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "singleNumbers": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "gpt2": None,
}
SPECIAL = [
    "<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>",
    "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>",
    "<|image|>", "<|video|>",
]  # fmt: skip
MARKUP = ["<think>", "</think>", "<answer>", "</answer>", "/nothink", "<|begin_of_box|>", "<|end_of_box|>"]
SNIPPETS = [
    "'s", "'S", "'ſ", "'t", "'RE", "'ve", "'M", "'lL", "'d", "'", "don't", "I'LL", " the", "  ", "   ", "\n\n", "\r\n",
    " \n", "\t", "123", "4567", "12345678", "½", "٣", "你好", "世界", "こんにちは", "привет", "مرحبا", "नमस्ते", "한국어",
    "é", "e\u0301", "ß", "ﬆ", "🙂", "👩\u200d👩\u200d👧", "\u00a0", "\u3000", "\u2028", "\u0085", "\u180e", "<|user|>",
    "[gMASK]", "<think>", "</think>", "/nothink", "!!!", "...", "--", "();", "{\n    ", "http://", "_x", "\u0000", "\ufffd",
    "K", "Ⅷ", "二", "Hello", "World", " unmerged", " xyzzy",
]  # fmt: skip
MASK = (1 << 64) - 1
HERE = Path(__file__).parent
VARIANTS = [
    # file, pattern, ignore_merges, runs of 500 random strings, and whether every code point is recorded.
    ("reader.json", "singleNumbers", False, 200, True),
    ("glm4.json", "tripleNumbers", False, 200, True),
    ("mixed.json", "tripleNumbers", False, 48, False),
    ("mixed.json", "singleNumbers", False, 48, False),
    ("mixed.json", "gpt2", False, 48, False),
    ("mixed.json", "tripleNumbers", True, 48, False),
]
DECODINGS = 40
SCALARS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


class Generator:
    """SplitMix64 (Steele et al., 2014)."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return self.next() % n

    def string(self, representatives):
        out = []
        for _ in range(1 + self.below(32)):
            kind = self.below(8)
            if kind < 3:
                out.append(SNIPPETS[self.below(len(SNIPPETS))])
            elif kind < 5:
                out.append(chr(representatives[self.below(len(representatives))]))
            elif kind < 7:
                out.append(chr(0x20 + self.below(0x5F)))
            else:
                c = self.below(0x110000 - 0x800)
                out.append(chr(c if c < 0xD800 else c + 0x800))
        return "".join(out)


    def ids(self, count):
        """A list of ids, a few of them beyond the last."""
        return [self.below(count + 8) for _ in range(1 + self.below(24))]


def fnv(hash_, ids):
    """FNV-1a, 64 bits, over ids as 4 little-endian bytes each and 0xFFFFFFFF after each string."""
    for i in ids + [0xFFFFFFFF]:
        for shift in (0, 8, 16, 24):
            hash_ = ((hash_ ^ (i >> shift & 0xFF)) * 0x100000001B3) & MASK
    return hash_


def representatives():
    """200 code points: every class with the edges of its ranges, ASCII, all white space, and some of no class."""
    rng = random.Random(5)
    chosen = set(range(0x00, 0x80)) - set(range(0x01, 0x09)) - set(range(0x0E, 0x1F))
    spans = {}
    for line in open(HERE / "classes.txt"):
        name, a, b = line.split()
        spans.setdefault(name, []).append((int(a, 16), int(b, 16)))
    for a, b in spans["space"]:
        chosen.update(range(a, b + 1))
    for name in ("letter", "number"):
        for a, b in rng.sample(spans[name], 14):
            chosen.update((a, b))
    chosen.update((0x17F, 0x212A, 0xFB06, 0x301, 0x200D, 0xFE0F, 0x1F642, 0x180E, 0xFFFD, 0x10FFFF, 0xE000, 0xD7FF))
    others = set(range(0x2000, 0x3100)) | set(range(0x1F300, 0x1F700))
    for spans_ in spans.values():
        for a, b in spans_:
            others -= set(range(a, b + 1))
    chosen = {c for c in chosen if not 0xD800 <= c < 0xE000}
    chosen.update(rng.sample(sorted(others - chosen), 200 - len(chosen)))
    return sorted(chosen)


def corpus():
    """Pseudo-words in several scripts, with numbers, contractions, code and white space between them."""
    rng = random.Random(3)
    syllables = [
        "ka to re mi shi lo na ver sun der ing al tion pre st ou wh ea th er qu ck".split(),
        "при вет ми ра до ста но ва ло же ск ый".split(),
        list("的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后"),
        list("あいうえおかきくけこさしすせそたちつてとなにのはをん日本語東京"),
        "가 나 다 라 마 바 사 한 국 어 말".split(),
        "ال من في على ما هذا كتاب سلام".split(),
        "न म स् ते का है में की और".split(),
        "é è ü ö ñ ça né tés île".split(),
    ]
    lexicon = []
    for parts in syllables:
        for _ in range(400):
            lexicon.append("".join(rng.choice(parts) for _ in range(rng.randint(1, 4))))
    weights = [1 / (1 + rng.randint(0, 300)) for _ in lexicon]
    glue = [" "] * 12 + [", ", ". ", "\n", "\n\n", "  ", "    ", "'s ", "'re ", "'ll ", "! ", " (", ") ", " = ", "🙂", "\r\n"]
    for _ in range(4000):
        words = rng.choices(lexicon, weights, k=30)
        line = []
        for w in words:
            line.append(w if rng.random() < 0.8 else w.capitalize())
            line.append(rng.choice(glue))
            if rng.random() < 0.1:
                line.append(str(rng.randint(0, 10 ** rng.randint(1, 6))))
        yield "".join(line)


CODE = """def NAME(self, NAME):
    for NAME in range(len(NAME)):
        if NAME[NAME] != NUMBER and not NAME:
            return {"NAME": NUMBER, 'NAME': [NUMBER, NUMBER]}

static inline uint32_t NAME(const char *NAME, size_t NAME) { return NAME->NAME & 0xNUMBER; }
<div class="NAME">NAME</div> <!-- NAME -->
SELECT NAME, COUNT(*) FROM NAME WHERE NAME >= NUMBER GROUP BY NAME;
https://www.NAME.org/NAME/NAME?NAME=NUMBER#NAME
let NAME: [String: Int] = NAME.map { $0.NAME ?? NUMBER }
"""


def large_corpus():
    """What `corpus` has, with a larger lexicon, more scripts, and code."""
    rng = random.Random(20)
    onsets = "b c d f g h j k l m n p r s t v w z bl br ch cl cr dr fl fr gl gr ph pl pr qu sc sh sk sl sp st str th tr wh".split()
    vowels = "a e i o u ai ea ee ie oo ou y".split()
    codas = ["", "", "b", "ck", "d", "l", "ll", "m", "n", "nd", "ng", "nt", "p", "r", "rd", "s", "ss", "st", "t", "tion", "x"]
    latin = [rng.choice(onsets) + rng.choice(vowels) + rng.choice(codas) for _ in range(900)]
    scripts = [
        (latin, 9000),
        (["é".join(p) for p in zip(latin[:90], latin[90:180])] + [w + rng.choice("üöäñçåøœß") for w in latin[:200]], 900),
        ([a + b for a in "бвгдзклмнпрст" for b in "аеиоуыяю"], 1800),
        ([a + b for a in "βγδζθκλμνπρσ" for b in "αειοηω"], 600),
        ([chr(c) for c in range(0x4E00, 0x4E00 + 20 * 190, 20)], 1500),
        ([chr(c) for c in range(0x3042, 0x3094)] + [chr(c) for c in range(0x30A2, 0x30F4)], 600),
        ([chr(0xAC00 + 28 * c) for c in range(0, 399, 3)], 600),
        ([a + b for a in "بتجحدرسشعفقكلمنهو" for b in "ايو"], 600),
        ([a + b for a in "בגדהזחטילמנ" for b in "או"], 300),
        ([a + b for a in "कखगचजतदनपबमयरलव" for b in ["", "ा", "ि", "ी", "े", "ो"]], 600),
        ([a + b for a in "กขคงจชดตทนบปพมยรลวสห" for b in ["า", "ิ", "ี", "ุ", "โ"]], 300),
    ]
    lexicon = ["".join(rng.choice(parts) for _ in range(rng.randint(1, 4))) for parts, count in scripts for _ in range(count)]
    weights = [1 / (1 + rng.randint(0, 60)) for _ in lexicon]
    glue = [" "] * 14 + [", ", ". ", "\n", "\n\n", "  ", "    ", "'s ", "'re ", "'ll ", "! ", " (", ") ", " = ", "🙂", "\r\n", "—", "…"]
    for _ in range(9000):
        line = []
        for word in rng.choices(lexicon, weights, k=30):
            line.append(word if rng.random() < 0.8 else word.capitalize())
            line.append(rng.choice(glue))
            if rng.random() < 0.1:
                line.append(str(rng.randint(0, 10 ** rng.randint(1, 9))))
        yield "".join(line)
    for _ in range(600):
        words = iter(rng.choices(latin, k=60))
        code = CODE.replace("NUMBER", "\0")
        while "NAME" in code:
            code = code.replace("NAME", next(words), 1)
        while "\0" in code:
            code = code.replace("\0", str(rng.randint(0, 4096)), 1)
        yield code


def splitter(pattern):
    if pattern is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip


def train(path, texts, size, unmerged):
    """Trains a tokenizer with GLM-4's pattern. `size` counts the tokens that merging yields."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitter(PATTERNS["tripleNumbers"])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    spec = json.loads(tokenizer.to_str())
    vocab = spec["model"]["vocab"]
    assert len(vocab) == size
    # Tokens that no merge yields: only ignore_merges finds them.
    for word in unmerged:
        vocab.setdefault(word, len(vocab))
    spec["added_tokens"] = [
        {"id": len(vocab) + i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": name in MARKUP, "special": name in SPECIAL}
        for i, name in enumerate(SPECIAL + MARKUP)
    ]  # fmt: skip
    spec["model"]["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    with open(HERE / path, "w") as f:
        json.dump(spec, f, ensure_ascii=False, separators=(",", ":"))


def plain(path, pattern, ignore_merges):
    """The tokenizer of `path` without added tokens: what user text must yield."""
    spec = json.load(open(HERE / path))
    spec = copy.deepcopy(spec)
    spec["added_tokens"] = []
    spec["model"]["ignore_merges"] = ignore_merges
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.pre_tokenizer = splitter(PATTERNS[pattern])
    return tokenizer


class Variant:
    """One tokenizer, and the runs of cases that are recorded of it."""

    def __init__(self, path, pattern, ignore_merges, strings, has_code_points, points):
        self.path, self.pattern, self.ignore_merges, self.points = path, pattern, ignore_merges, points
        self.tokenizer = plain(path, pattern, ignore_merges)
        self.whole = Tokenizer.from_file(str(HERE / path))
        self.runs = {
            "pairs": len(points),
            "strings": strings,
            "codePoints": -(-len(SCALARS) // 4096) if has_code_points else 0,
            "decodings": DECODINGS,
        }

    def ids(self, texts):
        return [e.ids for e in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def cases(self, subject, run):
        """Pairs of a case and its result; both are numbers, and the result is what is hashed."""
        generator = Generator(run)
        if subject == "decodings":
            lists = [generator.ids(self.whole.get_vocab_size()) for _ in range(500)]
            return [(i, list(self.whole.decode(i).encode())) for i in lists]
        texts = {
            "pairs": lambda: [chr(self.points[run]) + chr(b) for b in self.points],
            "strings": lambda: [generator.string(self.points) for _ in range(500)],
            "codePoints": lambda: [chr(c) for c in SCALARS[run * 4096 :][:4096]],
        }[subject]()
        return [(list(map(ord, text)), ids) for text, ids in zip(texts, self.ids(texts))]

    def hash(self, subject, run):
        return f"{functools.reduce(fnv, (result for _, result in self.cases(subject, run)), 0xCBF29CE484222325):016x}"


def main():
    points = representatives()
    if len(sys.argv) == 4:
        subject, variant, run = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
        for case, result in Variant(*VARIANTS[variant], points).cases(subject, run):
            print(*case, "->", *result)
        return
    train("mixed.json", corpus(), 3000, ("Ġunmerged", "Ġxyzzy", "ĠHello", "Hello"))
    # 20,000 entries with the added ones.
    train("glm4.json", large_corpus(), 20_000 - len(SPECIAL + MARKUP), ())
    generator = Generator(99)
    examples = [s * k for s in SNIPPETS for k in (1, 2)] + [generator.string(points) for _ in range(160)]
    out = {"representatives": points, "snippets": SNIPPETS, "examples": examples, "variants": []}
    for description in VARIANTS:
        variant = Variant(*description, points)
        out["variants"].append({
            "file": variant.path, "pattern": variant.pattern, "ignoreMerges": variant.ignore_merges,
            "runs": {s: [variant.hash(s, run) for run in range(n)] for s, n in variant.runs.items()},
            "examples": variant.ids(examples),
        })  # fmt: skip
    with open(HERE / "encodings.json", "w") as f:
        json.dump(out, f, ensure_ascii=False, separators=(",", ":"))


main()
