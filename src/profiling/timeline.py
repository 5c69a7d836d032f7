"""Timeline of a trace in speedscope's own file format.

The format: https://www.speedscope.app/file-format-schema.json. A profile is a thread of the host or
a stream of a device; its unit is the microsecond. Moments, arrows and counters have no length and
are not in it.
"""

from __future__ import annotations

import dataclasses
import enum
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from src.profiling.spans import (
    HOST,
    ROUNDING,
    STEP,
    Integers,
    Kind,
    Number,
    Spans,
    read_spans,
    tuples_of,
)

MAX_LAYERS = 16  # profiles of one thread
MAX_THREADS = 1000
_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_NANOSECONDS = 1000  # in a microsecond
_EVENTS_AT_ONCE = 50_000
_GZIP = 31  # wbits of zlib: a gzip header, the largest window
_LEVEL = 1  # of compression: as fast as the reading, and the reader is on this machine


class _Frame(msgspec.Struct, gc=False):
    name: str


class _Event(msgspec.Struct, gc=False):
    type: Literal["O", "C"]  # opened, closed
    frame: int
    at: float


def _integers() -> array[int]:
    return array("q")


@dataclass(frozen=True)
class _Layer:
    """Spans of a thread that nest: their frames, starts and ends in nanoseconds.

    They are ordered by start; an end is at most that of the span around it.
    """

    frames: array[int] = field(default_factory=_integers)
    starts: array[int] = field(default_factory=_integers)
    ends: array[int] = field(default_factory=_integers)
    open_ends: list[int] = field(default_factory=list)

    def add(self, frame: int, start: int, end: int) -> bool:
        """Add a span unless it only overlaps the one around it; return True if it was added."""
        open_ends = self.open_ends
        while open_ends and start >= open_ends[-1]:
            open_ends.pop()
        if open_ends and end > open_ends[-1]:
            if end > open_ends[-1] + ROUNDING:
                return False
            end = open_ends[-1]
        open_ends.append(end)
        self.frames.append(frame)
        self.starts.append(start)
        self.ends.append(end)
        return True


class _Place(enum.IntEnum):
    """Place of a thread's work, in the order of the profiles."""

    STEPS = 0
    HOST = 1
    DEVICE = 2
    OTHER = 3


@dataclass(frozen=True)
class _Thread:
    place: _Place
    name: str
    pid: Number
    tid: Number


@dataclass(frozen=True)
class _Profile:
    name: str
    layer: _Layer


def speedscope(path: Path) -> bytes:
    """Return the timeline of a ``.json.gz`` file: JSON that is compressed with gzip.

    The thread with the steps comes first and is the active profile. A span that overlaps another
    one without lying within it is in a further profile of its thread.

    Raises:
        ValueError: the file is damaged, is not a trace or is too large, has more than
            MAX_THREADS threads, or more than MAX_LAYERS spans of a thread overlap one another.
        OSError: the file could not be read.
    """
    spans = read_spans(path)
    if not len(spans):
        raise ValueError("it holds no spans")
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    pieces = [compressor.compress(piece) for piece in _json(spans)]
    return b"".join([*pieces, compressor.flush()])


def _json(spans: Spans) -> Iterator[bytes]:
    """Yield the file in pieces; as a whole it would take hundreds of bytes a span."""
    frames, frame = _frames(spans)
    head = {"$schema": _SCHEMA, "exporter": "Lightship", "activeProfileIndex": 0}
    yield msgspec.json.encode(head)[:-1] + b',"shared":{"frames":'
    yield msgspec.json.encode([_Frame(name) for name in frames]) + b'},"profiles":['
    end = int(spans.end.max(initial=0))
    for number, profile in enumerate(_profiles(spans, frame)):
        fields = {
            "type": "evented",
            "name": profile.name,
            "unit": "microseconds",
            "startValue": 0,
            "endValue": end / _NANOSECONDS,
        }
        yield b"," * (number > 0) + msgspec.json.encode(fields)[:-1] + b',"events":['
        separator = b""
        for events in _events(profile.layer):
            yield separator + msgspec.json.encode(events)[1:-1]
            separator = b","
        yield b"]}"
    yield b"]}"


