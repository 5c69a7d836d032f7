"""Spans of a trace as columns: an event takes tens of bytes instead of several Python objects."""

from __future__ import annotations

import enum
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from src.profiling.trace_file import TraceEvent, read_events

MAX_EVENTS = 6_000_000
MAX_TEXT_BYTES = 1 << 28  # of the distinct names, shapes and stacks
MAX_THREADS = 10_000
MEMORY = "[memory]"
STEP = "ProfilerStep#"
ROUNDING = 2  # nanoseconds: times in a trace are microseconds as floats
_CPU = 0  # kineto's number of this device type
_ADDRESS = re.compile(r"^(<built-in .*) at 0x[0-9a-f]+>$")
_ENTRY_BYTES = 100  # of a dictionary, beside the text
_MAX_LABEL = 200  # characters
_ROWS_AT_ONCE = 10_000
_LATEST = 4e15  # microseconds, 127 years; nanoseconds of it fit into 64 bits

Booleans = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.signedinteger[Any]]
Floats = npt.NDArray[np.float64]


class Kind(enum.IntEnum):
    """Kinds of spans."""

    OPERATOR = 0
    REGION = 1
    PYTHON = 2
    RUNTIME = 3  # a call of the device's runtime on the host
    KERNEL = 4  # work on a device, copies included
    DEVICE_REGION = 5
    OTHER = 6  # shown in the timeline only


HOST = (Kind.OPERATOR, Kind.REGION, Kind.PYTHON, Kind.RUNTIME)

_KINDS = {
    "cpu_op": Kind.OPERATOR,
    "user_annotation": Kind.REGION,
    "python_function": Kind.PYTHON,
    "cuda_runtime": Kind.RUNTIME,
    "cuda_driver": Kind.RUNTIME,
    "overhead": Kind.RUNTIME,
    "kernel": Kind.KERNEL,
    "gpu_memcpy": Kind.KERNEL,
    "gpu_memset": Kind.KERNEL,
    "gpu_user_annotation": Kind.DEVICE_REGION,
}
# torch leaves them out of key_averages (torch/autograd/profiler_util.py, _filter_name).
_HIDDEN = {
    "profiler::_record_function_enter",
    "profiler::_record_function_enter_new",
    "profiler::_record_function_exit",
    "aten::is_leaf",
    "aten::output_nr",
    "aten::_version",
}
Number = int | str | float  # of a process or a thread
Thread = tuple[Number, Number]  # pid and tid


@dataclass(frozen=True)
class Spans:
    """The spans of a trace, in the order of the file, and its allocations, ordered by time.

    A column has a value for each span. Times are in nanoseconds from the start of the trace. The
    columns ``name``, ``thread``, ``shape``, ``call_stack`` and ``node`` hold positions in the lists
    of distinct values.
    """

    names: list[str]
    threads: list[Thread]
    shapes: list[bytes]  # JSON; b"" if they were not recorded
    call_stacks: list[str]
    nodes: list[str]  # of the graph of an exported file
    name: Integers
    thread: Integers
    shape: Integers
    call_stack: Integers
    node: Integers
    kind: Integers
    start: Integers
    end: Integers
    external_id: Integers  # of an operator, or of the operator that launched the kernel
    correlation: Integers  # of a kernel and of the call that launched it
    sequence: Integers  # number of a node of the autograd graph
    is_backward: Booleans

    # Allocations; a release has a negative size.
    moment: Integers
    size: Integers  # bytes
    on_cpu: Booleans

    thread_names: dict[Thread, str]
    process_labels: dict[Number, str]

    def __len__(self) -> int:
        return len(self.name)

    def outer_first(self, positions: Integers) -> Integers:
        """Return positions of spans by thread and start, each span before those within it.

        Of spans with the same times a region comes first, then the one that is first in the file.
        """
        return positions[
            np.lexsort(
                (
                    self.kind[positions] != Kind.REGION,
                    -self.end[positions],
                    self.start[positions],
                    self.thread[positions],
                )
            )
        ]


def read_spans(path: Path) -> Spans:
    """Read a ``.json.gz`` file.

    Raises:
        ValueError: the file is damaged, is not a trace or is too large.
        OSError: the file could not be read.
    """
    return collect(read_events(path))


def collect(blocks: Iterable[Sequence[TraceEvent]]) -> Spans:
    """Return the spans and allocations of the events.

    Raises:
        ValueError: there are no events, too many, or one without its times.
    """
    collector = _Collector()
    for block in blocks:
        collector.add(block)
    return collector.finish()


class _Positions(dict[Any, int]):
    """Positions of distinct values, in the order of the first look-up."""

    def __init__(self) -> None:
        super().__init__()
        self._bytes = 0

    def __missing__(self, value: object) -> int:
        self._bytes += len(repr(value)) + _ENTRY_BYTES
        if self._bytes > MAX_TEXT_BYTES:
            raise ValueError(f"its distinct names take more than {MAX_TEXT_BYTES} bytes")
        position = self[value] = len(self)
        return position


