"""Table of the operators in a trace, with the figures of torch's ``key_averages``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from src.profiling.calls import Calls, device_calls, host_calls, outside_memory
from src.profiling.spans import MEMORY, STEP, Integers, Kind, Spans, read_spans
from src.profiling.stacks import stacks_of

GROUPS = ("name", "shapes", "stack")
MAX_ROWS = 5000
STEP_ROW = "ProfilerStep*"  # as in key_averages

RowKind = Literal["operator", "region", "runtime", "kernel", "device region", "memory"]
_Label = tuple[str | None, list[str] | None]  # shapes and stack
_KINDS: dict[Kind, RowKind] = {
    Kind.OPERATOR: "operator",
    Kind.REGION: "region",
    Kind.RUNTIME: "runtime",
    Kind.KERNEL: "kernel",
    Kind.DEVICE_REGION: "device region",
}


class OperatorRow(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of the calls of an operator with the same name, shapes or stack: sums over a window.

    Args:
        name: of the operator, the region or the kernel.
        kind: an ``operator``, a ``region`` of the program, a call of the device's ``runtime``, a
            ``kernel`` on the device, a ``device region`` (the time between the first and the last
            kernel of a region), or ``memory`` that was allocated outside all others.
        shapes: of the inputs, as JSON; None if it has none or rows are not made by them.
        stack: Python functions, the innermost first; those of the forward operator for an operator
            of the backward pass. None if rows are not made by them.
        calls: number of calls.
        self_seconds: time on the host without the calls within it.
        total_seconds: time on the host.
        device_self_seconds: time on the device of the kernels that it launched itself.
        device_total_seconds: time on the device of all kernels launched within it.
        memory_bytes: host memory that was allocated and not freed within it.
        self_memory_bytes: the same without the calls within it.
        device_memory_bytes: as ``memory_bytes`` on the device.
        self_device_memory_bytes: as ``self_memory_bytes`` on the device.
    """

    name: str
    kind: RowKind
    shapes: str | None
    stack: list[str] | None
    calls: int
    self_seconds: float
    total_seconds: float
    device_self_seconds: float
    device_total_seconds: float
    memory_bytes: int
    self_memory_bytes: int
    device_memory_bytes: int
    self_device_memory_bytes: int


class OperatorTable(msgspec.Struct, frozen=True, kw_only=True):
    """The operators of a window.

    Args:
        steps: number of steps in the window; 1 if none is marked.
        has_device: it contains work on a device.
        has_memory: allocations were recorded.
        has_shapes: shapes were recorded.
        has_stacks: Python functions were recorded.
        omitted: number of further rows, which cost less than the MAX_ROWS in ``operators``.
        operators: the rows, the one with the most self time first.
    """

    steps: int
    has_device: bool
    has_memory: bool
    has_shapes: bool
    has_stacks: bool
    omitted: int
    operators: list[OperatorRow]


def operator_table(path: Path, by: str) -> OperatorTable:
    """Return the operators of a trace.

    Args:
        path: a ``.json.gz`` file.
        by: a row for each ``name``, name and ``shapes`` of the inputs, or name and Python
            ``stack``.

    Raises:
        ValueError: the file is damaged, is not a trace or is too large, or ``by`` is unknown.
        OSError: the file could not be read.
    """
    if by not in GROUPS:
        raise ValueError(f"by={by!r} is none of {', '.join(GROUPS)}")
    return table_of(read_spans(path), by)


def table_of(spans: Spans, by: str) -> OperatorTable:
    """Return the operators of a trace that has been read; see :func:`operator_table`."""
    rows, omitted = _rows(spans, by)
    rows.sort(key=lambda row: (-row.self_seconds, -row.device_self_seconds, row.name))
    is_step = np.array([name.startswith(STEP) for name in spans.names], np.bool_)
    steps = np.count_nonzero(is_step[spans.name[spans.kind == Kind.REGION]])
    return OperatorTable(
        steps=max(1, int(steps)),
        has_device=bool((spans.kind == Kind.KERNEL).any()),
        has_memory=len(spans.moment) > 0,
        has_shapes=any(spans.shapes),
        has_stacks=bool((spans.kind == Kind.PYTHON).any()) or any(spans.call_stacks),
        omitted=omitted,
        operators=rows,
    )


