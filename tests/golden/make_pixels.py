"""Make ``pixels.npz``: small picture files, and what every program must make of them.

python -m tests.golden.make_pixels

Nothing of the project is used. The RGB pixels follow from how each file was made, by numpy; only a
JPEG in colour is decoded by Pillow. Its blocks are flat, so that every decoder gives the same. The
resized pixels are those of Pillow, of version 13 or later, which is the rule itself.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATH = Path(__file__).with_name("pixels.npz")
WIDTH, HEIGHT = 26, 20  # pixels of most pictures
ORIENTATION = 0x0112
SIZES = [(60, 41), (41, 60), (9, 13), (16, 16), (17, 31), (1, 1), (200, 3), (4, 150), (1, 70)]
LONG_SIZES = [(2, 90), (301, 5)]  # width, height, as those above

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
OTHERS = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}
# As in an exported file's metadata.
ALL_RULES = {"scale": 1 / 255, "color": "RGB", "layout": "NCHW"}
RULES: list[dict[str, Any]] = [
    {"image_size": size, "resize": rule, "interpolation": filter_, "crop_share": share, **levels}
    | ALL_RULES
    for size, rule, filter_, share, levels in [
        (16, "squash", "bilinear", None, IMAGENET),
        (16, "squash", "bicubic", None, OTHERS),
        (16, "crop", "bilinear", 0.875, OTHERS),
        (16, "crop", "bicubic", 0.875, IMAGENET),
        (15, "crop", "bicubic", 1.0, OTHERS),
    ]
]

Pixels = NDArray[np.uint8]
Picture = tuple[str, bytes, Pixels]  # a file's name and content, and its upright RGB, (H, W, 3)


def pictures() -> Iterator[Picture]:
    """Every file that has an answer."""
    for number, (width, height) in enumerate([*SIZES, *LONG_SIZES]):
        pixels = noise((height, width, 3), number)
        yield f"size_{width}x{height}.png", encoded(Image.fromarray(pixels)), pixels
    yield from modes()
    yield from orientations()


def modes() -> Iterator[Picture]:
    grey, alpha = noise((HEIGHT, WIDTH), 20), noise((HEIGHT, WIDTH), 21)
    colour = noise((HEIGHT, WIDTH, 3), 22)
    three = np.dstack([grey] * 3)
    yield "l.png", encoded(Image.fromarray(grey)), three
    yield "l_trns.png", encoded(Image.fromarray(grey), transparency=int(grey[3, 4])), three
    yield "la.png", encoded(Image.fromarray(np.dstack([grey, alpha]), "LA")), three
    yield "rgb.png", encoded(Image.fromarray(colour)), colour
    trns = tuple(map(int, colour[3, 4]))
    yield "rgb_trns.png", encoded(Image.fromarray(colour), transparency=trns), colour
    yield "rgba.png", encoded(Image.fromarray(np.dstack([colour, alpha]))), colour
    bits = grey > 120
    yield "1.png", encoded(Image.fromarray(bits)), np.dstack([bits] * 3) * np.uint8(255)

    indices, colours = noise((HEIGHT, WIDTH), 23) % 16, noise((16, 3), 24)
    palette = Image.fromarray(indices, "P")
    palette.putpalette(colours.tobytes())
    yield "p.png", encoded(palette), colours[indices]
    yield "p_trns.png", encoded(palette, transparency=bytes(range(0, 256, 16))), colours[indices]
    yield "p_trns_of_one.png", encoded(palette, transparency=5), colours[indices]
    with_alpha = Image.frombytes("PA", palette.size, np.dstack([indices, alpha]).tobytes())
    with_alpha.putpalette(colours.tobytes())
    yield "pa.tif", encoded(with_alpha, "TIFF"), colours[indices]

    inks = noise((HEIGHT, WIDTH, 4), 25)
    yield "cmyk.tif", encoded(Image.fromarray(inks, "CMYK"), "TIFF"), without_inks(inks)

    deep = np.random.default_rng(26).integers(0, 65_536, (HEIGHT, WIDTH), dtype=np.uint16)
    of_deep = np.dstack([np.round(deep / 257).astype(np.uint8)] * 3)
    yield "i16.png", encoded(Image.fromarray(deep)), of_deep
    yield "i16b.tif", encoded(Image.fromarray(deep.astype(">u2")), "TIFF"), of_deep
    yield "i.pgm", encoded(Image.fromarray(deep), "PPM"), of_deep

    blocks = flat_blocks(27)
    yield "l.jpg", encoded(Image.fromarray(blocks[..., 0]), "JPEG"), np.dstack([blocks[..., 0]] * 3)
    yield "rgb.jpg", (jpeg := encoded(Image.fromarray(blocks), "JPEG")), decoded(jpeg)
    inks = np.dstack([blocks, flat_blocks(28)[..., 0]])
    yield "cmyk.jpg", encoded(Image.fromarray(inks, "CMYK"), "JPEG"), without_inks(inks)


def orientations() -> Iterator[Picture]:
    """Every EXIF orientation, two that are none, and some on pictures of other modes."""
    for value in (*range(1, 9), 0, 9):
        pixels = noise((HEIGHT, WIDTH, 3), 30 + value)
        png = encoded(Image.fromarray(pixels), exif=exif(value))
        yield f"orientation_{value}.png", png, upright(pixels, value)
        jpeg = encoded(Image.fromarray(flat_blocks(40 + value)), "JPEG", exif=exif(value))
        yield f"orientation_{value}.jpg", jpeg, upright(decoded(jpeg), value)
    pixels = noise((HEIGHT, WIDTH, 3), 50)
    tiff = encoded(Image.fromarray(pixels), "TIFF", tiffinfo={ORIENTATION: 6})
    yield "rgb_turned.tif", tiff, upright(pixels, 6)
    turns = {"1.png": 7, "la.png": 8, "p_trns.png": 6, "i16.png": 5, "rgba.png": 3, "l_trns.png": 5}
    for name, content, pixels in modes():
        if value := turns.get(name):
            with Image.open(io.BytesIO(content)) as picture:
                turned = encoded(picture, exif=exif(value))
            yield f"turned_{name}", turned, upright(pixels, value)


def refused() -> Iterator[tuple[str, bytes]]:
    """Files whose pixels have no known range."""
    values = np.linspace(-1, 70_000, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
    yield "f.tif", encoded(Image.fromarray(values.astype(np.float32)), "TIFF")
    yield "beyond.tif", encoded(Image.fromarray(abs(values).astype(np.int32)), "TIFF")
    yield "negative.tif", encoded(Image.fromarray((values - 69_000).astype(np.int32)), "TIFF")


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "JPEG":
        # No step of quantization and no smaller chroma: a flat block stays flat.
        options |= {"quality": 100, "subsampling": 0}
    picture.save(file, kind, **options)
    return file.getvalue()


def decoded(jpeg: bytes) -> Pixels:
    with Image.open(io.BytesIO(jpeg)) as picture:
        return np.asarray(picture)


def noise(shape: tuple[int, ...], seed: int) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def flat_blocks(seed: int) -> Pixels:
    """24 x 16 pixels in blocks of 8 x 8 of one colour, (16, 24, 3)."""
    return noise((2, 3, 3), seed).repeat(8, axis=0).repeat(8, axis=1)


def exif(value: int) -> Image.Exif:
    tags = Image.Exif()
    tags[ORIENTATION] = value
    return tags


def upright(pixels: Pixels, value: int) -> Pixels:
    """By the table in the EXIF standard: where the rows and columns of the file belong."""
    turns = {
        2: lambda: pixels[:, ::-1],
        3: lambda: pixels[::-1, ::-1],
        4: lambda: pixels[::-1],
        5: lambda: pixels.swapaxes(0, 1),
        6: lambda: np.rot90(pixels, -1),
        7: lambda: pixels[::-1, ::-1].swapaxes(0, 1),
        8: lambda: np.rot90(pixels),
    }
    return turns.get(value, lambda: pixels)()


def without_inks(inks: Pixels) -> Pixels:
    """CMYK as RGB without a colour profile: (1 - ink) * (1 - black), rounded as Pillow does it."""
    light = 255 - inks[..., 3:].astype(int)
    product = inks[..., :3] * light + 128
    return (light - ((product >> 8) + product >> 8)).clip(0, 255).astype(np.uint8)


def resized(pixels: Pixels, rule: dict[str, Any]) -> tuple[Pixels, bool]:
    """The network's picture, (S, S, 3), and whether Pillow 13 resizes its rows first.

    Before version 13, Pillow began with the columns always, and so rounded otherwise.
    """
    size, filter_ = rule["image_size"], Image.Resampling[rule["interpolation"].upper()]
    if rule["resize"] == "squash":
        width = height = size
    else:
        shorter = min(pixels.shape[:2])
        top, left = (
            max(side - 32 * shorter, 0) // (4 * shorter) * 2 * shorter for side in pixels.shape[:2]
        )
        pixels = pixels[top : len(pixels) - top, left : pixels.shape[1] - left]
        to = round(size / rule["crop_share"])
        height, width = (to * side // shorter for side in pixels.shape[:2])
    lost_rows, lost_columns = len(pixels) - height, pixels.shape[1] - width
    picture = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), filter_)
    top, left = round((height - size) / 2), round((width - size) / 2)
    middle = np.asarray(picture)[top : top + size, left : left + size]
    return middle, lost_rows > max(2 * lost_columns, 0)


def values(rule: dict[str, Any]) -> NDArray[np.float32]:
    """What each level becomes in each channel, (256, 3), in single precision throughout."""
    scaled = np.arange(256, dtype=np.float32)[:, None] * np.float32(1 / 255)
    return (scaled - np.float32(rule["mean"])) / np.float32(rule["std"])


def content() -> dict[str, NDArray[Any]]:
    """All arrays of the file."""
    files = list(pictures())
    answers = [[resized(pixels, rule) for _, _, pixels in files] for rule in RULES]
    texts = {"rules": RULES, "names": [name for name, _, _ in files]}
    return {
        **{
            name: np.frombuffer(json.dumps(text).encode(), np.uint8) for name, text in texts.items()
        },
        **{f"file/{name}": np.frombuffer(file, np.uint8) for name, file, _ in files},
        **{f"rgb/{name}": pixels for name, _, pixels in files},
        **{f"refused/{name}": np.frombuffer(file, np.uint8) for name, file in refused()},
        **{
            f"levels/{number}": np.stack([levels for levels, _ in each])
            for number, each in enumerate(answers)
        },
        "rows_first": np.array([[first for _, first in each] for each in answers]),
        "values": np.stack([values(rule) for rule in RULES]),
    }


if __name__ == "__main__":
    np.savez_compressed(PATH, **content())
    print(f"{PATH}: {PATH.stat().st_size} bytes")
