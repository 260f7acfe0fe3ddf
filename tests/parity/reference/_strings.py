"""Strings that tokenizers stumble over, the same ones for the same seed."""
import pathlib
import random
import unicodedata

LICENSE = pathlib.Path("/usr/share/common-licenses/GPL-3")  # of every Debian and Ubuntu, as English
UNICODE = pathlib.Path("/usr/share/unicode")  # of the package unicode-data, which scripts/setup installs
LONG = 5000  # characters

NASTY = [
    "", " ", "\t\n\r\x0b\x0c", "\0\x01\x7f\x85\u00ad", "[CLS][SEP] [mask] [MASK]x[PAD]", "[[UNK]]", "a[SEP", "a" * 100, "a" * 101,
    "é" * 99 + "e\u0301", "cafe\u0301 CAFÉ", "İstanbul ıI ẞß ΣΑΣ", "ﬁ ﬃ ① ½ ² ℌ ㎏", "日本語の絵文字", "한국어 \u1112\u1161\u11ab", "мир́ Й",
    "a\u200bb\u200dc\ufeffd\u2060", "\u00a0x\u2003y\u2028z\u3000", "👩‍👩‍👧‍👦🏳️‍🌈☺️", "don't stop—believin’!?…", "$5 + 3^2 = ~14 `x` |y| <z>",
    "a\u0301\u0316\u0301b", "\u0316\u0301", "\U0001f600\U0010ffff\ue000\ufffd", "\u0f00\u0f0b\u166d\u1734\u0e33", "𝒜𝓑 𠀀丽 \ufa0e",
    "x" * 300, "a b " * 60, "##able ## ##", "snake_case-kebab.dot/slash\\back", "\u1e9b\u0323 \u212b \u2126 \uac00", "ǅ Ǆ ǆ ᾳ ﬀ",
    "<|startoftext|>", "a<|endoftext|>b", "<|ENDOFTEXT|>!!", "<|StartOfText|>!! x", "<|endoftext", "|><|", "<|<|endoftext|>|>", "wow! !! ！!",
    "a'S I'M we'LL they'd've '!'s ''t 'rex '\u017f", "12 3½Ⅷ٣ x1y2", "a \u0085\u2029\x1c\x1f b", "e\u0301e \u0301", "\uac38\u11a7\u1a7f",
    "\U00010d50\U0001cdf0\ua7cb\u1c89", "\U000f0000\U00100000 \U0010fffd", "SMILING FACES smilingface", "a" * 700, "▁a▁ b", "</s>a<pad>",
    "a\u08ff\u08d2\u0316 \u1acd\u1abf \U00011935\U00011930\U00011938", "(....)",
    b"\xff", b"a\xc3", b"\xed\xa0\x80x", b"\xf0\x9f\x99", b"\xc0\xaf \xf4\x90\x80\x80",
]  # fmt: skip
POOL = ("abc ABC é É ñ ß İ œ 日 本 한 а Й . , ! - ' [ ] ( ) 1 2 \t \n \x01 \u0301 \u0316 \u0323 \u200d \u00a0 \u3000 \ufffd 🙂 ａ ﬁ ½ "
        "\u0345 \u1734 \u166d \u0085 \u2028 \ufeff ① … 's face cat the red ＡＢ").split(" ") + [" "] * 6
NAMES = ["[SEP]", "[MASK]", "[CLS]", "[PAD]", "[UNK]", "<|startoftext|>", "<|endoftext|>", "</s>", "<pad>", "<unk>", "<extra_id_0>",
         "<extra_id_99>", "<extra_id_100>"]


def blocks():
    """The assigned characters of each block of Unicode."""
    found = []
    for line in (UNICODE / "Blocks.txt").read_text().splitlines():
        if ".." not in line or line[0] == "#":
            continue
        first, last = (int(code, 16) for code in line.split(";")[0].split(".."))
        found.append([chr(code) for code in range(first, last + 1) if unicodedata.category(chr(code)) not in ("Cn", "Cs")])
    return [block for block in found if block]


