"""Trains mixed.json and writes encodings.json: what the `tokenizers` package makes of many strings.

    python make_encodings.py

Run in this folder, where reader.json stands. Random strings are made by the generator below and by the same one in
TokenizerFixtures.swift, so only a hash of the ids of each batch is stored, beside a few dozen strings in full.
"""

import copy
import json
import random

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


def fnv(hash_, ids):
    """FNV-1a, 64 bits, over ids as 4 little-endian bytes each and 0xFFFFFFFF after each string."""
    for i in ids + [0xFFFFFFFF]:
        for shift in (0, 8, 16, 24):
            hash_ = ((hash_ ^ (i >> shift & 0xFF)) * 0x100000001B3) & MASK
    return hash_


def representatives():
    """About 200 code points: every class with the edges of its ranges, ASCII, and all white space."""
    rng = random.Random(5)
    chosen = set(range(0x00, 0x80)) - set(range(0x01, 0x09)) - set(range(0x0E, 0x1F))
    spans = {}
    for line in open("classes.txt"):
        name, a, b = line.split()
        spans.setdefault(name, []).append((int(a, 16), int(b, 16)))
    for a, b in spans["space"]:
        chosen.update(range(a, b + 1))
    for name in ("letter", "number"):
        for a, b in rng.sample(spans[name], 14):
            chosen.update((a, b))
    chosen.update((0x17F, 0x212A, 0xFB06, 0x301, 0x200D, 0xFE0F, 0x1F642, 0x180E, 0xFFFD, 0x10FFFF, 0xE000, 0xD7FF))
    return sorted(c for c in chosen if not 0xD800 <= c < 0xE000)


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


def splitter(pattern):
    if pattern is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip


def train():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = splitter(PATTERNS["tripleNumbers"])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    spec = json.loads(tokenizer.to_str())
    vocab = spec["model"]["vocab"]
    # Tokens that no merge yields: only ignore_merges finds them.
    for word in ("Ġunmerged", "Ġxyzzy", "ĠHello", "Hello"):
        vocab.setdefault(word, len(vocab))
    spec["added_tokens"] = [
        {"id": len(vocab) + i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": name in MARKUP, "special": name in SPECIAL}
        for i, name in enumerate(SPECIAL + MARKUP)
    ]  # fmt: skip
    spec["model"]["merges"] = [" ".join(pair) for pair in spec["model"]["merges"]]
    with open("mixed.json", "w") as f:
        json.dump(spec, f, ensure_ascii=False, separators=(",", ":"))


def plain(path, pattern, ignore_merges):
    """The tokenizer of `path` without added tokens: what user text must yield."""
    spec = json.load(open(path))
    spec = copy.deepcopy(spec)
    spec["added_tokens"] = []
    spec["model"]["ignore_merges"] = ignore_merges
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.pre_tokenizer = splitter(PATTERNS[pattern])
    return tokenizer


def main():
    train()
    points = representatives()
    variants = [
        ("reader.json", "singleNumbers", False),
        ("mixed.json", "tripleNumbers", False),
        ("mixed.json", "singleNumbers", False),
        ("mixed.json", "gpt2", False),
        ("mixed.json", "tripleNumbers", True),
    ]
    generator = Generator(99)
    examples = [s * k for s in SNIPPETS for k in (1, 2)] + [generator.string(points) for _ in range(40)]
    out = {"representatives": points, "snippets": SNIPPETS, "examples": examples, "variants": []}
    for path, pattern, ignore_merges in variants:
        tokenizer = plain(path, pattern, ignore_merges)

        def ids(text):
            return tokenizer.encode(text, add_special_tokens=False).ids

        pairs = []
        for a in points:
            h = 0xCBF29CE484222325
            for b in points:
                h = fnv(h, ids(chr(a) + chr(b)))
            pairs.append(f"{h:016x}")
        batches = []
        for seed in range(48):
            generator = Generator(seed)
            h = 0xCBF29CE484222325
            for _ in range(500):
                h = fnv(h, ids(generator.string(points)))
            batches.append(f"{h:016x}")
        out["variants"].append({
            "file": path, "pattern": pattern, "ignoreMerges": ignore_merges, "pairs": pairs, "batches": batches,
            "examples": [ids(s) for s in examples],
        })  # fmt: skip
    with open("encodings.json", "w") as f:
        json.dump(out, f, ensure_ascii=False, separators=(",", ":"))


main()
