"""The int8 twin's graph in an export: read, and described in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from src.backends.base import ExportSource, TwinGraph, Unavailable
from src.backends.onnx.fp32_graph import Fp32Graph
from src.run.facts import ExportDetails, TrialCell, TrialTable
from src.run.file_input import NORMALISED, BatchMaker
from src.run.twin import Twin, Validated

if TYPE_CHECKING:
    import onnx

HEAD = [
    ["parts", "text"],
    ["times the plain int8 file", "text"],
    ["agreement before training", "share"],
    ["after a few steps", "share"],
]


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
        raise Unavailable("the run has no int8 twin of these weights; make it: python -m src.twin")
    return source.twin


def loaded(graph: TwinGraph) -> onnx.ModelProto:
    """Read the float graph. It has no data outside of its file.

    Raises:
        ValueError: it names further files.
    """
    import onnx

    model = onnx.load(graph.path, load_external_data=False)
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise ValueError(f"{graph.path.name} names files outside of it")
    return model


def source_of(source: ExportSource, graph: TwinGraph) -> ExportSource:
    """Return the export source with the twin's graph in the place of the network's."""
    return dataclasses.replace(source, fp32_graph=_Graph(graph.path, source))


def details(graph: TwinGraph) -> ExportDetails:
    """Describe how the twin was made."""
    record = graph.record
    rows: list[list[TrialCell]] = [
        [plan.name, f"{plan.speedup:.2f}", plan.agreement, plan.probe_agreement]
        for plan in record.tried
    ]
    return ExportDetails(
        summary=[*sentences(record)],
        table=TrialTable(head=HEAD, rows=rows, chosen=record.chosen),
        more={"twin_graph_sha256": record.graph_sha256},
    )


def sentences(record: Twin) -> Iterator[str]:
    """Yield what this file computes, and how close it comes to the trained network."""
    plan = record.plan
    parts = "no part is replaced" if plan is None or not plan.replaced else plan.name
    yield (
        f"This file computes another network than the trained one: its int8 twin ({parts}), "
        "distilled from it on the training images and trained under fake quantization."
    )
    if record.twin and record.teacher:
        yield (
            f"On {record.twin.images} validation images it gives the trained network's class for "
            f"{record.twin.agreement:.1%}, with a top-1 of {record.twin.top1:.1%} against "
            f"{record.teacher.top1:.1%}{_before(record.distilled)}."
        )
    yield "The weights that were trained are in the other files."


def _before(distilled: Validated | None) -> str:
    if distilled is None:
        return ""
    return f"; before the fake quantization, in float, {distilled.agreement:.1%}"
