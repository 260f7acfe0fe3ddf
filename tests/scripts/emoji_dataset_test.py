#!/usr/bin/python3
"""Runs scripts/emoji_dataset.py on the font and the names that scripts/setup installs."""
import pathlib
import subprocess
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).parents[2] / "scripts" / "emoji_dataset.py"


def run(*arguments):
    return subprocess.run([SCRIPT, *map(str, arguments)], capture_output=True, text=True)


class EmojiDatasetTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.out = pathlib.Path(cls.folder.name) / "emoji"
        cls.result = run(cls.out)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def caption(self, name):
        return (self.out / name).with_suffix(".txt").read_text(encoding="utf-8")

    def test_writes_every_drawn_emoji_with_its_caption(self):
        self.assertEqual(self.result.returncode, 0, self.result.stderr)
        pictures = sorted(self.out.glob("*/*.png"))
        captions = sorted(self.out.glob("*/*.txt"))
        self.assertGreaterEqual(len(pictures), 1850)
        self.assertEqual([p.with_suffix("") for p in pictures], [c.with_suffix("") for c in captions])
        self.assertIn(f"{len(pictures):6} pictures with captions in {self.out}\n", self.result.stdout)

    def test_pictures_are_the_bitmaps_of_the_font(self):
        header = (self.out / "smileys-and-emotion" / "grinning-face.png").read_bytes()[:24]
        self.assertEqual(header[:8], b"\x89PNG\r\n\x1a\n")
        self.assertEqual((int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")), (136, 128))

    def test_captions_are_the_short_names(self):
        self.assertEqual(self.caption("smileys-and-emotion/grinning-face"), "grinning face\n")
        self.assertEqual(self.caption("symbols/keycap-hash"), "keycap: #\n")
        self.assertEqual(self.caption("activities/pinata"), "pi\xf1ata\n")

    def test_sequences_resolve_through_ligatures(self):
        names = ("people-and-body/woman-astronaut", "flags/flag-japan", "flags/flag-scotland", "smileys-and-emotion/heart-on-fire")
        pictures = {(self.out / name).with_suffix(".png").read_bytes() for name in names}
        self.assertEqual(len(pictures), len(names))

    def test_leaves_out_skin_tones(self):
        self.assertTrue((self.out / "people-and-body" / "waving-hand.png").exists())
        self.assertEqual(list(self.out.rglob("*skin-tone*")), [])

    def test_does_not_write_over_a_folder(self):
        result = run(self.out)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"{self.out}: already exists; expected a new or empty folder", result.stderr)

    def test_groups_can_be_chosen(self):
        with tempfile.TemporaryDirectory() as folder:
            result = run(folder, "--groups", "food-and-drink,Animals & Nature")
            self.assertEqual(result.returncode, 0, result.stderr)
            groups = {path.name for path in pathlib.Path(folder).iterdir()}
            self.assertEqual(groups, {"food-and-drink", "animals-and-nature"})

    def test_flags_can_be_left_out(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertEqual(run(folder, "--no-flags").returncode, 0)
            self.assertFalse((pathlib.Path(folder) / "flags").exists())

    def test_names_what_is_wrong(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("unknown group 'food'; expected some of smileys-and-emotion, ", run(folder, "--groups", "food").stderr)
            self.assertIn("/nowhere.ttf: not found; run scripts/setup", run(folder, "--font", "/nowhere.ttf").stderr)
            self.assertIn("nothing to write", run(folder, "--groups", "flags", "--no-flags").stderr)
            self.assertIn("Not a directory", run(SCRIPT / "out").stderr)


if __name__ == "__main__":
    unittest.main()
