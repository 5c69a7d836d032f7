"""LiteRT in int8: the AI Edge Quantizer's static recipe, calibrated on training images.

If the plain recipe changes too many predictions, the most sensitive layers stay in float, by the
search and the budget of every other int8 format.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from src.backends import metadata_file
from src.backends.base import ExportSource
from src.backends.litert.names import FILE
from src.formats.litert import Litert
from src.quantization.environment_search import FloatLayers, Int8Program, write_int8
from src.quantization.search import SearchSeconds
from src.run.facts import MOST_IMAGES, ExportDetails
from src.system.ranges import require_ranges

_QUANTIZE = "src.quantization.litert.quantize"
_SENSITIVITY_IMAGES = 8


@dataclass(frozen=True)
class LitertInt8Options:
    """Recipe of LiteRT's int8 file.

    Args:
        search_seconds: time limit in seconds of the search for a recipe within the accuracy
            budget; 0 takes the plain recipe without evaluating it. The recipe that is being tried
            at the limit is finished. Raise it if the report says that the time was up.
    """

    search_seconds: SearchSeconds = 300.0

    def __post_init__(self) -> None:
        require_ranges(self, "export.litert_int8")


class LitertInt8(Litert):
    """Int8 weights and activations, with the layers in float that a search chose."""

    precision = "int8"
    tolerance = None
    Options = LitertInt8Options

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        seconds = source.options_of(self.name, LitertInt8Options).search_seconds
        scratch = source.scratch / self.name
        scratch.mkdir(exist_ok=True)
        fp32 = scratch / "fp32.tflite"
        self.convert(source, fp32)

        def convert(recipe: FloatLayers, images: Path, target: Path) -> None:
            files = (str(fp32), str(target), str(images))
            self.environment.run(_QUANTIZE, *files, *recipe.kept_in_float)

        def order() -> list[str]:
            images = scratch / "few.npy"
            np.save(images, source.calibration[:_SENSITIVITY_IMAGES].numpy())
            printed = self.environment.run(_QUANTIZE, "--order", str(fp32), str(images))
            names: list[str] = json.loads(printed.strip().rpartition("\n")[2])
            return names

        program = Int8Program(
            format=self.name,
            tool="the AI Edge Quantizer",
            environment=self.environment,
            runtime="src.backends.litert.runtime",
            ending=".tflite",
            reference=lambda: fp32,
            convert=convert,
            order=order,
        )
        details = write_int8(program, source, folder / FILE, seconds)
        metadata_file.write(source, folder)
        return msgspec.structs.replace(details, more={**details.more, MOST_IMAGES: 1})