def _frames(spans: Spans) -> tuple[list[str], Integers]:
    """Return the distinct names of spans, and for each span the position of its name.

    The name of an operator of an exported file is followed by its node in the file's graph.
    """
    pairs, frame = np.unique(
        spans.name.astype(np.int64) * len(spans.nodes) + spans.node, return_inverse=True
    )
    frames = []
    for pair in pairs.tolist():
        name, node = divmod(pair, len(spans.nodes))
        frames.append(f"{spans.names[name]} {spans.nodes[node]}".rstrip())
    return frames, frame


def _events(layer: _Layer) -> Iterator[list[_Event]]:
    """Yield the events of a profile, at most about _EVENTS_AT_ONCE together."""
    events: list[_Event] = []
    open_spans: list[tuple[int, int]] = []  # frame and end
    for frame, start, end in zip(layer.frames, layer.starts, layer.ends, strict=True):
        while open_spans and open_spans[-1][1] <= start:
            closed, at = open_spans.pop()
            events.append(_Event("C", closed, at / _NANOSECONDS))
        events.append(_Event("O", frame, start / _NANOSECONDS))
        open_spans.append((frame, end))
        if len(events) >= _EVENTS_AT_ONCE:
            yield events
            events = []
    events += [_Event("C", closed, at / _NANOSECONDS) for closed, at in reversed(open_spans)]
    if events:
        yield events


def _profiles(spans: Spans, frame: Integers) -> list[_Profile]:
    """Return the profiles in the order in which they are shown."""
    order = spans.outer_first(np.arange(len(spans)))
    parts = np.split(order, np.flatnonzero(np.diff(spans.thread[order])) + 1)
    if len(parts) > MAX_THREADS:
        raise ValueError(f"it holds more than {MAX_THREADS} threads")
    threads = [_thread(spans, part) for part in parts]
    devices = {thread.pid for thread in threads if thread.place is _Place.DEVICE}
    if len(devices) > 1:
        threads = [
            dataclasses.replace(thread, name=f"{_device(spans, thread.pid)} {thread.name}")
            if thread.place is _Place.DEVICE
            else thread
            for thread in threads
        ]
    occurrences = Counter(thread.name for thread in threads)
    profiles = []
    for position in sorted(range(len(parts)), key=lambda number: threads[number].place):
        thread = threads[position]
        name = thread.name
        if occurrences[name] > 1:
            name = f"{name} ({thread.tid} of process {thread.pid})"
        for number, layer in enumerate(_layers(spans, parts[position], frame)):
            profiles.append(_Profile(f"{name}, overlapping {number}" if number else name, layer))
    return profiles


def _thread(spans: Spans, part: Integers) -> _Thread:
    """Return the place and the name of the thread of some spans."""
    pid, tid = spans.threads[spans.thread[part[0]]]
    name = spans.thread_names.get((pid, tid))
    names = [spans.names[number] for number in np.unique(spans.name[part]).tolist()]
    kinds = set(spans.kind[part].tolist())
    if any(name.startswith(STEP) for name in names) and Kind.REGION in kinds:
        return _Thread(_Place.STEPS, "main thread", pid, tid)
    if any(name.startswith("autograd::engine") for name in names):
        return _Thread(_Place.HOST, "autograd", pid, tid)
    if kinds & {Kind.KERNEL, Kind.DEVICE_REGION}:
        return _Thread(_Place.DEVICE, name or f"stream {tid}", pid, tid)
    place = _Place.HOST if kinds & set(HOST) else _Place.OTHER
    return _Thread(place, name or f"thread {tid}", pid, tid)


def _device(spans: Spans, pid: Number) -> str:
    return spans.process_labels.get(pid) or f"GPU {pid}"


def _layers(spans: Spans, part: Integers, frame: Integers) -> list[_Layer]:
    """Return the spans of a thread as layers within each of which they nest."""
    layers: list[_Layer] = []
    for span in tuples_of(frame[part], spans.start[part], spans.end[part]):
        for layer in layers:
            if layer.add(*span):
                break
        else:
            if len(layers) == MAX_LAYERS:
                raise ValueError(f"more than {MAX_LAYERS} spans of a thread overlap one another")
            layers.append(_Layer())
            layers[-1].add(*span)
    return layers