def _rows(spans: Spans, by: str) -> tuple[list[OperatorRow], int]:
    """Return the costliest rows and the number of the others.

    Rows are of the calls on the host, of the work on devices and of other memory.
    """
    calls, work = host_calls(spans), device_calls(spans)
    groups, labels = _groups(spans, calls, by)
    names, number = _row_names(spans)
    is_row = spans.kind[calls.span] != Kind.PYTHON
    span = np.concatenate([calls.span[is_row], work.span])
    group = np.concatenate([groups[is_row], np.zeros_like(work.span)])
    key = (number[spans.name[span]] * len(Kind) + spans.kind[span]) * len(labels) + group
    keys, row, counts = np.unique(key, return_inverse=True, return_counts=True)
    columns = {
        figure: np.bincount(row, np.concatenate([values[is_row], work.figures[figure]]), len(keys))
        for figure, values in calls.figures.items()
    }
    costs = columns["self_seconds"] + columns["device_self_seconds"]
    kept = np.argsort(-costs, kind="stable")[:MAX_ROWS]
    rows = []
    for position in kept.tolist():
        name_and_kind, label = divmod(int(keys[position]), len(labels))
        name, kind = divmod(name_and_kind, len(Kind))
        figures = {figure: column[position].item() for figure, column in columns.items()}
        calls_of_row = int(counts[position])
        rows.append(_row(names[name], _KINDS[Kind(kind)], labels[label], calls_of_row, figures))
    outside = outside_memory(spans, calls)
    if outside.any():
        figures = dict.fromkeys(calls.figures, 0.0)
        for figure, where in (
            ("memory_bytes", spans.on_cpu),
            ("device_memory_bytes", ~spans.on_cpu),
        ):
            size = float(spans.size[outside & where].sum(dtype=np.float64))
            figures[figure] = figures[f"self_{figure}"] = size
        rows.append(_row(MEMORY, "memory", labels[0], int(outside.sum()), figures))
    return rows, len(keys) - len(kept)


def _row(
    name: str,
    kind: RowKind,
    label: _Label,
    calls: int,
    figures: dict[str, float],
) -> OperatorRow:
    shapes, stack = label
    return OperatorRow(
        name=name,
        kind=kind,
        shapes=shapes,
        stack=stack,
        calls=calls,
        self_seconds=figures["self_seconds"],
        total_seconds=figures["total_seconds"],
        device_self_seconds=figures["device_self_seconds"],
        device_total_seconds=figures["device_total_seconds"],
        memory_bytes=round(figures["memory_bytes"]),
        self_memory_bytes=round(figures["self_memory_bytes"]),
        device_memory_bytes=round(figures["device_memory_bytes"]),
        self_device_memory_bytes=round(figures["self_device_memory_bytes"]),
    )


def _row_names(spans: Spans) -> tuple[list[str], Integers]:
    """Return the names of rows and, for each name of spans, its position; all steps share one."""
    positions: dict[str, int] = {}
    number = [
        positions.setdefault(STEP_ROW if name.startswith(STEP) else name, len(positions))
        for name in spans.names
    ]
    return list(positions), np.array(number, np.int64)


def _groups(spans: Spans, calls: Calls, by: str) -> tuple[Integers, list[_Label]]:
    """Return the group of each call within the rows of its name, and the labels of the groups.

    The first group is that of calls without shapes or stack.
    """
    if by == "stack":
        groups, stacks = stacks_of(spans, calls)
        return groups, [(None, stack) for stack in stacks]
    if by == "name":
        return np.zeros_like(calls.span), [(None, None)]
    positions: dict[str | None, int] = {None: 0}
    group = [positions.setdefault(_shapes_text(shapes), len(positions)) for shapes in spans.shapes]
    labels: list[_Label] = [(text, None) for text in positions]
    return np.array(group, np.int64)[spans.shape[calls.span]], labels


def _shapes_text(shapes: bytes) -> str | None:
    """Return the shapes as torch groups by them: of a list of tensors, an empty list."""
    if shapes in {b"", b"[]"}:
        return None
    try:
        dimensions = msgspec.json.decode(shapes, type=list[list[int | list[int]]])
    except msgspec.ValidationError:
        return shapes.decode()
    return str([[] if any(isinstance(n, list) for n in shape) else shape for shape in dimensions])
