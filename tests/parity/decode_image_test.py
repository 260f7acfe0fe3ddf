"""Compares decoded and resized pixels with Pillow's: they must be the same, bit for bit.

    decode_image_test.py DECODE_TO_PPM [IMAGES] [SEED]     runs under .deps/reference/bin/python

Reads IMAGES random pictures, 300 unless told, of every format, subsampling, mode and orientation that Pillow
writes, and the photographs of the folder $CRESCENDO_PHOTOS where that is set.
"""
import collections
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from PIL import Image, ImageOps

SIDES = [16, 48, 100]
BATCH = 50  # images that one process of ours decodes


def random_picture(draw, mode):
    """Noise of every scale, so that no two neighbours agree by chance."""
    size = draw.choice([draw.randrange(1, 40), draw.randrange(40, 400)]), draw.randrange(1, 300)
    channels = len(Image.new(mode, (1, 1)).getbands())
    noise = np.random.default_rng(draw.randrange(1 << 32))
    layers = [Image.fromarray(noise.integers(0, 256, (max(size[1] // step, 1), max(size[0] // step, 1), channels),
                                             dtype=np.uint8).squeeze(2) if channels == 1 else
                              noise.integers(0, 256, (max(size[1] // step, 1), max(size[0] // step, 1), channels),
                                             dtype=np.uint8), mode=mode).resize(size)
              for step in (1, 5, 30)]
    mean = np.mean([np.asarray(layer, dtype=np.float32) for layer in layers], axis=0)
    return Image.fromarray(mean.astype(np.uint8), mode=mode)


def save_jpeg(draw, path):
    mode = draw.choice(["RGB", "RGB", "RGB", "L", "CMYK"])
    options = {"quality": draw.randrange(1, 101), "progressive": draw.random() < 0.4}
    if mode == "RGB":
        options["subsampling"] = draw.choice(["4:4:4", "4:2:2", "4:2:0"])
    if draw.random() < 0.3:
        options["restart_marker_blocks"] = draw.randrange(1, 20)
    random_picture(draw, mode).save(path, "JPEG", exif=random_exif(draw), **options)


def save_png(draw, path):
    mode = draw.choice(["RGB", "RGBA", "L", "LA", "P", "1", "I;16"])
    image = random_picture(draw, {"P": "RGB", "1": "L", "I;16": "L"}.get(mode, mode))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257 + 7)
    elif mode in "P1":
        image = image.convert(mode)
    transparency = {"transparency": draw.randrange(16)} if mode == "P" and draw.random() < 0.5 else {}
    image.save(path, "PNG", exif=random_exif(draw), **transparency)


def save_webp(draw, path):
    random_picture(draw, draw.choice(["RGB", "RGBA"])).save(
        path, "WEBP", quality=draw.randrange(1, 101), lossless=draw.random() < 0.5, exif=random_exif(draw))


def random_exif(draw):
    exif = Image.Exif()
    if draw.random() < 0.5:
        exif[0x0112] = draw.randrange(1, 9)
    return exif


def pillow_pixels(path):
    """Upright RGB, where docs/data.md has its own rule for what Pillow leaves open: 16 bits and transparency."""
    image = Image.open(path)
    kind = f"{image.format} {image.mode}"
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        gray = (np.asarray(image) >> 8).astype(np.uint8)
        return kind, np.stack([gray] * 3, axis=2)
    if not image.has_transparency_data:
        return kind, np.asarray(image.convert("RGB"))
    rgba = np.asarray(image.convert("RGBA")).astype(np.uint32)
    alpha = rgba[..., 3:]
    return kind + " transparent", ((alpha * rgba[..., :3] + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)


def pillow_square(pixels, side):
    """torchvision's Resize and CenterCrop of a picture by Pillow."""
    image = Image.fromarray(pixels)
    short = min(image.size)
    image = image.resize(tuple(side * length // short for length in image.size), Image.Resampling.BICUBIC)
    left, top = (round((length - side) / 2) for length in image.size)
    return np.asarray(image.crop((left, top, left + side, top + side)))


def our_pixels(program, side, paths, decoding="exact"):
    for first in range(0, len(paths), BATCH):
        part = paths[first:first + BATCH]
        stream = subprocess.run([program, str(side), decoding, *part], check=True, capture_output=True).stdout
        for _ in part:
            header, _, stream = stream.partition(b"\n")
            width, height = map(int, header.split()[1:3])
            yield np.frombuffer(stream, np.uint8, width * height * 3).reshape(height, width, 3)
            stream = stream[width * height * 3:]


class DecodeImageTest(unittest.TestCase):
    program, images, seed = None, 300, 0

    def compare(self, paths, sides):
        pixels = [pillow_pixels(path) for path in paths]
        for side in [0, *sides]:
            for path, (kind, expected), found in zip(paths, pixels, our_pixels(self.program, side, paths)):
                expected = pillow_square(expected, side) if side else expected
                self.assertEqual(found.shape, expected.shape, f"{path}: {kind}, side {side}")
                largest = np.abs(found.astype(int) - expected.astype(int)).max()
                self.assertEqual(largest, 0, f"{path}: {kind}, side {side}: the largest difference of a pixel")
        for kind, count in sorted(collections.Counter(kind for kind, _ in pixels).items()):
            print(f"{count} {kind}: whole and to sides {sides} as Pillow's")

    def test_equals_pillow_on_random_images(self):
        draw = random.Random(self.seed)
        with tempfile.TemporaryDirectory() as folder:
            paths = []
            for number in range(self.images):
                paths.append(pathlib.Path(folder) / f"{number}")
                draw.choice([save_jpeg, save_jpeg, save_png, save_webp])(draw, paths[-1])
            self.compare(paths, SIDES)

    @unittest.skipUnless("CRESCENDO_PHOTOS" in os.environ, "CRESCENDO_PHOTOS names no folder")
    def test_equals_pillow_on_photographs(self):
        paths = sorted(path for path in pathlib.Path(os.environ["CRESCENDO_PHOTOS"]).iterdir() if path.is_file())
        self.compare(paths, [64, 256, 512])


if __name__ == "__main__":
    DecodeImageTest.program = sys.argv.pop(1)
    if len(sys.argv) > 1:
        DecodeImageTest.images = int(sys.argv.pop(1))
    if len(sys.argv) > 1:
        DecodeImageTest.seed = int(sys.argv.pop(1))
    unittest.main()
