"""Calls on the host as a tree, by the rules of torch.autograd.profiler_util.

Figures equal those of ``torch.profiler.profile.key_averages``: see ``FunctionEvent`` and
``EventList._populate_cpu_children``, ``EventList._remove_dup_nodes`` there.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from src.profiling.spans import HOST, ROUNDING, Booleans, Floats, Integers, Kind, Spans, tuples_of

FIGURES = (
    "self_seconds",
    "total_seconds",
    "device_self_seconds",
    "device_total_seconds",
    "memory_bytes",
    "self_memory_bytes",
    "device_memory_bytes",
    "self_device_memory_bytes",
)
_NONE = -1  # no parent
_NANOSECOND = 1e-9


@dataclass(frozen=True)
class Calls:
    """Calls with their figures, a column each.

    ``figures`` has the columns FIGURES, which are fields of
    :class:`src.profiling.operator_table.OperatorRow`. Memory is what was allocated and not freed
    between the start and the end of a call, by any thread.
    """

    span: Integers  # position in Spans
    parent: Integers  # position in these columns, or -1
    figures: dict[str, Floats]


@dataclass(frozen=True)
class _Tree:
    """All calls on the host in the order of :class:`Calls`, with duplicates."""

    span: Integers
    parent: Integers

    def merged(self, names: Integers) -> Integers:
        """Return, for each call, the call that it is part of: itself unless it is a duplicate."""
        children = np.bincount(self.parent[self.parent != _NONE], minlength=len(self.parent))
        whole = np.arange(len(self.parent))
        is_duplicate = (
            (self.parent != _NONE) & (names[self.parent] == names) & (children[self.parent] == 1)
        )
        for call in np.flatnonzero(is_duplicate).tolist():
            whole[call] = whole[self.parent[call]]
        return whole


def host_calls(spans: Spans) -> Calls:
    """Return the calls on the host; a parent stands before its children.

    A call that is the only child of a call of the same name is part of that one.
    """
    tree = _nest(spans)
    whole = tree.merged(spans.name[tree.span])
    kernels = _kernel_seconds(spans, tree)
    for duplicate in np.flatnonzero(whole != np.arange(len(whole))).tolist():
        kernels[whole[duplicate]] = kernels[duplicate]
    kept = np.flatnonzero(whole == np.arange(len(whole)))
    position = np.full(len(whole) + 1, _NONE)  # the last one serves parent -1
    position[kept] = np.arange(len(kept))
    parent = position[np.append(whole, _NONE)[tree.parent[kept]]]
    span = tree.span[kept]
    totals = _seconds(spans, span)
    memory = _allocated(spans, span, spans.on_cpu)
    device_memory = _allocated(spans, span, ~spans.on_cpu)
    columns = (
        _without_children(totals, parent),
        totals,
        kernels[kept],
        _with_descendants(kernels[kept], parent),
        memory,
        _without_children(memory, parent),
        device_memory,
        _without_children(device_memory, parent),
    )
    return Calls(span, parent, dict(zip(FIGURES, columns, strict=True)))


def device_calls(spans: Spans) -> Calls:
    """Return the work on devices."""
    span = np.flatnonzero(np.isin(spans.kind, (Kind.KERNEL, Kind.DEVICE_REGION)))
    figures = dict.fromkeys(FIGURES, np.zeros(len(span)))
    figures["device_self_seconds"] = figures["device_total_seconds"] = _seconds(spans, span)
    return Calls(span, np.full(len(span), _NONE), figures)


def outside_memory(spans: Spans, calls: Calls) -> Booleans:
    """Return True for each allocation that none of the calls contains."""
    order = np.argsort(spans.start[calls.span])
    starts, ends = spans.start[calls.span][order], spans.end[calls.span][order]
    latest_ends = np.concatenate([[-1], np.maximum.accumulate(ends)])
    return np.asarray(latest_ends[np.searchsorted(starts, spans.moment, "right")] < spans.moment)


def _nest(spans: Spans) -> _Tree:
    """Nest the calls of each thread; a call that only overlaps another is not its child."""
    span = spans.outer_first(np.flatnonzero(np.isin(spans.kind, HOST)))
    parents = array("q")
    open_calls: list[int] = []
    open_ends: list[int] = []
    current = _NONE
    rows = tuples_of(spans.thread[span], spans.start[span], spans.end[span])
    for call, (thread, start, end) in enumerate(rows):
        if thread != current:
            current = thread
            open_calls.clear()
            open_ends.clear()
        while open_ends and (start >= open_ends[-1] or end > open_ends[-1] + ROUNDING):
            open_calls.pop()
            open_ends.pop()
        parents.append(open_calls[-1] if open_calls else _NONE)
        open_calls.append(call)
        open_ends.append(end)
    return _Tree(span, np.frombuffer(parents, np.int64))


def _kernel_seconds(spans: Spans, tree: _Tree) -> Floats:
    """Return the time on the device of the work that each call launched itself.

    A kernel names the operator that launched it, or at least the call of the device's runtime.
    """
    kernels = np.flatnonzero(spans.kind == Kind.KERNEL)
    seconds = np.zeros(len(tree.span))
    if not len(kernels):
        return seconds
    kinds = spans.kind[tree.span].tolist()
    parents = tree.parent.tolist()
    operators: dict[int, int] = {}  # external id -> call
    launches: dict[int, int] = {}  # correlation -> call
    for call, span in enumerate(tree.span.tolist()):
        if kinds[call] in {Kind.OPERATOR, Kind.REGION}:
            operators[int(spans.external_id[span])] = call
        elif kinds[call] == Kind.RUNTIME:
            launches[int(spans.correlation[span])] = call
    operators.pop(0, None)
    launches.pop(0, None)
    for kernel in kernels.tolist():
        launched_by = operators.get(int(spans.external_id[kernel]), _NONE)
        if launched_by == _NONE:
            launched_by = launches.get(int(spans.correlation[kernel]), _NONE)
            while launched_by != _NONE and kinds[launched_by] in {Kind.RUNTIME, Kind.PYTHON}:
                launched_by = parents[launched_by]
        if launched_by != _NONE:
            seconds[launched_by] += (spans.end[kernel] - spans.start[kernel]) * _NANOSECOND
    return seconds


def _seconds(spans: Spans, span: Integers) -> Floats:
    return np.asarray((spans.end[span] - spans.start[span]) * _NANOSECOND, np.float64)


def _allocated(spans: Spans, span: Integers, counted: Booleans) -> Floats:
    """Return the bytes that were allocated and not freed between the start and end of each span."""
    moments = spans.moment[counted]
    until = np.concatenate([[0.0], np.cumsum(spans.size[counted], dtype=np.float64)])
    first = np.searchsorted(moments, spans.start[span], side="left")
    last = np.searchsorted(moments, spans.end[span], side="right")
    return np.asarray(until[last] - until[first], np.float64)


def _without_children(values: Floats, parent: Integers) -> Floats:
    children = np.flatnonzero(parent != _NONE)
    return values - np.bincount(parent[children], values[children], len(values))


def _with_descendants(values: Floats, parent: Integers) -> Floats:
    if not values.any():
        return values
    totals: list[float] = values.tolist()
    for call in range(len(totals) - 1, -1, -1):
        above = int(parent[call])
        if above != _NONE:
            totals[above] += totals[call]
    return np.array(totals)
