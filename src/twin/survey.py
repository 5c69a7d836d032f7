"""The parts to replace, found by measuring: the speed that they bring and the damage they do."""

from __future__ import annotations

import copy
import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from src.backends.onnx.runtime import OnnxRuntime
from src.errors import LightshipError, describe
from src.export.one_format import quiet
from src.export.source import make_source
from src.models.batch_norm_statistics import reestimate_statistics
from src.models.network import NetworkSpec
from src.quantization import target
from src.quantization.evaluation import speedup_in_turn
from src.quantization.onnx import gemm_convolutions
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.onnx.recipe import OnnxRecipe
from src.run.facts import PreprocessingFacts
from src.system import machine, os_errors
from src.system.console import Report
from src.twin.graph_network import UnknownOperatorError
from src.twin.replacements import DROP, KINDS, Replacement, find, replaced, without_noise
from src.twin.validation import agreement, classes

if TYPE_CHECKING:
    import onnx

_CALIBRATION = 16  # images: only speed is asked for
_SHOWN = 300  # characters of a library's message
LEAST_GAIN = 1.05  # for replacing parts of one kind
Plan = tuple[Replacement, ...]


@dataclass(frozen=True)
class Surveyed:
    """A plan with its figures before training."""

    plan: Plan
    speedup: float  # over the int8 file of the unchanged network
    agreement: float  # top-1 with the teacher

    @property
    def name(self) -> str:
        return ", ".join(map(str, self.plan)) or "nothing replaced"


@dataclass(frozen=True)
class Survey:
    """Times plans for one trained network.

    Args:
        network: the teacher, in eval mode on the CPU.
        spec: of the network.
        class_names: K, in label order.
        preprocessing: of the data.
        images: training images, (n, 3, H, W).
        report: told what comes next.
        left_out: plans that cannot be made, by name, and the reasons; :meth:`run` fills it.
    """

    network: nn.Module
    spec: NetworkSpec
    class_names: list[str]
    preprocessing: PreprocessingFacts
    images: Tensor
    report: Report
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)

    def run(self) -> list[Surveyed]:
        """Return all plans that were timed; the first one replaces nothing.

        Kinds are decided one after the other. For each, every substitute is timed in place of all
        parts of that kind, beside what was decided before, and the fastest one is taken if it
        gains a twentieth. A plan whose network cannot be made, run or quantized is left out.
        """
        with tempfile.TemporaryDirectory(prefix="lightship-") as folder:
            base = self._int8((), Path(folder))
            tried = [Surveyed((), 1.0, 1.0)]
            best = tried[0]
            for kind, paths in find(self.network).items():
                for plan in _plans(kind, paths, best.plan):
                    name = Surveyed(plan, 1.0, 1.0).name
                    self.report(f"timing {name}")
                    try:
                        tried.append(self._timed(plan, base))
                    except Exception as error:  # of the code of any network with other parts
                        self.left_out[name] = reason_of(error)
                        self.report(f"left out {name}: {self.left_out[name]}")
                gained = max(tried, key=lambda each: each.speedup)
                if gained.speedup > LEAST_GAIN * best.speedup:
                    best = gained
        return tried

    def student(self, plan: Plan) -> nn.Module:
        """Return the network with substitutes, its BatchNorm statistics re-estimated."""
        network = without_noise(replaced(self.network, plan, self.images[:1]))
        if plan:
            reestimate_statistics(network, self.images)
        return network.eval()

    @functools.cached_property
    def expected(self) -> Tensor:
        """The teacher's class of each image, (n,)."""
        return classes(self.network, self.images)

    def _timed(self, plan: Plan, base: OnnxRuntime) -> Surveyed:
        student = self.student(plan)
        _run_in_training(student, self.images[:2])
        with tempfile.TemporaryDirectory(prefix="lightship-") as folder:
            runtime = self._int8(plan, Path(folder))
            speedup = speedup_in_turn(runtime, base, self.images[:1].numpy())
        return Surveyed(plan, speedup, agreement(student, self.images, self.expected))

    def _int8(self, plan: Plan, folder: Path) -> OnnxRuntime:
        """Return the plain int8 file of a plan, opened."""
        import onnx

        source = make_source(
            self.student(plan),
            self.spec,
            self.class_names,
            self.images[:_CALIBRATION],
            self.preprocessing,
            folder,
        )
        model = quantized(Quantizer(source, target.choose("auto")))
        onnx.save_model(model, folder / "int8.onnx")
        return OnnxRuntime(folder / "int8.onnx", "cpu", machine.usable_cores())


def reason_of(error: Exception) -> str:
    """Return why a network cannot be used, in one line.

    Raises:
        Exception: the error itself, if it is of the machine or the user instead of the network.
    """
    if isinstance(error, LightshipError) or os_errors.explain(error) is not None:
        raise error
    return str(error) if isinstance(error, UnknownOperatorError) else describe(error)[:_SHOWN]


def _run_in_training(network: nn.Module, images: Tensor) -> None:
    """Run a copy of a network in train mode: the code of a network may be another one there."""
    with torch.no_grad():
        copy.deepcopy(network).train()(images)


def quantized(quantizer: Quantizer) -> onnx.ModelProto:
    """Return the plain int8 model, with the kernels for this processor where it has AMX."""
    recipe = OnnxRecipe()
    with quiet():
        model = quantizer.quantize(recipe)
        if not machine.has_amx():
            return model
        names = tuple(gemm_convolutions.suited(model))
        return quantizer.quantize(dataclasses.replace(recipe, gemm_convolutions=names))


def _plans(kind: str, paths: Sequence[str], decided: Plan) -> Iterator[Plan]:
    """Yield the plans that replace parts of one kind beside what was decided."""
    dropped = {path for each in decided if each.by == DROP for path in each.paths}
    left = [path for path in paths if path.rpartition(".")[0] not in dropped]
    if not left:
        return
    for by in KINDS[kind].substitutes:
        if by == DROP and len(left) > 1:
            # Early blocks have the largest images, late ones the most channels.
            half = len(left) // 2
            yield (*decided, Replacement(kind, by, tuple(left[:half])))
            yield (*decided, Replacement(kind, by, tuple(left[half:])))
        yield (*decided, Replacement(kind, by, tuple(left)))


def ranked(tried: Sequence[Surveyed], is_learnable: Callable[[Surveyed], bool]) -> Surveyed:
    """Return the fastest plan that can be learnt; the unchanged network if none can.

    Args:
        tried: the first one replaces nothing.
        is_learnable: asked from the fastest plan on.
    """
    unchanged, *plans = tried
    for each in sorted(plans, key=lambda plan: -plan.speedup):
        if each.speedup <= LEAST_GAIN:
            break
        if is_learnable(each):
            return each
    return unchanged