def emojis():
    lines = (UNICODE / "emoji/emoji-test.txt").read_text(encoding="utf-8").splitlines()
    return ["".join(chr(int(code, 16)) for code in line.split(";")[0].split()) for line in lines if line and line[0] != "#"]


class Writer:
    """Each method writes one string of its kind."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.blocks, self.emojis = blocks(), emojis()
        self.words = LICENSE.read_text().split()
        characters = [character for block in self.blocks for character in block]
        self.marks = [character for character in characters if unicodedata.category(character)[0] == "M"]
        self.letters = [character for character in characters if unicodedata.category(character)[0] == "L"]
        self.odd = [character for character in characters if unicodedata.category(character) in ("Cc", "Cf", "Zs", "Zl", "Zp")]

    def some(self, items, most):
        return self.draw.choices(items, k=self.draw.randrange(most))

    def english(self):
        start = self.draw.randrange(len(self.words))
        return " ".join(self.words[start : start + self.draw.randrange(1, 24)])

    def script(self):
        return "".join(self.some(self.draw.choice(self.blocks) + [" "], 20))

    def emoji(self):
        return self.draw.choice(["", " "]).join(self.some(self.emojis + self.words[:900], 8))

    def marked(self):
        """Letters with marks, composed or not."""
        parts = [self.draw.choice("aeiouAEIOUnNıgß" if self.draw.random() < 0.5 else self.letters) for _ in range(self.draw.randrange(6))]
        text = "".join(part + "".join(self.some(self.marks[:112] if self.draw.random() < 0.5 else self.marks, 4)) for part in parts)
        return unicodedata.normalize(self.draw.choice(["NFC", "NFD", "NFKD"]), text)

    def spaced(self):
        return "".join(self.draw.choice([*self.odd, " ", "\n", word]) for word in self.some(self.words, 16))

    def named(self):
        """Names of special tokens, whole, cut and in capitals, in a text."""
        changes = (lambda name: name, lambda name: name, str.upper, lambda name: name[:-1])
        parts = [self.draw.choice(changes)(self.draw.choice(NAMES)) for _ in range(self.draw.randrange(1, 5))]
        return "".join(part + self.draw.choice(["", " ", "  ", "\t", "x", "!", self.draw.choice(self.words)]) for part in parts)

    def mixed(self):
        return "".join(self.some(POOL, 24))

    def wild(self):
        """Code points of all planes, assigned or not."""
        codes = [self.draw.randrange(self.draw.choice([0x80, 0x250, 0x3000, 0x10000, 0x20000, 0x110000])) for _ in range(self.draw.randrange(16))]
        return "".join(chr(code) for code in codes if not 0xD800 <= code < 0xE000)

    def short(self):
        return self.draw.choice([self.english, self.script, self.emoji, self.marked, self.spaced, self.named, self.mixed, self.wild])()

    def broken(self):
        """UTF-8 with bytes lost, changed and put in."""
        data = bytearray(self.short().encode())
        for _ in range(self.draw.randrange(1, 4)):
            place = self.draw.randrange(len(data) + 1)
            data[place : place + self.draw.randrange(2)] = self.draw.choice([b"", b"\x80", b"\xff", b"\xed\xa0\x80", bytes([self.draw.randrange(256)])])
        return bytes(data)

    def long(self):
        text = ""
        while len(text) < LONG:
            text += self.short() + self.draw.choice(["", " "])
        return text


def strings(seed, count):
    """At least `count` of them; those that are not text are bytes, to be read as UTF-8 with replacements."""
    writer = Writer(seed)
    kinds = [writer.english, writer.script, writer.script, writer.emoji, writer.marked, writer.spaced, writer.named, writer.mixed,
             writer.wild, writer.broken]
    return NASTY + [kinds[index % len(kinds)]() for index in range(count)] + [writer.long() for _ in range(count // 500)]
