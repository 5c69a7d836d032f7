"""Reader of the events of a trace file, in blocks and within a bounded memory.

Typed structs of msgspec are decoded at 350 MB of JSON a second, dictionaries at 45 (msgspec) or 41
(json); a window of 20 MB, which is 390 MB of JSON, then takes 0.23 GB of memory instead of several.

The format is Chrome's, which TensorBoard's plugin, Perfetto and chrome://tracing open:
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import msgspec

MAX_JSON_BYTES = 2 << 30  # decompressed; a trace of 90 MB
MAX_PENDING_BYTES = 64 << 20  # JSON that is decoded at once
MAX_OBJECTS = 1_000_000  # in it; torch's have at most 8,100, as they are decoded in small parts
_BLOCK_BYTES = 1 << 20  # so that the objects of a block stay in the cache of the processor
_GZIP = 31  # wbits of zlib: a gzip header, the largest window

# The end of an event before the start of another, as torch and src/backends/chrome_trace.py write
# them. It cannot lie within a JSON string, where the quotation marks would be escaped.
_BETWEEN_EVENTS = re.compile(rb'(.*\})\s{0,99},\s{0,99}(?=\{\s{0,99}"ph")', re.DOTALL)
_BETWEEN_BYTES = 400  # at most

Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]  # exact as a float


class Arguments(msgspec.Struct, frozen=True, gc=False):
    """The arguments of an event that figures are made from."""

    external_id: Number = msgspec.field(default=0, name="External id")
    correlation: Number = 0
    input_dims: msgspec.Raw = msgspec.field(default=msgspec.Raw(b""), name="Input Dims")
    sequence: Number = msgspec.field(default=-1, name="Sequence number")
    forward_thread: Number = msgspec.field(default=0, name="Fwd thread id")
    call_stack: str = msgspec.field(default="", name="Call stack")
    size: Number = msgspec.field(default=0, name="Bytes")
    device_type: Number = msgspec.field(default=-1, name="Device Type")
    node: str = ""  # in the traces of exported files
    name: str | int = ""  # of a thread or process, in metadata
    labels: str = ""  # of a process, in metadata


_NO_ARGUMENTS = Arguments()


class TraceEvent(msgspec.Struct, gc=False):
    """An event of a Chrome trace; times are in microseconds.

    ``ph`` is its kind: ``X`` a span, ``i`` a moment, ``M`` metadata, ``s`` and ``f`` the ends of an
    arrow.
    """

    ph: str = ""
    cat: str = ""
    name: str = "unnamed"
    pid: int | str | float = 0
    tid: int | str | float = 0
    ts: float = float("nan")
    dur: float = float("nan")
    args: Arguments = _NO_ARGUMENTS


class _Content(msgspec.Struct):
    events: list[TraceEvent] = msgspec.field(name="traceEvents")


_DECODER = msgspec.json.Decoder(_Content)


def read_events(path: Path) -> Iterator[list[TraceEvent]]:
    """Yield the events of a ``.json.gz`` file, some ten thousand at a time.

    Raises:
        ValueError: the file is damaged, is not a trace or is too large.
        OSError: the file could not be read.
    """
    pending, start = b"", b""
    for block in _ahead(_decompressed(path)):
        searched = max(0, len(pending) - _BETWEEN_BYTES)
        pending += block
        if between := _BETWEEN_EVENTS.match(pending, searched):
            yield _decode(b"".join((start, memoryview(pending)[: between.end(1)], b"]}")))
            pending, start = pending[between.end() :], b'{"traceEvents":['
        if len(pending) > MAX_PENDING_BYTES:
            raise ValueError(f"not a trace of torch (no event ends in {MAX_PENDING_BYTES} bytes)")
    yield _decode(start + pending)


def _decode(content: bytes) -> list[TraceEvent]:
    # Three bytes of JSON, "{},", would become an object of a hundred bytes.
    if content.count(b"{") > MAX_OBJECTS:
        raise ValueError(f"not a trace of torch (more than {MAX_OBJECTS} objects in one part)")
    try:
        return _DECODER.decode(content).events
    except RecursionError as error:
        raise ValueError("not a trace (its JSON is nested too deeply)") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The number of the byte is one within the block.
        reason = str(error).partition(" (byte ")[0]
        raise ValueError(f"not a trace ({reason})") from error


def _decompressed(path: Path) -> Iterator[bytes]:
    """Yield the content of a gzip file in blocks, with its checksums checked.

    Raises:
        ValueError: the file is damaged or too large.
        OSError: the file could not be read, which says nothing about its content.
    """
    size = 0
    member = zlib.decompressobj(_GZIP)
    try:
        with path.open("rb") as file:
            compressed = file.read(_BLOCK_BYTES)
            while compressed:
                block = member.decompress(compressed, _BLOCK_BYTES)
                size += len(block)
                if size > MAX_JSON_BYTES:
                    raise ValueError(f"it holds more than {MAX_JSON_BYTES} bytes of JSON")
                yield block
                if not member.eof:
                    compressed = member.unconsumed_tail or file.read(_BLOCK_BYTES)
                    continue
                # Zeros or a further member may follow.
                compressed = (member.unused_data or file.read(_BLOCK_BYTES)).lstrip(b"\0")
                if compressed:
                    member = zlib.decompressobj(_GZIP)
        yield member.flush()
    except zlib.error as error:
        raise ValueError(f"not a whole gzip file ({error})") from error
    if not member.eof:
        raise ValueError("not a whole gzip file (its end is missing)")


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the blocks and decompress each while the one before is decoded."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, blocks, None)
        while (block := following.result()) is not None:
            following = pool.submit(next, blocks, None)
            yield block
