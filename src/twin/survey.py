"""The parts to replace, found by measuring: the speed that they bring and the damage they do."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
from src.twin import blocks
from src.twin.blocks import Block, Timed
from src.twin.functional_calls import as_modules
from src.twin.gates import marked
from src.twin.graph_network import UnknownOperatorError
from src.twin.replacements import (
    DROP,
    GATE,
    KINDS,
    SQUEEZE,
    Replacement,
    find,
    input_shapes,
    is_within,
    replaced,
    without_noise,
)
from src.twin.validation import agreement, classes

if TYPE_CHECKING:
    import onnx

_LOOKED_AT = 4  # images by which parts are recognised
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
        kept: plans that were timed before.
        keep: called with each plan that was timed.
        left_out: plans that cannot be made, by name, and the reasons; :meth:`run` fills it.
        blocks: squeeze-excites in the order in which they are dropped, where dropping them gains
            speed; :meth:`run` fills it.
    """

    network: nn.Module
    spec: NetworkSpec
    class_names: list[str]
    preprocessing: PreprocessingFacts
    images: Tensor
    report: Report
    kept: Mapping[Plan, Surveyed] = dataclasses.field(default_factory=dict)
    keep: Callable[[Surveyed], None] = lambda _: None
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    blocks: list[Block] = dataclasses.field(default_factory=list)

    def run(self) -> list[Surveyed]:
        """Return all plans that were timed; the first one replaces nothing.

        Kinds are decided one after the other. For each, every substitute is timed in place of all
        parts of that kind, beside what was decided before, and the fastest one is taken if it
        gains a twentieth. A plan whose network cannot be made, run or quantized is left out. If
        squeeze-excites gain speed by being dropped, :attr:`blocks` gets them one by one.
        """
        _ = self._base  # an error in it is one of the network, and of no plan
        tried = [Surveyed((), 1.0, 1.0)]
        best = tried[0]
        for kind, paths in find(self._with_parts).items():
            before = best
            tried += self._timed_plans(_plans(kind, paths, best.plan))
            gained = max(tried, key=lambda each: each.speedup)
            if gained.speedup > LEAST_GAIN * best.speedup:
                best = gained
            if kind == SQUEEZE and best is not before and len(paths) > 1:
                self._rank_blocks(paths, before, tried)
        return tried

    def with_fewer_blocks(self, plan: Plan, count: int) -> Plan:
        """Return a plan that drops the first blocks in the order of :attr:`blocks`, of its own.

        Args:
            plan: it drops blocks.
            count: of those that are dropped.
        """
        [drop] = [each for each in plan if each.by == DROP]
        order = [block.path for block in self.blocks if block.path in drop.paths]
        chosen = set(order[:count])
        paths = tuple(path for path in drop.paths if path in chosen)
        rest = tuple(each for each in plan if each is not drop)
        return (*rest, Replacement(drop.kind, DROP, paths)) if paths else rest

    def timed(self, plan: Plan) -> list[Surveyed]:
        """Return a plan and the same with hard gates, where it keeps gates; each with its figures.

        What cannot be made is left out.
        """
        gates = find(self._with_parts).get(GATE, [])
        return self._timed_plans([plan, *_plans(GATE, gates, plan)])

    def student(self, plan: Plan) -> nn.Module:
        """Return the network with substitutes, its BatchNorm statistics re-estimated."""
        own = {path for paths in find(self.network).values() for path in paths}
        is_own = all(path in own for each in plan for path in each.paths)
        network = self.network if is_own else self._with_parts
        network = without_noise(replaced(network, plan, self.images[:1]))
        if plan:
            reestimate_statistics(network, self.images)
        return network.eval()

    @functools.cached_property
    def expected(self) -> Tensor:
        """The teacher's class of each image, (n,)."""
        return classes(self.network, self.images)

    @functools.cached_property
    def _with_parts(self) -> nn.Module:
        """The network, in which activations are modules and squeeze-excites are marked."""
        made = as_modules(self.network, self.images[:_LOOKED_AT])
        for path, reason in made.left_out.items():
            self._leave_out(f"activations that {path} calls as functions", reason)
        return marked(made.network, self.images[:_LOOKED_AT])

    @functools.cached_property
    def _base(self) -> OnnxRuntime:
        """The plain int8 file of the unchanged network."""
        with tempfile.TemporaryDirectory(prefix="lightship-") as folder:
            return self._int8((), Path(folder))

    def _rank_blocks(self, paths: Sequence[str], before: Surveyed, tried: list[Surveyed]) -> None:
        """Fill :attr:`blocks`."""
        self.report(f"the damage of each of {len(paths)} squeeze-excites")

        def leave_out(path: str, error: Exception) -> None:
            self._leave_out(f"{path} dropped", reason_of(error))

        damage = blocks.damages(self._with_parts, paths, self.images, leave_out)
        shapes = input_shapes(self._with_parts, paths, self.images[:1])
        sizes = {path: math.prod(shapes[path]) for path in damage if path in shapes}
        timed = [
            Timed(drop.paths, 1 / before.speedup - 1 / each.speedup)
            for each in tried
            for drop in each.plan[len(before.plan) :]
            if drop.by == DROP and sizes.keys() >= set(drop.paths)
        ]
        if timed:
            time_saved = blocks.saved(sizes, timed)
            self.blocks[:] = blocks.in_order({path: damage[path] for path in sizes}, time_saved)

    def _timed_plans(self, plans: Iterable[Plan]) -> list[Surveyed]:
        """Time plans; leave out what cannot be made, run or quantized."""
        timed = []
        for plan in plans:
            if plan in self.kept:
                timed.append(self.kept[plan])
                continue
            name = Surveyed(plan, 1.0, 1.0).name
            self.report(f"timing {name}")
            try:
                timed.append(self._timed(plan, self._base))
            except Exception as error:  # of the code of any network with other parts
                self._leave_out(name, reason_of(error))
            else:
                self.keep(timed[-1])
        return timed

    def _leave_out(self, name: str, reason: str) -> None:
        self.left_out[name] = reason
        self.report(f"left out {name}: {reason}")

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
    """Run a copy of a network in train mode, with gradients.

    The code of a network may be another one there, and autograd refuses some operations in place.
    """
    copy.deepcopy(network).train()(images).sum().backward()


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
    left = [path for path in paths if not is_within(path, dropped)]
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
