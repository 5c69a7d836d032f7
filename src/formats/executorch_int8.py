"""ExecuTorch in int8: its PT2E quantizer for XNNPACK, calibrated on training images.

If the plain recipe changes too many predictions, the most sensitive layers stay in float, by the
search and the budget of every other int8 format.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.backends import metadata_file
from src.backends.base import ExportSource
from src.backends.executorch import handover
from src.backends.executorch.runtime import FILE
from src.formats.executorch import Executorch
from src.quantization.environment_search import FloatLayers, Int8Program, write_int8
from src.quantization.executorch.sensitivity import sensitivity_order
from src.quantization.search import SearchSeconds
from src.run.facts import MOST_IMAGES, ExportDetails
from src.system.ranges import require_ranges

_SENSITIVITY_IMAGES = 8


@dataclass(frozen=True)
class ExecutorchInt8Options:
    """Recipe of ExecuTorch's int8 file.

    Args:
        search_seconds: time limit in seconds of the search for a recipe within the accuracy
            budget; 0 takes the plain recipe without evaluating it. The recipe that is being tried
            at the limit is finished; one takes half a minute to minutes. Raise it if the report
            says that the time was up.
    """

    search_seconds: SearchSeconds = 300.0

    def __post_init__(self) -> None:
        require_ranges(self, "export.executorch_int8")


class ExecutorchInt8(Executorch):
    """Int8 weights and activations, with the layers in float that a search chose."""

    precision = "int8"
    tolerance = None
    Options = ExecutorchInt8Options

    def export(self, source: ExportSource, folder: Path) -> ExportDetails:
        seconds = source.options_of(self.name, ExecutorchInt8Options).search_seconds
        network = str(handover.program(source))
        most_images: list[int | None] = []  # the same for every recipe

        def reference() -> Path:
            path = source.scratch / self.name / "fp32.pte"
            self.convert(network, str(path))
            return path

        def convert(recipe: FloatLayers, images: Path, target: Path) -> None:
            files = (network, str(target), str(images))
            most_images.append(self.convert(*files, *recipe.kept_in_float))

        program = Int8Program(
            format=self.name,
            tool="PT2E for XNNPACK",
            environment=self.environment,
            runtime="src.backends.executorch.runtime",
            ending=".pte",
            reference=reference,
            convert=convert,
            order=lambda: sensitivity_order(
                source.network, source.calibration[:_SENSITIVITY_IMAGES]
            ),
        )
        details = write_int8(program, source, folder / FILE, seconds)
        metadata_file.write(source, folder)
        more = {**details.more, MOST_IMAGES: most_images[-1]}
        return msgspec.structs.replace(details, more=more)
