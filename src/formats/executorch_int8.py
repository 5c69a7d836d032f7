"""ExecuTorch in int8: its PT2E quantizer for XNNPACK, calibrated on training images.

If the plain recipe changes too many predictions, the most sensitive layers stay in float, by the
search and the budget of every other int8 format.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.backends import metadata_file
from src.backends.base import ExportSource
from src.backends.executorch import handover
from src.backends.executorch.runtime import FILE
from src.formats.executorch import CONVERT, Executorch
from src.quantization import account
from src.quantization.executorch.candidates import PLAIN, ExecutorchCandidates
from src.quantization.executorch.recipe import ExecutorchRecipe
from src.quantization.executorch.sensitivity import sensitivity_order
from src.quantization.other_environment import RemoteEvaluator
from src.quantization.search import Outcome, SearchSeconds, search
from src.run.facts import ExportDetails
from src.system.ranges import require_ranges

_RUNTIME = "src.backends.executorch.runtime"
_SENSITIVITY_IMAGES = 8
Convert = Callable[[ExecutorchRecipe, Path], None]


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
        options = source.options_of(self.name, ExecutorchInt8Options)
        scratch = source.scratch / self.name
        scratch.mkdir(exist_ok=True)
        program, images_file = handover.program(source), scratch / "calibration.npy"
        np.save(images_file, source.calibration.numpy())

        def convert(recipe: ExecutorchRecipe, target: Path) -> None:
            self.environment.run(
                CONVERT, str(program), str(target), str(images_file), *recipe.kept_in_float
            )

        if source.selection is None or options.search_seconds == 0:
            convert(PLAIN, folder / FILE)
            reason = account.reason_for_no_search(self.name, options.search_seconds)
            details = account.of_no_search(
                str(PLAIN), [f"Made by the plain recipe, {PLAIN}, and not judged: {reason}."]
            )
        else:
            details = self._searched(source, folder, convert, scratch, options.search_seconds)
        metadata_file.write(source, folder)
        return details

    def _searched(
        self, source: ExportSource, folder: Path, convert: Convert, scratch: Path, seconds: float
    ) -> ExportDetails:
        if source.selection is None:
            raise ValueError("a search needs selection images")
        images, labels = (part.numpy() for part in source.selection)
        reference = scratch / "fp32.pte"
        self.environment.run(CONVERT, str(handover.program(source)), str(reference))
        evaluator = RemoteEvaluator(self.environment, _RUNTIME, reference, images, labels, scratch)
        candidates = ExecutorchCandidates(
            convert,
            evaluator,
            lambda: sensitivity_order(source.network, source.calibration[:_SENSITIVITY_IMAGES]),
            scratch,
        )
        outcome = search(candidates, max_drop=source.max_accuracy_drop, seconds=seconds)
        shutil.copyfile(outcome.model, folder / FILE)
        return account.of_search(
            outcome,
            str(outcome.best.recipe),
            _sentences(outcome, len(images)),
            images=len(images),
            reference_name="the fp32 program",
            format_name=self.name,
        )


def _sentences(outcome: Outcome[ExecutorchRecipe, Path], images: int) -> Iterator[str]:
    recipe = outcome.best.recipe
    if outcome.best.within_budget:
        yield (
            f"Made by PT2E for XNNPACK, {recipe}; it kept the accuracy budget on {images} training "
            "images that it was not calibrated on."
        )
    else:
        yield (
            f"No recipe kept the accuracy budget on {images} training images: PT2E for XNNPACK, "
            f"{recipe}, gives the answers that are the closest to the fp32 program's."
        )
    if recipe.kept_in_float:
        yield (
            f"In float: {', '.join(recipe.kept_in_float)}, which add the most noise "
            "of their own when they are quantized."
        )
