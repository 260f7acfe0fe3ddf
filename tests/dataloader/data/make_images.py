"""Makes the images of this folder: one of each odd kind, with what Pillow makes of it.

Run with Pillow 12 or newer from anywhere; tests read the committed files, so it need not be run.
"""

import io
import pathlib
import struct
import zlib

from PIL import Image, ImageChops

HERE = pathlib.Path(__file__).parent
WIDTH, HEIGHT = 21, 14


def picture(width=WIDTH, height=HEIGHT):
    """A smooth picture without symmetry, so that every turn of it differs."""
    image = Image.new("RGB", (width, height))
    for y in range(height):
        for x in range(width):
            wave = (x * x * 3 + y * 17) % 64
            image.putpixel((x, y), (x * 255 // width, y * 255 // height, 96 + wave))
    return image


def save_expected(name, image):
    image.convert("RGB").save(HERE / f"{name}.expected.png", optimize=True)


def save_jpegs():
    image = picture()
    variants = {
        "baseline": (image, {}),
        "progressive": (image, {"progressive": True}),
        "gray": (image.convert("L"), {}),
        "sampling_444": (image, {"subsampling": 0}),
        "cmyk": (image.convert("CMYK"), {}),
    }
    for name, (source, options) in variants.items():
        path = HERE / f"{name}.jpg"
        source.save(path, quality=90, **options)
        save_expected(name, Image.open(path))
    # The same four channels declared as YCCK by Adobe's marker, and without the marker.
    cmyk = (HERE / "cmyk.jpg").read_bytes()
    marker = cmyk.index(b"Adobe")
    ycck = bytearray(cmyk)
    ycck[marker + 11] = 2
    bare = cmyk[: marker - 4] + cmyk[marker + 12 :]
    for name, data in {"ycck": bytes(ycck), "cmyk_bare": bare}.items():
        (HERE / f"{name}.jpg").write_bytes(data)
        save_expected(name, Image.open(io.BytesIO(data)))


def save_oriented():
    upright = picture(16, 8)
    exif = Image.Exif()
    undo = [None, None, 0, 3, 1, 5, 2, 6, 4]  # Image.Transpose values that orientation k reverses
    save_expected("oriented", upright)
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        stored = upright if undo[orientation] is None else upright.transpose(undo[orientation])
        stored.save(HERE / f"oriented_{orientation}.png", exif=exif.tobytes(), optimize=True)
    exif[0x0112] = 6
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(HERE / "oriented_6.jpg", quality=90, subsampling=0, exif=exif.tobytes())
    save_expected("oriented_jpg", Image.open(HERE / "oriented_6.jpg").transpose(Image.Transpose.ROTATE_270))
    stored.save(HERE / "oriented_6.webp", lossless=True, exif=exif.tobytes())


def on_white(rgba):
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba)


def png_chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def save_deep_png():
    """16-bit RGB, which Pillow does not write; expected is the upper byte."""
    rows = b""
    expected = Image.new("RGB", (WIDTH, HEIGHT))
    for y in range(HEIGHT):
        rows += b"\0"
        for x in range(WIDTH):
            value = [x * 3000, y * 4500, (x * y * 211 + 255) % 65536]
            rows += struct.pack(">3H", *value)
            expected.putpixel((x, y), tuple(v >> 8 for v in value))
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(rows, 9))
    (HERE / "deep.png").write_bytes(data + png_chunk(b"IEND", b""))
    save_expected("deep", expected)


def save_pngs():
    image = picture()
    ramp = Image.linear_gradient("L").resize(image.size)
    rgba = image.copy()
    rgba.putalpha(ramp)
    palette = image.quantize(16)
    clear = image.quantize(16)
    variants = {
        "gray": image.convert("L"),
        "gray_alpha": Image.merge("LA", (image.convert("L"), ramp)),
        "bilevel": image.convert("1"),
        "palette": palette,
        "rgba": rgba,
    }
    for name, source in variants.items():
        source.save(HERE / f"png_{name}.png", optimize=True)
        save_expected(f"png_{name}", on_white(source.convert("RGBA")))
    clear.save(HERE / "png_palette_clear.png", transparency=3)
    save_expected("png_palette_clear", on_white(Image.open(HERE / "png_palette_clear.png").convert("RGBA")))
    save_deep_png()


def save_webps():
    image = picture()
    rgba = image.copy()
    rgba.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(HERE / "lossy.webp", quality=80)
    save_expected("lossy", Image.open(HERE / "lossy.webp"))
    image.save(HERE / "lossless.webp", lossless=True)
    save_expected("lossless", image)
    rgba.save(HERE / "alpha.webp", lossless=True, exact=True)
    save_expected("alpha", on_white(rgba))
    image.save(HERE / "animated.webp", save_all=True, lossless=True, duration=50,
               append_images=[ImageChops.invert(image)])
    save_expected("animated", image)
    image.save(HERE / "still.gif")


def save_resized():
    image = picture(61, 43)
    image.save(HERE / "resize_source.png", optimize=True)
    filters = {
        "bilinear": Image.Resampling.BILINEAR,
        "bicubic": Image.Resampling.BICUBIC,
        "lanczos": Image.Resampling.LANCZOS,
    }
    for name, resample in filters.items():
        image.resize((22, 16), resample).save(HERE / f"resize_{name}_down.png", optimize=True)
    image.resize((97, 70), filters["bicubic"]).save(HERE / "resize_bicubic_up.png", optimize=True)


if __name__ == "__main__":
    save_jpegs()
    save_oriented()
    save_pngs()
    save_webps()
    save_resized()
