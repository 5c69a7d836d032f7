"""Options of the export stage, wherever they are given."""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

from src import formats
from src.errors import UsageError
from src.run.file_input import NORMALISED, PIXELS, FileInput
from src.system.ranges import AccuracyDrop, Range, require_ranges

LEAST_IMAGES = 2  # the example batch is the first of them
_CalibrationImages = Annotated[int, Range(f"{LEAST_IMAGES} or more", least=LEAST_IMAGES)]
_JudgingImages = Annotated[int, Range("a number of images, or 0 for none", least=0)]

Options = TypeVar("Options")


def _with_options_of_formats(kind: type[Options]) -> type[Options]:
    """Add a field for each format that has options of its own, called as the format."""
    own = formats.options()
    if taken := own.keys() & {field.name for field in dataclasses.fields(kind)}:  # type: ignore[arg-type]  # a dataclass
        raise TypeError(f"formats with the name of an export option: {', '.join(sorted(taken))}")
    lines = [f"    {name}: options of that format." for name in own]
    return dataclasses.make_dataclass(
        kind.__name__,
        [(name, options, field(default_factory=options)) for name, options in own.items()],
        bases=(kind,),
        namespace={
            "__module__": kind.__module__,
            "__doc__": "\n".join([inspect.cleandoc(kind.__doc__ or ""), *lines]),
        },
    )


@_with_options_of_formats
@dataclass
class ExportOptions:
    """Choice of the files that are written; formats add options of their own.

    Args:
        formats: names of modules in ``src/formats``.
        calibration_images: training images that static quantization calibrates on.
        judging_images: further training images, by which a recipe of static quantization is
            chosen; as many of them as there are.
        max_accuracy_drop: the top-1 accuracy that a quantized file may give up, a share of 1.
        input: of the ONNX and OpenVINO files: float for normalised float32 (N, 3, H, W), or uint8
            for the pixels of resized images (N, H, W, 3), with the normalisation in the file.
        embed_preprocessing: write each ONNX file once more, with the preprocessing and the softmax
            inside: an image of any size in, probabilities out.
        again: export what is whole and of this checkpoint once more.
    """

    formats: list[str] = field(default_factory=lambda: list(formats.DEFAULT))
    calibration_images: _CalibrationImages = 128
    judging_images: _JudgingImages = 256
    max_accuracy_drop: AccuracyDrop = 0.01
    input: Literal["float", "uint8"] = "float"
    embed_preprocessing: bool = False
    again: bool = False

    def __post_init__(self) -> None:
        self._require_formats()
        self.formats = list(dict.fromkeys(self.formats))
        require_ranges(self, "export")

    def _require_formats(self) -> None:
        chosen = [formats.get(name) for name in self.formats]
        if not self.formats:
            first, *_, last = formats.DEFAULT
            raise UsageError(
                "export.formats",
                expected=f"names among {', '.join(formats.names())}",
                found="none",
                remedy=f"name one, as in export.formats=[{first},{last}]",
            )
        if self.input == "uint8" and not any(format_.takes_pixels for format_ in chosen):
            able = [name for name in formats.names() if formats.get(name).takes_pixels]
            raise UsageError(
                "export.input",
                expected=f"a format that can take pixels: {', '.join(able)}",
                found=", ".join(self.formats),
                remedy=f"add one, as in export.formats=[{able[0]}], or leave it out",
            )
        if self.embed_preprocessing and not any(format_.embeds for format_ in chosen):
            able = [name for name in formats.names() if formats.get(name).embeds]
            raise UsageError(
                "export.embed_preprocessing",
                expected=f"a format that can hold its preprocessing: {', '.join(able)}",
                found=", ".join(self.formats),
                remedy=f"add one, as in export.formats=[{able[0]}], or leave it out",
            )

    @property
    def takes(self) -> FileInput:
        """The input of the formats that can take pixels."""
        return PIXELS if self.input == "uint8" else NORMALISED

    @property
    def by_format(self) -> dict[str, Any]:
        """The options of single formats, by the format's name."""
        own = formats.options()
        return {name: value for name, value in vars(self).items() if name in own}
