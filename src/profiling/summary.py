"""What a trace says: where a step's time goes, into which operators, and the memory over time."""

from __future__ import annotations

import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from src.profiling import regions
from src.profiling.trace import OPTIMIZER, STEP, Span, Trace

MOST_OPERATORS = 20
MEMORY_POINTS = 300


def summarize(trace: Trace, stage: str) -> dict[str, Any]:
    """The figures of a window as plain values, in seconds and bytes.

    Returns:
        ``step_seconds`` of each step; ``regions``, seconds of a step by the part that they are
        spent in, ``other`` included, so that they add up to the step's; ``device``, the same for
        the work on an accelerator by the region that asked for it (empty without one);
        ``operators``, those with the most self time, per step; ``memory``, bytes allocated since
        the start of the window over time; ``problems``, what the trace lacks.
    """
    count = max(1, len(trace.steps))
    split = _by_region(trace)
    device = _by_device(trace)
    memory = _memory(trace)
    return {
        "step_seconds": [step.seconds for step in trace.steps],
        "regions": {name: split[name] / count for name in regions.ORDER if name in split},
        "device": {name: device[name] / count for name in regions.ORDER if name in device},
        "operators": _operators(trace, count),
        "memory": memory,
        "problems": list(_problems(trace, stage, split)),
    }


def self_times(spans: Sequence[Span]) -> list[float]:
    """Seconds of each span that no span within it on the same thread takes.

    Args:
        spans: in the order of their start, holders first.
    """
    found = [span.seconds for span in spans]
    open_spans: dict[Any, list[int]] = defaultdict(list)
    for number, span in enumerate(spans):
        stack = open_spans[span.thread]
        while stack and not spans[stack[-1]].holds(span):
            stack.pop()
        if stack:
            found[stack[-1]] -= span.seconds
        stack.append(number)
    return [max(0.0, seconds) for seconds in found]


def _region(span: Span) -> str | None:
    if span.name.startswith(OPTIMIZER):
        return regions.OPTIMIZER
    return span.name if span.name in regions.ORDER else None


def _known_regions(trace: Trace) -> list[Span]:
    return [span for span in trace.regions if _region(span) is not None]


def _by_region(trace: Trace) -> dict[str, float]:
    """Seconds of all steps by region; what lies in another region counts only there."""
    known = [
        span for span in _known_regions(trace) if any(step.holds(span) for step in trace.steps)
    ]
    split: dict[str, float] = defaultdict(float)
    for span, seconds in zip(known, self_times(known), strict=True):
        split[_region(span) or regions.OTHER] += seconds
    whole = sum(step.seconds for step in trace.steps)
    split[regions.OTHER] += max(0.0, whole - sum(split.values()))
    return split


def _by_device(trace: Trace) -> dict[str, float]:
    """Seconds of work on an accelerator by the innermost region that asked for it."""
    known = _known_regions(trace)
    starts = [span.start for span in known]
    split: dict[str, float] = defaultdict(float)
    for correlation, kernel in trace.kernels:
        asked = trace.launches.get(correlation)
        name = regions.OTHER
        if asked is not None:
            # The last one that began before and had not ended is the innermost.
            for span in reversed(known[: bisect.bisect_right(starts, asked)]):
                if span.end >= asked:
                    name = _region(span) or regions.OTHER
                    break
        split[name] += kernel.seconds
    return split


def _operators(trace: Trace, steps: int) -> list[dict[str, Any]]:
    """The operators with the most time of their own, on the device where there is one."""
    times, calls = Counter[str](), Counter[str]()
    for span, seconds in zip(trace.operators, self_times(trace.operators), strict=True):
        times[span.name] += seconds  # type: ignore[assignment]  # a Counter adds floats as well
        calls[span.name] += 1
    taken = _allocated(trace)
    return [
        {
            "name": name,
            "self_seconds": seconds / steps,
            "calls": calls[name] / steps,
            "allocated_bytes": taken[name] / steps,
        }
        for name, seconds in times.most_common(MOST_OPERATORS)
    ]


def _allocated(trace: Trace) -> Counter[str]:
    """Bytes that each operator itself took and did not give back, by the innermost around them."""
    found = Counter[str]()
    stacks: dict[Any, list[Span]] = defaultdict(list)
    pending = iter(trace.operators)
    following = next(pending, None)
    for allocation in trace.memory:
        while following is not None and following.start <= allocation.moment:
            stacks[following.thread].append(following)
            following = next(pending, None)
        stack = stacks[allocation.thread]
        while stack and stack[-1].end < allocation.moment:
            stack.pop()
        if stack:
            found[stack[-1].name] += allocation.size
    return found


def _memory(trace: Trace) -> dict[str, list[list[float]]]:
    """Bytes allocated since the start of the window: pairs of seconds and bytes, thinned out."""
    curves: dict[str, list[list[float]]] = {}
    for name, on_cpu in (("cpu", True), ("device", False)):
        total, curve = 0, []
        for allocation in trace.memory:
            if allocation.on_cpu is on_cpu:
                total += allocation.size
                curve.append([allocation.moment, float(total)])
        if curve:
            curves[name] = list(_thinned(curve))
    return curves


def _thinned(curve: list[list[float]]) -> Iterable[list[float]]:
    """The highest point of each of some equal parts: peaks stay."""
    length = max(1, len(curve) // MEMORY_POINTS)
    for start in range(0, len(curve), length):
        yield max(curve[start : start + length], key=lambda point: point[1])


def _problems(trace: Trace, stage: str, split: dict[str, float]) -> Iterable[str]:
    if not trace.steps:
        yield f"no step is marked ({STEP}N)"
    if not trace.operators:
        yield "it holds no operators"
    for name in regions.EXPECTED[stage]:
        if not split.get(name):
            yield f"no region {name!r} in its steps"
