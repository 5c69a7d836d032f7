"""What to export: the options of the export stage, wherever they are given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from src import formats
from src.errors import UsageError
from src.formats.openvino_int8 import Options as OpenVinoInt8Options
from src.quantization.options import Int8Options

LEAST_IMAGES = 2  # the example batch is the first of them


@dataclass
class ExportOptions:
    """Which files are written.

    Args:
        formats: names of modules in ``src/formats``.
        calibration_images: training images that static quantization calibrates on.
        judging_images: further training images, by which a recipe of static quantization is
            chosen; as many of them as there are.
        max_accuracy_drop: the top-1 accuracy that a quantized file may give up, a share of 1.
        embed_preprocessing: write each ONNX file once more, with the preprocessing and the softmax
            inside: a picture of any size in, probabilities out.
        onnx_int8: options of that format.
        openvino_int8: options of that format.
        again: export what is whole and of this checkpoint once more.
    """

    formats: list[str] = field(
        default_factory=lambda: [
            "eager",
            "torchscript",
            "onnx_fp32",
            "onnx_int8_dynamic",
            "onnx_int8",
        ]
    )
    calibration_images: int = 128
    judging_images: int = 256
    max_accuracy_drop: float = 0.01
    embed_preprocessing: bool = False
    onnx_int8: Int8Options = field(default_factory=Int8Options)
    openvino_int8: OpenVinoInt8Options = field(default_factory=OpenVinoInt8Options)
    again: bool = False

    def __post_init__(self) -> None:
        kinds = [formats.get(name) for name in self.formats]
        if not self.formats:
            raise UsageError(
                "export.formats",
                expected=f"names among {', '.join(formats.names())}",
                found="none",
                remedy="name one, as in export.formats=[eager,onnx_int8]",
            )
        if self.embed_preprocessing and not any(hasattr(kind, "embed") for kind in kinds):
            can = [name for name in formats.names() if hasattr(formats.get(name), "embed")]
            raise UsageError(
                "export.embed_preprocessing",
                expected=f"a format that can hold its preprocessing: {', '.join(can)}",
                found=", ".join(self.formats),
                remedy=f"add one, as in export.formats=[{can[0]}], or leave it out",
            )
        self.formats = list(dict.fromkeys(self.formats))
        if self.calibration_images < LEAST_IMAGES:
            raise UsageError(
                "export.calibration_images",
                expected=f"{LEAST_IMAGES} or more",
                found=str(self.calibration_images),
                remedy="leave out export.calibration_images for its default",
            )
        if self.judging_images < 0:
            raise UsageError(
                "export.judging_images",
                expected="a number of images, or 0 for none",
                found=str(self.judging_images),
                remedy="leave out export.judging_images for its default",
            )
        if not 0 <= self.max_accuracy_drop < 1:
            raise UsageError(
                "export.max_accuracy_drop",
                expected="a share of 1, as 0.01 for one point",
                found=str(self.max_accuracy_drop),
                remedy="leave it out for one point",
            )

    @property
    def by_format(self) -> dict[str, Any]:
        """The options of single formats, by the format's name."""
        return {name: value for name, value in vars(self).items() if name in formats.names()}
