"""Folder of images as users have them: rotated, grey, with alpha, in 16 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = ("leaf", "sand", "sea")
_KINDS = ("plain", "turned", "grey", "alpha", "cmyk", "palette", "deep")
_ORIENTATION = 0x0112  # the EXIF tag
_EDGES = (24, 150)  # pixels


def pixels(height: int, width: int, seed: int = 0, hue: int = 0) -> NDArray[np.uint8]:
    """Return an image, (height, width, 3), whose strongest channel is ``hue``.

    It has smooth shapes, edges and noise.
    """
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        110
        + 60 * np.sin(x / width * generator.uniform(3, 9) + channel)
        + 30 * np.cos(y / height * generator.uniform(3, 9) * (channel + 1))
        + (50 if channel == hue else -20)
        for channel in range(3)
    ]
    picture = np.stack(waves, axis=-1) + generator.normal(0, 12, (height, width, 3))
    top, left = generator.integers(0, height // 2 + 1), generator.integers(0, width // 2 + 1)
    picture[top : top + height // 3, left : left + width // 3] += 60
    return picture.clip(0, 255).astype(np.uint8)


def write(folder: Path, count: int) -> Path:
    """Write class folders with ``count`` images each, of all kinds and sizes; return ``folder``."""
    generator = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            height, width = generator.integers(*_EDGES, 2)
            picture = Image.fromarray(pixels(height, width, 100 * label + number, label))
            _save(picture, folder / name / f"{number:02}", _KINDS[number % len(_KINDS)], number)
    return folder


def _save(picture: Image.Image, path: Path, kind: str, number: int) -> None:
    jpeg, png = path.with_suffix(".jpg"), path.with_suffix(".png")
    if kind == "turned":
        exif = Image.Exif()
        exif[_ORIENTATION] = 2 + number % 7  # every orientation but upright
        picture.save(jpeg, quality=90, exif=exif)
    elif kind == "grey":
        picture.convert("L").save(jpeg, quality=90)
    elif kind == "alpha":
        picture.putalpha(picture.convert("L").point(lambda value: 255 - value // 2))
        picture.save(png)
    elif kind == "cmyk":
        picture.convert("CMYK").save(jpeg, quality=90)
    elif kind == "palette":
        picture.convert("P", palette=Image.Palette.ADAPTIVE).save(png)
    elif kind == "deep":
        deep = np.asarray(picture.convert("L")).astype(np.uint16) * 256 + 77
        Image.fromarray(deep).save(png)
    else:
        picture.save(jpeg, quality=90)
