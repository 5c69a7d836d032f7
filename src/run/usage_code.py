"""A few lines of Python that classify an image with an exported file, without this project.

They are stored in the manifest as text, with ``FOLDER`` in place of the file's folder.
"""

from __future__ import annotations

from collections.abc import Sequence

from src.run.facts import PreprocessingFacts
from src.run.file_input import NORMALISED, FileInput
from src.run.preprocessing_steps import (
    CropMiddle,
    Normalise,
    ResizeBoth,
    ResizeShorter,
    Scale,
    Step,
    ToRgb,
    Upright,
    WithoutEnds,
    steps_before,
    steps_of,
)

FOLDER = "{folder}"
_PICTURE = "picture.png"


def lines(
    imports: Sequence[str],
    opening: Sequence[str],
    preprocessing: PreprocessingFacts,
    call: str,
    takes: FileInput = NORMALISED,
) -> str:
    """Return the whole program.

    Its input has the same bits as training's evaluation. It ends with an error for pixel
    modes that it does not know.

    Args:
        imports: import statements besides ``json``, numpy and Pillow.
        opening: lines that open the file and set ``names`` to its classes.
        preprocessing: as stored in the file.
        call: expression for the logits of ``images``, a batch of one image as the file takes it.
        takes: the input of the file.
    """
    steps = steps_before(steps_of(preprocessing), takes_pixels=takes.is_pixels)
    if takes.is_pixels:
        batch = "images = numpy.asarray(picture)[None]  # (1, H, W, 3), uint8"
    else:
        # Contiguous: a compiled network ignores strides.
        batch = "images = numpy.ascontiguousarray(values.transpose(2, 0, 1)[None])  # (1, 3, H, W)"
    program = [
        "import json",
        *imports,
        "import numpy",
        "from PIL import Image",
        "",
        *opening,
        f'picture = Image.open("{_PICTURE}").copy()',
        *(line for step in steps for line in _lines_of(step)),
        batch,
        f"logits = {call}",
        "print(names[int(logits[0].argmax())])",
    ]
    return "\n".join(program)


def tensor(device: str) -> str:
    """Return an expression for ``images`` as a torch tensor on ``device``."""
    return "torch.from_numpy(images)" + ('.to("cuda")' if device == "cuda" else "")


# Numbers of Image.Transpose: 3 turns by 180 degrees, 4 by 270, 2 by 90; 0, 1, 5 and 6 mirror.
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}


def _lines_of(step: Step) -> list[str]:  # noqa: PLR0911  # one a kind of step
    """Return the lines of one step.

    The steps until ``Scale`` change ``picture``, a PIL image; ``Scale`` makes ``values``,
    (H, W, 3), of it.
    """
    match step:
        case Upright():
            # ImageOps.exif_transpose also rewrites the EXIF data, which another damaged tag stops.
            return [
                f"turn = {_TURNS}.get(picture.getexif().get({step.tag}))  # upright",
                "picture = picture if turn is None else picture.transpose(turn)",
            ]
        case ToRgb():
            levels = f"numpy.round(numpy.asarray(picture) / {step.deep_divisor})"
            return [
                'if picture.mode in ("I", "F"):',
                f'    raise SystemExit("{_PICTURE}: 32 bits a pixel, whose range is not known")',
                'if picture.mode.startswith("I;16"):  # 16 bits to 8',
                f'    picture = Image.fromarray({levels}.astype("uint8"))',
                'picture = picture.convert("RGBA").convert("RGB")  # without alpha',
            ]
        case WithoutEnds():
            end = f"max(side - {step.longest_ratio} * short, 0) // (4 * short) * (2 * short)"
            return [
                "short = min(picture.size)  # a very long picture loses its ends",
                f"left, top = ({end} for side in picture.size)",
                "picture = picture.crop((left, top, picture.width - left, picture.height - top))",
            ]
        case ResizeBoth():
            sides = f"({step.size}, {step.size})"
            return [f"picture = picture.resize({sides}, {_resampling(step.filter)})"]
        case ResizeShorter():
            return [
                f"sides = [int({step.size} * side / min(picture.size)) for side in picture.size]",
                f"picture = picture.resize(sides, {_resampling(step.filter)})",
            ]
        case CropMiddle():
            size = step.size
            return [
                f"left, top = (round((side - {size}) / 2) for side in picture.size)",
                f"picture = picture.crop((left, top, left + {size}, top + {size}))",
            ]
        case Scale():
            factor = "(1 / 255)" if step.factor == 1 / 255 else repr(step.factor)
            return [f'values = numpy.asarray(picture, "float32") * {factor}']
        case Normalise():
            return [
                f'mean, std = numpy.array([{list(step.mean)}, {list(step.std)}], "float32")',
                "values = (values - mean) / std",
            ]


def _resampling(name: str) -> str:
    return f"Image.Resampling.{name.upper()}"
