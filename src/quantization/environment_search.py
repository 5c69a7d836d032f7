"""An int8 file of a runtime that has an environment of its own, made and searched there.

The search, its budget and its images are those of every other int8 format. A recipe names the
layers that stay in float.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.backends.base import ExportSource, Unavailable
from src.backends.own_environment import ConversionError, OwnEnvironment
from src.errors import describe
from src.quantization import account
from src.quantization.candidates import CannotRunError, SpeedUp
from src.quantization.evaluation import Evaluation
from src.quantization.other_environment import RemoteEvaluator
from src.quantization.recipe import Recipe
from src.quantization.search import Outcome, search
from src.quantization.trials import Trials
from src.run.facts import ExportDetails
from src.system import os_errors


@dataclass(frozen=True)
class FloatLayers(Recipe):
    """The layers in float; all others have int8 weights with a scale per output channel."""

    def __str__(self) -> str:
        return self.float_layers or "all layers in int8"


PLAIN = FloatLayers()


@dataclass(frozen=True)
class Int8Program:
    """The way in which a runtime's own tool makes its int8 files.

    Args:
        format: name of the format.
        tool: in words, with its version or target if it has one.
        environment: of the runtime.
        runtime: module that opens a file there, see :mod:`src.quantization.other_environment`.
        ending: of a file's name.
        reference: writes the fp32 file, and returns its path.
        convert: writes the int8 file of a recipe, calibrated on the images of a ``.npy`` file.
        order: returns the names of the layers, the most sensitive one first.
    """

    format: str
    tool: str
    environment: OwnEnvironment
    runtime: str
    ending: str
    reference: Callable[[], Path]
    convert: Callable[[FloatLayers, Path, Path], None]
    order: Callable[[], Sequence[str]]


class EnvironmentCandidates:
    """Implements :class:`src.quantization.candidates.Candidates` for such a runtime.

    Args:
        program: makes the files.
        evaluator: of the selection images.
        images: file of the calibration images.
        scratch: a folder for the files.

    Attributes:
        unordered: why the layers cannot be ordered by their sensitivity; None if they can, or if
            the order was not asked for.
    """

    def __init__(
        self, program: Int8Program, evaluator: RemoteEvaluator, images: Path, scratch: Path
    ) -> None:
        self._program, self._evaluator = program, evaluator
        self._images, self._scratch = images, scratch
        self.unordered: str | None = None

    @property
    def reference(self) -> Evaluation:
        """The evaluation of the fp32 file."""
        return self._evaluator.reference

    def accuracy_recipes(
        self, trials: Trials[FloatLayers, Path]
    ) -> Iterator[Sequence[FloatLayers]]:
        """Yield the plain recipe."""
        yield [PLAIN]

    def sensitivity_order(self, recipe: FloatLayers) -> Sequence[str]:
        try:
            return self._program.order()
        except (ConversionError, Unavailable) as error:
            self.unordered = str(error)
        except Exception as error:  # whatever a network or its layers raise
            self.unordered = os_errors.explain(error) or describe(error)
        return []  # the files before it stay: see Trials

    def speed_ups(self, trials: Trials[FloatLayers, Path]) -> Iterator[SpeedUp[FloatLayers]]:
        """Yield nothing: no change is known that makes such a file faster."""
        yield from ()

    def make(self, recipe: FloatLayers) -> Path:
        path = self._path(recipe)
        if path.is_file():
            return path
        with self._keeping_the_files_before(path):
            self._program.convert(recipe, self._images, path)
        return path

    def evaluate(self, model: Path) -> Evaluation:
        with self._keeping_the_files_before(model):
            return self._evaluator(model)

    def speedup(self, model: Path, other: Path) -> float:
        with self._keeping_the_files_before(model):
            return self._evaluator.speedup(model, other)

    def _path(self, recipe: FloatLayers) -> Path:
        digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:16]
        return self._scratch / f"{digest}{self._program.ending}"

    @contextlib.contextmanager
    def _keeping_the_files_before(self, path: Path) -> Iterator[None]:
        """Turn the failure of a file into CannotRunError, but for the first one: see Trials."""
        try:
            yield
        except (ConversionError, Unavailable) as error:
            if path == self._path(PLAIN):
                raise
            raise CannotRunError(str(error)) from error


def write_int8(
    program: Int8Program, source: ExportSource, target: Path, seconds: float
) -> ExportDetails:
    """Write the int8 file, and return the account of how it was made.

    Without selection images, or with no time, it is that of the plain recipe.

    Args:
        program: makes the files.
        source: of the images.
        target: the file to write.
        seconds: limit of the search.
    """
    scratch = source.scratch / program.format
    scratch.mkdir(exist_ok=True)
    images = scratch / "calibration.npy"
    np.save(images, source.calibration.numpy())
    if source.selection is None or seconds == 0:
        program.convert(PLAIN, images, target)
        reason = account.reason_for_no_search(program.format, seconds)
        return account.of_no_search(
            str(PLAIN), [f"Made by the plain recipe, {PLAIN}, and not judged: {reason}."]
        )
    selected, labels = (part.numpy() for part in source.selection)
    evaluator = RemoteEvaluator(
        program.environment, program.runtime, program.reference(), selected, labels, scratch
    )
    candidates = EnvironmentCandidates(program, evaluator, images, scratch)
    outcome = search(candidates, max_drop=source.max_accuracy_drop, seconds=seconds)
    shutil.copyfile(outcome.model, target)
    return account.of_search(
        outcome,
        str(outcome.best.recipe),
        [
            *_sentences(program.tool, outcome, len(selected)),
            *_left_out(outcome, candidates.unordered),
        ],
        images=len(selected),
        reference_name="the fp32 file",
        format_name=program.format,
    )


def _sentences(tool: str, outcome: Outcome[FloatLayers, Path], images: int) -> Iterator[str]:
    recipe = outcome.best.recipe
    if outcome.best.within_budget:
        yield (
            f"Made by {tool}, {recipe}; it kept the accuracy budget on {images} training "
            "images that it was not calibrated on."
        )
    else:
        yield (
            f"No recipe kept the accuracy budget on {images} training images: {tool}, {recipe}, "
            "gives the answers that are the closest to the fp32 file's."
        )
    if recipe.kept_in_float:
        yield (
            f"In float: {', '.join(recipe.kept_in_float)}, which add the most noise "
            "of their own when they are quantized."
        )


def _left_out(outcome: Outcome[FloatLayers, Path], unordered: str | None) -> Iterator[str]:
    if unordered is not None:
        yield f"No layer was kept in float, because they could not be ordered: {unordered}."
    for recipe, reason in outcome.cannot_run.items():
        yield f"Left out: {recipe}, because it cannot be made or run here: {reason}."
