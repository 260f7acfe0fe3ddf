"""Compares crescendo's tar shards with webdataset: it reads what `pack` writes, and both find the same samples.

    webdataset_test.py CRESCENDO [TARS] [SEED]     runs under .deps/reference/bin/python (scripts/setup --reference)

TARS random archives, 300 unless told, are read by both. They must give the same keys, suffixes and bytes, but for
the differences that docs/data.md lists.
"""
import gzip
import io
import itertools
import json
import os
import pathlib
import random
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zlib

import webdataset
from webdataset.handlers import ignore_and_continue, reraise_exception
from webdataset.tariterators import group_by_keys, tar_file_expander

BATCH = 500  # tars that one process of ours reads

FOLDERS = ["", "", "", "d/", "d/", "a.b/", "./", "./x/", "deep/er/", "__meta__/", "__dir__/e/", "__x/", "d/__meta__/",
           "\u00fcber/", "/abs/", "n" * 90 + "/", "p" * 160 + "/"]
STEMS = ["a", "a", "b", "A", "0001", "v1.0 img", "with space", "it's \"quoted\"", "__x__", "__key", "na\u00efve",
         "\u732b\U0001F431", "._a", ".hidden", "noext", "-dash", "back\\slash", "l" * 99, "l" * 140, "m" * 300]
SUFFIXES = ["jpg", "JPG", "jpeg", "txt", "Txt", "cls", "json", "seg.png", "SEG.png", "tar.gz", ".jpg", "", None]
TYPES = [tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE]


def random_name(draw):
    stem, suffix = draw.choice(STEMS), draw.choice(SUFFIXES)
    return draw.choice(FOLDERS) + (stem if suffix is None else f"{stem}.{suffix}")


def random_names(draw):
    """Mostly samples of adjacent members, as real shards have them, with strays between."""
    names = []
    for _ in range(draw.randrange(8)):
        stem = draw.choice(FOLDERS) + draw.choice(STEMS)
        count = draw.randrange(1, 4)
        suffixes = draw.sample(SUFFIXES[:-1], count) if draw.random() < 0.9 else draw.choices(SUFFIXES[:-1], k=count)
        names += [f"{stem}.{suffix}" for suffix in suffixes]
        if draw.random() < 0.3:
            names.insert(draw.randrange(len(names) + 1), random_name(draw))
    return names


def add_member(archive, name, draw):
    info = tarfile.TarInfo(name)
    info.mtime = draw.choice([0, 1700000000, 1700000000.25])
    info.mode = draw.choice([0o644, 0o444, 0])
    info.uname = draw.choice(["", "bigdata", "us\u00e9r"])
    if draw.random() < 0.1:
        info.type = draw.choice(TYPES)
        info.linkname = "a.jpg"
    if archive.format == tarfile.PAX_FORMAT and draw.random() < 0.2:
        info.pax_headers = {"comment": "c" * draw.randrange(2000), "SCHILY.xattr.user.x": "y"}
    data = draw.randbytes(draw.choice([0, 1, 100, 511, 512, 513, 5000])) if info.isreg() else b""
    info.size = len(data)
    try:
        archive.addfile(info, io.BytesIO(data))
    except ValueError:  # ustar cannot hold so long a name
        return None
    return name if info.isreg() else None


