"""The int8 twin's graph in an export: read, and described in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from src.backends.base import ExportSource, TwinGraph, Unavailable
from src.backends.onnx.fp32_graph import Fp32Graph
from src.run.facts import ExportDetails
from src.run.file_input import NORMALISED, BatchMaker
from src.run.twin import TwinAccount

if TYPE_CHECKING:
    import onnx


class _Graph(Fp32Graph):
    """The twin's file in the place of a network's, prepared for quantizers before its training."""

    def __init__(self, file: Path, source: ExportSource) -> None:
        batch = BatchMaker(NORMALISED, source.preprocessing)
        super().__init__(source.network, source.example, source.scratch, batch)
        self.path = self.prepared = file


def required(source: ExportSource) -> TwinGraph:
    """Return the twin of an export.

    Raises:
        Unavailable: there is none of these weights.
    """
    if source.twin is None:
        raise Unavailable(source.without_twin or "there is no int8 twin of random weights")
    return source.twin


def require_faster_in_float(graph: TwinGraph) -> None:
    """Refuse the float graph of a twin that is not faster than the network's.

    Raises:
        Unavailable: it is not.
    """
    speedup = graph.record.fp32_speedup
    if speedup is not None and speedup <= 1:
        raise Unavailable(f"in fp32 the int8 twin is {speedup:.2f} times as fast as the network")


def loaded(path: Path) -> onnx.ModelProto:
    """Read the float graph. It has no data outside of its file.

    Raises:
        ValueError: it names further files.
    """
    import onnx

    model = onnx.load(path, load_external_data=False)
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise ValueError(f"{path.name} names files outside of it")
    return model


def source_of(source: ExportSource, path: Path) -> ExportSource:
    """Return the export source with a twin's graph in the place of the network's.

    Raises:
        ValueError: the graph names further files.
    """
    loaded(path)
    return dataclasses.replace(source, fp32_graph=_Graph(path, source))


def details(graph: TwinGraph, *, in_float: bool = False) -> ExportDetails:
    """Describe how the twin was made. The account of the run has what was tried.

    Args:
        graph: the twin's.
        in_float: the file computes it in fp32.
    """
    record = graph.record
    return ExportDetails(
        summary=[*sentences(record, in_float=in_float)],
        of_twin=True,
        more={"twin_graph_sha256": record.graph_sha256},
    )


def sentences(account: TwinAccount, *, in_float: bool = False) -> Iterator[str]:
    """Yield what a file of the twin computes, and how close it comes to the trained network."""
    plan = account.plan
    parts = "no part is replaced" if plan is None or not plan.replaced else plan.name
    yield (
        f"This file computes another network than the trained one: its int8 twin ({parts}), "
        f"{how_made(account)}."
    )
    validated = account.in_float if in_float else account.twin
    if validated and account.teacher:
        how = "in float with the same weights" if in_float else "under fake quantization"
        chosen = ", by which its best epoch was chosen," if account.epochs else ""
        yield (
            f"In its making, {how}, it gave the trained network's class for "
            f"{validated.agreement:.1%} of {validated.images} validation images{chosen} with a "
            f"top-1 of {validated.top1:.1%} against {account.teacher.top1:.1%}."
        )
    if not in_float:
        yield from missed_budget(account)
    yield "The weights that were trained are in the other files."


def how_made(account: TwinAccount) -> str:
    """Return the steps by which a twin was made from the trained network."""
    trained = {epoch.phase for epoch in account.epochs}
    steps = []
    if account.reconstructed is not None:
        steps.append(
            "its layers refitted to the outputs of the trained network where that brought it closer"
        )
    if "distillation" in trained:
        steps.append("distilled from the trained network on the training images")
    if "quantization" in trained:
        steps.append("trained under fake quantization to answer as the trained network does")
    *first, last = steps or ["with the weights of the trained network"]
    return f"{', '.join(first)} and {last}" if first else last


def missed_budget(account: TwinAccount) -> Iterator[str]:
    """Yield how far the twin misses the budget, and how many more epochs its curve suggests."""
    missed = account.missed
    if missed is None:
        return
    option, training = {
        "distillation": ("epochs", "the distillation"),
        "quantization": ("quantized_epochs", "the training under fake quantization"),
    }[missed.phase]
    more = missed.more_epochs
    advice = {
        "few": f"{missed.trained} epochs of {training} are too few for a curve; try "
        f"{option}={max(2 * missed.trained, 3)}",
        "flat": f"the curve of {training} is flat after {missed.trained} epochs, so more of them "
        "promise nothing",
        "falling": f"the curve of {training} suggests about {more} more epochs "
        f"({option}={missed.trained + (more or 0)})"
        if more
        else f"the curve of {training} falls so slowly that ten times its {missed.trained} epochs "
        "would not do",
    }[missed.curve]
    if missed.max_minutes is not None:
        advice = (
            f"max_minutes={missed.max_minutes:g} ended {training} in epoch {missed.trained}, "
            "so try a longer time"
        )
    yield (
        f"Its top-1 on the validation images is {100 * missed.drop:.2f} points lower, and the "
        f"budget is {100 * missed.allowed:.2f}: {advice}."
    )


def against_exported(account: TwinAccount) -> Iterator[str]:
    """Yield how fast the twin's int8 file is beside the one that the run had exported."""
    speedup = account.exported_speedup
    if speedup is None:
        return
    text = (
        f"Timed the same way, its int8 file is {speedup:.2f} times as fast as the onnx_int8 that "
        "the run had exported then"
    )
    if speedup > 1:
        yield f"{text}."
    else:
        yield (
            f"{text}: the twin gains no speed over that file, which computes the trained network "
            "itself."
        )
