"""Writes the operators of a few calls as a trace in the format of torch's profiler.

TensorBoard's plugin, Perfetto and chrome://tracing then show files of all runtimes alike.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Event = Mapping[str, Any]  # of a Chrome trace, as JSON holds it

_MICROSECONDS = 1e6


class Operation(NamedTuple):
    """One operator in one call."""

    call: int  # from 0
    name: str  # of the node
    kind: str  # as in Conv
    precision: str
    start: float  # seconds from any one moment
    seconds: float


def write(path: Path, operations: Iterable[Operation], runtime: str) -> None:
    """Write ``path``, a ``.json.gz``, with a step for each call and a span for each operator."""
    operations = list(operations)
    origin = min((operation.start for operation in operations), default=0.0)
    calls: dict[int, tuple[float, float]] = {}
    events: list[Event] = [
        {"ph": "M", "name": "process_name", "pid": 1, "tid": 0, "ts": 0, "args": {"name": runtime}}
    ]
    for number, operation in enumerate(operations):
        begin, seconds = operation.start, operation.seconds
        start, end = calls.get(operation.call, (begin, begin))
        calls[operation.call] = min(start, begin), max(end, begin + seconds)
        arguments = {
            "External id": number,
            "node": operation.name,
            "precision": operation.precision,
        }
        events.append(_span("cpu_op", operation.kind, begin - origin, seconds, arguments))
    for call, (start, end) in calls.items():
        events.append(
            _span("user_annotation", f"ProfilerStep#{call}", start - origin, end - start, {})
        )
    content = {
        "schemaVersion": 1,
        "deviceProperties": [],
        "displayTimeUnit": "ms",
        "traceEvents": events,
    }
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump(content, file)


def _span(
    category: str, name: str, start: float, seconds: float, arguments: Mapping[str, object]
) -> Event:
    return {
        "ph": "X",
        "cat": category,
        "name": name,
        "pid": 1,
        "tid": 1,
        "ts": start * _MICROSECONDS,
        "dur": seconds * _MICROSECONDS,
        "args": arguments,
    }
