"""The recipes of one network for OpenVINO, made and evaluated."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Unavailable
from src.backends.openvino.runtime import OpenVinoRuntime
from src.quantization.candidates import Alternatives, CannotRunError, SpeedUp
from src.quantization.evaluation import Evaluation, Evaluator
from src.quantization.openvino import crash_check
from src.quantization.openvino.quantizer import Quantizer
from src.quantization.openvino.recipe import OpenVinoRecipe
from src.quantization.trials import Trials
from src.run.file_input import Batch
from src.system import machine

if TYPE_CHECKING:
    import openvino

_WITHOUT_AMX = "ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16"
# Shares of the activations' values that hard swishes compute. The other activations are on small
# feature maps: they cost little time, and left as they are they keep the logits closer.
_HARD_SHARES = (1.0, 0.7)
_LEAST_GAIN = 1.05  # for a change that makes the logits less exact


@dataclass(frozen=True)
class Int8Graph:
    """A quantized graph, and the precision of its float part."""

    graph: openvino.Model
    precision: str  # "f32" or "bf16"

    def opened(self) -> OpenVinoRuntime:
        return OpenVinoRuntime(self.graph, "cpu", machine.usable_cores(), self.precision)


class OpenVinoCandidates:
    """Implements :class:`src.quantization.candidates.Candidates` for OpenVINO.

    Args:
        quantizer: makes the graphs.
        presets: the recipes to begin with. They differ in speed, so all of them are tried.
        activations: the kinds of activation functions that a hard swish can replace.
        images: selection images, (n, 3, H, W).
        labels: (n,).
        scratch: a folder for temporary files.
    """

    def __init__(
        self,
        quantizer: Quantizer,
        presets: Sequence[OpenVinoRecipe],
        activations: Sequence[str],
        images: Batch,
        labels: NDArray[np.int64],
        scratch: Path,
    ) -> None:
        self._quantizer, self._presets, self._activations = quantizer, presets, activations
        self._images, self._scratch = images, scratch
        self._evaluator = Evaluator(
            Int8Graph(quantizer.float_graph, "f32").opened(), images, labels
        )
        # The graphs that are still in use, by recipe in f32: with bf16 the graph is the same.
        self._graphs: WeakValueDictionary[OpenVinoRecipe, openvino.Model] = WeakValueDictionary()

    @property
    def reference(self) -> Evaluation:
        """The evaluation of the fp32 graph."""
        return self._evaluator.reference

    def accuracy_recipes(
        self, trials: Trials[OpenVinoRecipe, Int8Graph]
    ) -> Iterator[Sequence[OpenVinoRecipe]]:
        """Yield the presets as one group.

        Raises:
            Unavailable: OpenVINO can run none of them here.
        """
        yield self._presets
        if not trials.tried:
            reasons = set(trials.cannot_run.values())
            remedy = (
                "free memory, or use smaller images"
                if reasons == {crash_check.KILLED}
                else f"with {_WITHOUT_AMX} in the environment it may"
            )
            raise Unavailable(
                f"OpenVINO cannot run it here: {', '.join(sorted(reasons))}; {remedy}"
            )

    def sensitivity_order(self, recipe: OpenVinoRecipe) -> list[str]:
        return self._quantizer.sensitivity_order(self._graph(recipe))

    def speed_ups(
        self, trials: Trials[OpenVinoRecipe, Int8Graph]
    ) -> Iterator[SpeedUp[OpenVinoRecipe]]:
        """Yield bf16 for the float part, then hard swishes for activation functions."""
        if machine.has_bfloat16():
            best = trials.best.trial.recipe
            yield Alternatives([dataclasses.replace(best, precision="bf16")], _LEAST_GAIN)
        if self._activations:
            best = trials.best.trial.recipe
            yield Alternatives(
                [dataclasses.replace(best, hard_share=share) for share in _HARD_SHARES], _LEAST_GAIN
            )

    def make(self, recipe: OpenVinoRecipe) -> Int8Graph:
        graph = self._graph(recipe)
        crash = crash_check.crash(graph, self._images, recipe.precision, self._scratch)
        if crash is not None:
            raise CannotRunError(crash)
        return Int8Graph(graph, recipe.precision)

    def evaluate(self, model: Int8Graph) -> Evaluation:
        return self._evaluator(model.opened())

    def speedup(self, model: Int8Graph, other: Int8Graph) -> float:
        return self._evaluator.speedup(model.opened(), other.opened())

    def _graph(self, recipe: OpenVinoRecipe) -> openvino.Model:
        key = dataclasses.replace(recipe, precision="f32")
        graph = self._graphs.get(key)
        if graph is None:
            graph = self._graphs[key] = self._quantizer.quantize(key)
        return graph