def make_tar(path, draw):
    """Writes a random archive and returns the names of its regular members."""
    form = draw.choice([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
    names = random_names(draw)
    heads = {"comment": "global"} if names and form == tarfile.PAX_FORMAT and draw.random() < 0.2 else None
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, pax_headers=heads) as archive:
        names = [add_member(archive, name, draw) for name in names]
    packed = draw.random() < 0.2
    path.write_bytes(gzip.compress(out.getvalue(), 1) if packed else out.getvalue())
    return [name for name in names if name]


def is_no_dot_file(name):
    return not name.rsplit("/", 1)[-1].startswith(".")


def read_by_webdataset(path, handler):
    with open(path, "rb") as stream:
        files = tar_file_expander([{"url": str(path), "stream": stream}], handler=handler, select_files=is_no_dot_file)
        for sample in group_by_keys(files, handler=handler):
            yield sample["__key__"], members_of(sample)


def members_of(sample):
    return {suffix: (len(data), zlib.crc32(data)) for suffix, data in sample.items() if not suffix.startswith("__")}


def read_by_crescendo(paths):
    """The entries of `inspect --list`, by the path of the tar."""
    command = [BINARY, "-q", "inspect", "--list", *map(str, paths)]
    lines = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.splitlines()
    entries = {str(path): [] for path in paths}
    for line in lines:
        entry = json.loads(line)
        entries[entry["shard"]].append(entry)
    return entries


class WebDatasetTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.work = pathlib.Path(folder.name)

    def test_webdataset_reads_what_pack_writes(self):
        draw = random.Random(1)
        expected = {}
        for i in range(40):
            name = draw.choice(["cat/v1.0 {}.JPG", "dog.d/{}.png", "\u732b/sub folder/{}.webp",
                                "cat/" + "n" * 130 + "{}.jpeg"])
            image = self.work / "in" / name.format(i)
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(draw.randbytes(draw.randrange(1, 3000)))
            image.with_suffix(".txt").write_text(f"caption\n{i}")
            key = str(image.relative_to(self.work / "in").with_name(image.stem.replace(".", "_")))
            label = sorted(["cat", "dog.d", "\u732b"]).index(key.split("/")[0])
            expected[key] = {image.suffix[1:].lower(): image.read_bytes(), "txt": f"caption\n{i}".encode(),
                             "cls": str(label).encode()}
        subprocess.run([BINARY, "-q", "pack", self.work / "in", "--out", self.work / "out", "--max-samples", "15"],
                       check=True, stdout=subprocess.DEVNULL)
        shards = f"{self.work}/out/{{000000..000002}}.tar"
        found = {}
        for sample in webdataset.WebDataset(shards, shardshuffle=False):
            self.assertNotIn(sample["__key__"], found)
            found[sample["__key__"]] = {name: data for name, data in sample.items() if not name.startswith("__")}
        self.assertEqual(found, expected)

    def test_both_find_the_same_samples_in_random_tars(self):
        draw = random.Random(SEED)
        self.counts = dict.fromkeys(["samples", "members", "duplicates", "dot_files"], 0)
        for first in range(0, TARS, BATCH):
            tars = {}
            for number in range(first, min(first + BATCH, TARS)):
                path = self.work / f"{number}.tar"
                tars[path] = make_tar(path, draw)
            ours = read_by_crescendo(tars)
            for path, names in tars.items():
                self.compare(path, names, ours[str(path)])
                os.unlink(path)
        counts = self.counts
        self.assertGreater(counts["duplicates"], 0)
        self.assertGreater(counts["dot_files"], 0)
        print(f"webdataset {webdataset.__version__} and crescendo agree on {TARS} tars of seed {SEED}: "
              f"{counts['samples']} samples of {counts['members']} members; {counts['duplicates']} samples with a "
              f"duplicate member and {counts['dot_files']} dot-files, which only we leave out")

    def compare(self, path, names, ours):
        self.assertFalse([entry for entry in ours if "error" in entry], path)
        self.counts["dot_files"] += sum(not is_no_dot_file(name) for name in names)
        try:
            theirs = list(read_by_webdataset(path, reraise_exception))
        except ValueError as failure:
            self.assertIn("duplicate file name", str(failure))
            theirs = list(read_by_webdataset(path, ignore_and_continue))
            self.assertTrue([entry for entry in ours if "defect" in entry], names)
        self.assertEqual([entry["key"] for entry in ours], [key for key, _ in theirs], names)
        for entry, (key, members) in zip(ours, theirs):
            if "defect" in entry:
                self.assertTrue(self.has_duplicate(names, key), names)
                self.counts["duplicates"] += 1
                continue
            self.assertEqual({suffix: (size, crc) for suffix, size, crc in entry["members"]}, members, names)
            self.counts["samples"] += 1
            self.counts["members"] += len(members)

    def has_duplicate(self, names, key):
        names = [name.lower() for name in names if name.startswith(key + ".")]
        return any(a == b for a, b in itertools.combinations(names, 2))

    # The deliberate differences; docs/data.md says why.

    def write(self, members, end=b"\0" * 1024):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for name, data in members:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        content = out.getvalue().rstrip(b"\0")
        path = self.work / "x.tar"
        path.write_bytes(content + b"\0" * (-len(content) % 512) + end)
        return path

    def both(self, path):
        files = tar_file_expander([{"url": "x", "stream": io.BytesIO(path.read_bytes())}])
        return read_by_crescendo([path])[str(path)], [s["__key__"] for s in group_by_keys(files)]

    def test_dot_files_are_left_out(self):
        names = ["d/._a.jpg", "d/a.jpg", "d/._a.txt", "d/a.txt"]
        ours, theirs = self.both(self.write([(name, b"x") for name in names]))
        self.assertEqual(theirs, ["d/", "d/a", "d/", "d/a"])
        self.assertEqual([entry["key"] for entry in ours], ["d/a"])

    def test_an_archive_without_its_end_is_damaged(self):
        ours, theirs = self.both(self.write([("a.jpg", b"1"), ("b.jpg", b"2")], end=b""))
        self.assertEqual(theirs, ["a", "b"])
        self.assertEqual([entry.get("key") for entry in ours], ["a", None])
        self.assertIn("no end-of-archive mark", ours[1]["error"])

    def test_data_behind_the_end_is_not_lost_silently(self):
        path = self.write([("a.jpg", b"1")])
        path.write_bytes(path.read_bytes() * 2)
        ours, theirs = self.both(path)
        self.assertEqual(theirs, ["a"])
        self.assertIn("concatenated tars are not supported", ours[-1]["error"])

    def test_suffixes_are_lower_cased_as_ascii(self):
        path = self.write([("a.\u00c4X", b"1")])
        self.assertEqual(read_by_crescendo([path])[str(path)][0]["members"][0][0], "\u00c4x")


if __name__ == "__main__":
    BINARY = sys.argv.pop(1)
    TARS, SEED = (int(sys.argv.pop(1)) if len(sys.argv) > 1 and sys.argv[1].isdigit() else default
                  for default in (300, 0))
    unittest.main()
