#!/usr/bin/python3
"""Writes the colour emoji of Noto as a captioned folder: OUT/GROUP/NAME.png with NAME.txt beside it.

    emoji_dataset.py OUT                                   every emoji that the font draws
    emoji_dataset.py OUT --no-flags
    emoji_dataset.py OUT --groups smileys-and-emotion,animals-and-nature

The pictures are the font's own bitmaps (PNG, 136x128, transparent around), unchanged; a caption is
the emoji's CLDR short name. Skin-tone variants are left out. OUT must not exist yet or be empty; it
appears only once it is complete.
"""
# The Debian packages fonts-noto-color-emoji, unicode-data and python3-fonttools belong to the system's Python.
import argparse
import collections
import pathlib
import re
import shutil
import unicodedata

FONT = pathlib.Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
EMOJI_TEST = pathlib.Path("/usr/share/unicode/emoji/emoji-test.txt")

VARIATION_SELECTOR_16 = 0xFE0F
SKIN_TONES = range(0x1F3FB, 0x1F3FF + 1)
LIGATURE_LOOKUP = 4
EXTENSION_LOOKUP = 7

Emoji = collections.namedtuple("Emoji", "group name code_points")


def read_emoji(path):
    """The fully-qualified emoji of emoji-test.txt without skin tones, in the file's (CLDR) order."""
    entry = re.compile(r"([0-9A-F ]+?) *; fully-qualified *# \S+ E[\d.]+ (.+)")
    group = None
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# group: "):
            group = line.removeprefix("# group: ")
        elif match := entry.fullmatch(line):
            code_points = [int(text, 16) for text in match[1].split()]
            if not any(point in SKIN_TONES for point in code_points):
                found.append(Emoji(group, match[2].strip(), code_points))
    return found


class BitmapFont:
    """Finds the bitmap of a sequence of code points in a CBDT font."""

    def __init__(self, path):
        from fontTools.ttLib import TTFont

        font = TTFont(path, lazy=True)
        if "CBDT" not in font:
            raise SystemExit(f"{path}: has no CBDT bitmaps; expected the Noto Color Emoji of your distribution")
        self._glyph_of = font.getBestCmap()
        self._bitmaps = font["CBDT"].strikeData[0]
        self._lookups = list(ligature_lookups(font["GSUB"].table))

    def png(self, code_points):
        """The PNG bytes, or None where the font has no single glyph with a bitmap for the sequence."""
        # Noto's ligatures are spelt without the selector that asks for the colour form.
        glyphs = [self._glyph_of.get(point) for point in code_points if point != VARIATION_SELECTOR_16]
        for ligatures in self._lookups:
            glyphs = substitute(glyphs, ligatures)
        if len(glyphs) != 1 or glyphs[0] not in self._bitmaps:
            return None
        return bytes(self._bitmaps[glyphs[0]].imageData)


def ligature_lookups(gsub):
    """Each ligature lookup of the font, in the order of application: {first glyph: ligatures, longest first}."""
    for lookup in gsub.LookupList.Lookup:
        tables = [table.ExtSubTable if table.LookupType == EXTENSION_LOOKUP else table for table in lookup.SubTable]
        ligatures = collections.defaultdict(list)
        for table in tables:
            if table.LookupType == LIGATURE_LOOKUP:
                for first, candidates in table.ligatures.items():
                    ligatures[first] += candidates
        for candidates in ligatures.values():
            candidates.sort(key=lambda ligature: -len(ligature.Component))
        if ligatures:
            yield ligatures


def substitute(glyphs, ligatures):
    """One pass of a ligature lookup over a glyph sequence."""
    result = []
    position = 0
    while position < len(glyphs):
        rest = glyphs[position + 1 :]
        match = next((l for l in ligatures.get(glyphs[position], ()) if rest[: len(l.Component)] == l.Component), None)
        result.append(match.LigGlyph if match else glyphs[position])
        position += 1 + (len(match.Component) if match else 0)
    return result


def file_name(name):
    """A name that is safe on any file system: "Smileys & Emotion" -> "smileys-and-emotion"."""
    for sign, word in (("&", " and "), ("#", " hash "), ("*", " asterisk "), ("'", ""), ("\N{RIGHT SINGLE QUOTATION MARK}", "")):
        name = name.replace(sign, word)
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")


def choose(emoji, groups, no_flags):
    """Keeps the wanted groups; an unknown group ends the program with the known ones."""
    known = list(dict.fromkeys(file_name(e.group) for e in emoji))
    wanted = known if groups is None else [file_name(group) for group in groups.split(",")]
    unknown = [group for group in wanted if group not in known]
    if unknown:
        raise SystemExit(f"--groups: unknown group '{unknown[0]}'; expected some of {', '.join(known)}")
    return [e for e in emoji if file_name(e.group) in wanted and not (no_flags and e.group == "Flags")]


def write_folder(out, emoji, font):
    """Writes the pictures and captions below `out`. Returns the number per group, and the names without a bitmap."""
    counts = collections.Counter()
    missing = []
    for group, name, code_points in emoji:
        png = font.png(code_points)
        if png is None:
            missing.append(name)
            continue
        stem = out / file_name(group) / file_name(name)
        stem.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{stem}.png", "xb") as picture:
            picture.write(png)
        pathlib.Path(f"{stem}.txt").write_text(name + "\n", encoding="utf-8")
        counts[file_name(group)] += 1
    return counts, missing


def make_dataset(out, font_path, emoji_test, groups, no_flags):
    for path, package in ((font_path, "fonts-noto-color-emoji"), (emoji_test, "unicode-data")):
        if not path.is_file():
            raise SystemExit(f"{path}: not found; run scripts/setup, which installs {package}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SystemExit(f"{out}: already exists; expected a new or empty folder. Delete it or name another")
    emoji = choose(read_emoji(emoji_test), groups, no_flags)
    if not emoji:
        raise SystemExit("nothing to write: the options leave no group")
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    counts, missing = write_folder(partial, emoji, BitmapFont(font_path))
    partial.replace(out)
    for group, count in counts.items():
        print(f"{count:6} {group}")
    print(f"{counts.total():6} pictures with captions in {out}")
    if missing:
        print(f"{len(missing):6} left out, which this font does not draw: {', '.join(missing)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path, metavar="OUT")
    parser.add_argument("--groups", metavar="A,B", help="only these groups, by their folder names")
    parser.add_argument("--no-flags", action="store_true", help="leave out the group Flags")
    parser.add_argument("--font", type=pathlib.Path, default=FONT, help="default: %(default)s")
    parser.add_argument("--emoji-test", type=pathlib.Path, default=EMOJI_TEST, help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        make_dataset(
            arguments.out.absolute(), arguments.font, arguments.emoji_test, arguments.groups, arguments.no_flags
        )
    except OSError as failure:
        raise SystemExit(f"{failure.filename}: {failure.strerror}") from failure


if __name__ == "__main__":
    main()
