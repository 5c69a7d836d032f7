"""What to export: the options of the export stage, wherever they are given."""

from __future__ import annotations

from dataclasses import dataclass, field

from src import formats
from src.errors import UsageError

LEAST_IMAGES = 2  # the example batch is the first of them


@dataclass
class ExportOptions:
    """Which files are written.

    Args:
        formats: names of modules in ``src/formats``.
        calibration_images: training images that static quantization calibrates on.
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

    def __post_init__(self) -> None:
        for name in self.formats:
            formats.get(name)
        if not self.formats:
            raise UsageError(
                "export.formats",
                expected=f"names among {', '.join(formats.names())}",
                found="none",
                remedy="name one, as in export.formats=[eager,onnx_int8]",
            )
        self.formats = list(dict.fromkeys(self.formats))
        if self.calibration_images < LEAST_IMAGES:
            raise UsageError(
                "export.calibration_images",
                expected=f"{LEAST_IMAGES} or more",
                found=str(self.calibration_images),
                remedy="leave out export.calibration_images for its default",
            )
