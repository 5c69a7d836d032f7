"""Summary of a trace: time by region and by operator, and memory over time."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from src.profiling import regions
from src.profiling.memory_curve import thinned
from src.profiling.operator_table import table_of
from src.profiling.spans import STEP
from src.profiling.trace import OPTIMIZER, Span, Trace
from src.run.training_profile import Figures, Operator

MAX_OPERATORS = 20


def summarize(trace: Trace, stage: str, *, steps_per_update: int = 1) -> Figures:
    """Return the figures of a window.

    Args:
        trace: of the window.
        stage: ``train`` or ``val``.
        steps_per_update: steps between two steps of the optimizer, which a window of fewer steps
            may lack.
    """
    count = max(1, len(trace.steps))
    split = _by_region(trace)
    operators = _operators(trace, count)
    device = _by_device(trace)
    expected = list(regions.EXPECTED[stage])
    if regions.OPTIMIZER in expected and count < steps_per_update:
        expected.remove(regions.OPTIMIZER)
    return Figures(
        step_seconds=[step.seconds for step in trace.steps],
        regions={name: split[name] / count for name in regions.ORDER if name in split},
        device={name: device[name] / count for name in regions.ORDER if name in device},
        operators=operators,
        memory=_memory(trace),
        problems=list(_problems(trace, expected, split, operators)),
    )


def self_times(spans: Sequence[Span]) -> list[float]:
    """Return the seconds of each span without those of the spans nested in it on its thread.

    Args:
        spans: ordered by start; of two with the same start the outer one first.
    """
    seconds_of = [span.seconds for span in spans]
    open_spans: dict[Any, list[int]] = defaultdict(list)
    for number, span in enumerate(spans):
        stack = open_spans[span.thread]
        while stack and not spans[stack[-1]].contains(span):
            stack.pop()
        if stack:
            seconds_of[stack[-1]] -= span.seconds
        stack.append(number)
    return [max(0.0, seconds) for seconds in seconds_of]


def _region(span: Span) -> str | None:
    if span.name.startswith(OPTIMIZER):
        return regions.OPTIMIZER
    return span.name if span.name in regions.ORDER else None


def _known_regions(trace: Trace) -> list[Span]:
    return [span for span in trace.regions if _region(span) is not None]


def _by_region(trace: Trace) -> dict[str, float]:
    """Return the seconds of all steps by region; nested regions count only for the inner one."""
    known = [
        span for span in _known_regions(trace) if any(step.contains(span) for step in trace.steps)
    ]
    split: dict[str, float] = defaultdict(float)
    for span, seconds in zip(known, self_times(known), strict=True):
        split[_region(span) or regions.OTHER] += seconds
    whole = sum(step.seconds for step in trace.steps)
    split[regions.OTHER] += max(0.0, whole - sum(split.values()))
    return split


def _by_device(trace: Trace) -> dict[str, float]:
    """Return the seconds of work on an accelerator by the innermost region that launched it."""
    known = _known_regions(trace)
    starts = [span.start for span in known]
    split: dict[str, float] = defaultdict(float)
    for correlation, kernel in trace.kernels:
        launched = trace.launches.get(correlation)
        name = regions.OTHER
        if launched is not None:
            # The innermost region is the last one that began before and has not ended.
            for span in reversed(known[: bisect.bisect_right(starts, launched)]):
                if span.end >= launched:
                    name = _region(span) or regions.OTHER
                    break
        split[name] += kernel.seconds
    return split


def _operators(trace: Trace, steps: int) -> list[Operator]:
    """Return the operators with the most self time on the CPU, per step."""
    rows = [row for row in table_of(trace.spans, "name").operators if row.kind == "operator"]
    return [
        Operator(
            name=row.name,
            self_seconds=row.self_seconds / steps,
            calls=row.calls / steps,
            allocated_bytes=(row.self_memory_bytes + row.self_device_memory_bytes) / steps,
        )
        for row in rows[:MAX_OPERATORS]
    ]


def _memory(trace: Trace) -> dict[str, list[tuple[float, float]]]:
    """Return curves of bytes allocated since the start of the window: (seconds, bytes) pairs."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, on_cpu in (("cpu", True), ("device", False)):
        total = 0
        curve: list[tuple[float, float]] = []
        for allocation in trace.memory:
            if allocation.on_cpu is on_cpu:
                total += allocation.size
                curve.append((allocation.moment, float(total)))
        if curve:
            curves[name] = thinned(curve)
    return curves


def _problems(
    trace: Trace, expected: list[str], split: dict[str, float], operators: list[Operator]
) -> Iterable[str]:
    if not trace.steps:
        yield f"no step is marked ({STEP}N)"
    if not operators:
        yield "it holds no operators"
    for name in expected:
        if not split.get(name):
            yield f"no region {name!r} in its steps"