class _Collector:
    """Columns of the events so far, in parts."""

    def __init__(self) -> None:
        # Positions of the distinct values, in the order of the first look-up.
        self._positions = {
            column: _Positions() for column in ("name", "thread", "shape", "call_stack", "node")
        }
        self._parts: dict[str, list[npt.NDArray[Any]]] = defaultdict(list)
        self._moments: list[float] = []
        self._thread_names: dict[Thread, str] = {}
        self._process_labels: dict[Number, str] = {}
        self._events = 0

    def add(self, block: Sequence[TraceEvent]) -> None:
        self._events += len(block)
        if self._events > MAX_EVENTS:
            raise ValueError(f"it holds more than {MAX_EVENTS} events")
        spans = [event for event in block if event.ph == "X"]
        arguments = [event.args for event in spans]
        names, threads, shapes, call_stacks, nodes = self._positions.values()
        self._add("name", np.int32, [names[event.name] for event in spans])
        self._add("thread", np.int32, [threads[event.pid, event.tid] for event in spans])
        self._add("shape", np.int32, [shapes[bytes(args.input_dims)] for args in arguments])
        self._add("call_stack", np.int32, [call_stacks[args.call_stack] for args in arguments])
        self._add("node", np.int32, [nodes[args.node] for args in arguments])
        self._add("kind", np.int8, [_KINDS.get(event.cat, Kind.OTHER) for event in spans])
        self._add("start", np.float64, [event.ts for event in spans])
        self._add("duration", np.float64, [event.dur for event in spans])
        self._add("external_id", np.int64, [args.external_id for args in arguments])
        self._add("correlation", np.int64, [args.correlation for args in arguments])
        self._add("sequence", np.int64, [args.sequence for args in arguments])
        self._add("is_backward", np.bool_, [args.forward_thread > 0 for args in arguments])
        others = [event for event in block if event.ph != "X"]
        memory = [event for event in others if event.name == MEMORY]
        self._add("moment", np.float64, [event.ts for event in memory])
        self._add("size", np.int64, [event.args.size for event in memory])
        self._add("on_cpu", np.bool_, [event.args.device_type == _CPU for event in memory])
        self._moments += [event.ts for event in others if event.ph == "i"]
        self._add_metadata([event for event in others if event.ph == "M"])

    def _add(self, column: str, kind: type[np.generic], values: list[Any]) -> None:
        self._parts[column].append(np.fromiter(values, kind, len(values)))

    def _add_metadata(self, events: list[TraceEvent]) -> None:
        for event in events:
            if event.name == "thread_name":
                self._thread_names[event.pid, event.tid] = str(event.args.name).strip()[:_MAX_LABEL]
            elif event.name == "process_labels":
                self._process_labels[event.pid] = event.args.labels.strip()[:_MAX_LABEL]

        if max(len(self._thread_names), len(self._positions["thread"])) > MAX_THREADS:
            raise ValueError(f"it holds more than {MAX_THREADS} threads")

    def finish(self) -> Spans:
        """Return the columns."""
        if not self._events:
            raise ValueError("it holds no events")
        columns = {column: np.concatenate(parts) for column, parts in self._parts.items()}
        starts, moments = columns["start"], columns["moment"]
        durations = np.maximum(columns["duration"], 0)  # clocks of devices drift
        all_moments = np.concatenate([starts, moments, np.asarray(self._moments, np.float64)])
        for times in (all_moments, durations):
            if not (np.abs(times) <= _LATEST).all():  # NaN, too
                raise ValueError("not a trace (an event has no time, or one out of range)")
        origin = all_moments.min(initial=_LATEST)
        order = np.argsort(moments, kind="stable")
        start = _nanoseconds(starts - origin)
        names, positions = _without_addresses(list(self._positions["name"]))
        name = positions[columns["name"]]
        is_hidden = np.array([name in _HIDDEN for name in names], np.bool_)
        columns["kind"][is_hidden[name]] = Kind.OTHER
        return Spans(
            names=names,
            threads=list(self._positions["thread"]),
            shapes=list(self._positions["shape"]),
            call_stacks=list(self._positions["call_stack"]),
            nodes=list(self._positions["node"]),
            name=name,
            thread=columns["thread"],
            shape=columns["shape"],
            call_stack=columns["call_stack"],
            node=columns["node"],
            kind=columns["kind"],
            start=start,
            end=start + _nanoseconds(durations),
            external_id=columns["external_id"],
            correlation=columns["correlation"],
            sequence=columns["sequence"],
            is_backward=columns["is_backward"],
            moment=_nanoseconds(moments - origin)[order],
            size=columns["size"][order],
            on_cpu=columns["on_cpu"][order],
            thread_names=self._thread_names,
            process_labels=self._process_labels,
        )


def _without_addresses(names: list[str]) -> tuple[list[str], Integers]:
    """Return the distinct names without addresses of objects, and the position of each name."""
    positions: dict[str, int] = {}
    numbers = [positions.setdefault(_ADDRESS.sub(r"\1>", name), len(positions)) for name in names]
    return list(positions), np.array(numbers, np.int32)


def tuples_of(*columns: npt.NDArray[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the values of each row of equally long columns, with few of them in memory."""
    for first in range(0, len(columns[0]), _ROWS_AT_ONCE):
        yield from zip(
            *(column[first : first + _ROWS_AT_ONCE].tolist() for column in columns), strict=True
        )


def _nanoseconds(microseconds: Floats) -> Integers:
    return np.rint(microseconds * 1000).astype(np.int64)
