"""Hand-written traces for the tests."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec

from src.profiling.spans import Spans, collect
from src.profiling.trace_file import TraceEvent


def span(name: str, start: float, end: float, kind: str = "cpu_op", **args: Any) -> Any:
    """Return a trace event; ``start`` and ``end`` are in milliseconds."""
    return {
        "ph": "X",
        "cat": kind,
        "name": name,
        "pid": args.pop("pid", 1),
        "tid": args.pop("tid", 1),
        "ts": 1e9 + start * 1e3,
        "dur": (end - start) * 1e3,
        "args": args,
    }


def step(number: int, start: float, end: float, **args: Any) -> Any:
    return span(f"ProfilerStep#{number}", start, end, "user_annotation", **args)


def allocation(moment: float, size: int, device: int = 0) -> Any:
    return {
        "ph": "i",
        "cat": "cpu_instant_event",
        "name": "[memory]",
        "pid": 1,
        "tid": 1,
        "ts": 1e9 + moment * 1e3,
        "args": {"Bytes": size, "Device Type": device},
    }


def metadata(field: str, pid: int, tid: int, **args: Any) -> Any:
    return {"ph": "M", "name": field, "pid": pid, "tid": tid, "ts": 1e9, "args": args}


def spans_of(*events: Any) -> Spans:
    return collect([msgspec.json.decode(msgspec.json.encode(events), type=list[TraceEvent])])


def write(path: Path, *events: Any, indent: int | None = None) -> Path:
    """Write a trace as ``json.dump`` does it."""
    content = json.dumps({"schemaVersion": 1, "traceEvents": events}, indent=indent)
    path.write_bytes(gzip.compress(content.encode(), mtime=0))
    return path
