"""A few lines of Python that classify a picture with an exported file, without this project.

They travel in the manifest as text, with ``FOLDER`` where the file's folder belongs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

FOLDER = "{folder}"


def lines(
    imports: Sequence[str], opening: Sequence[str], preprocessing: dict[str, Any], call: str
) -> str:
    """The whole program.

    Args:
        imports: what it imports beside ``json``, numpy and Pillow, a statement each.
        opening: opens the file, and sets ``names`` to its classes.
        preprocessing: as it travels inside the file.
        call: an expression for the logits of ``images``, (1, 3, H, W) float32.
    """
    program = [
        "import json",
        *imports,
        "import numpy",
        "from PIL import Image",
        "",
        *opening,
        *_picture(preprocessing),
        f"logits = {call}",
        "print(names[int(logits[0].argmax())])",
    ]
    return "\n".join(program)


def tensor(device: str) -> str:
    """An expression for ``images`` as a torch tensor on ``device``."""
    return "torch.from_numpy(images)" + ('.to("cuda")' if device == "cuda" else "")


def _picture(preprocessing: dict[str, Any]) -> list[str]:
    """From a file to the network's input, by the pixel as in training's evaluation."""
    size = preprocessing["image_size"]
    mean, std = preprocessing["mean"], preprocessing["std"]
    return [
        'picture = Image.open("picture.png").convert("RGB")',
        *(_squash(size) if preprocessing["resize"] == "squash" else _crop(size, preprocessing)),
        f"pixels = (numpy.asarray(picture) / 255 - {mean}) / {std}  # (H, W, 3)",
        # Contiguous: a compiled network reads memory as it lies.
        'images = numpy.ascontiguousarray(pixels.transpose(2, 0, 1)[None], "float32")',
    ]


def _squash(size: int) -> list[str]:
    return [f"picture = picture.resize(({size}, {size}), Image.Resampling.BILINEAR)"]


def _crop(size: int, preprocessing: dict[str, Any]) -> list[str]:
    """The shorter side to ``size / crop_share``, then the middle."""
    side = round(size / preprocessing["crop_share"])
    return [
        f"width, height = (int({side} * pixels / min(picture.size)) for pixels in picture.size)",
        "picture = picture.resize((width, height), Image.Resampling.BILINEAR)",
        f"left, top = round((width - {size}) / 2), round((height - {size}) / 2)",
        f"picture = picture.crop((left, top, left + {size}, top + {size}))",
    ]
