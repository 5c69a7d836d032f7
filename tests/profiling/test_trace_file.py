"""Reading of trace files: layouts, limits, damage and hostile content."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.backends.chrome_trace import Operation
from src.backends.chrome_trace import write as write_operations
from src.profiling import spans as spans_module
from src.profiling import trace_file
from src.profiling.operator_table import GROUPS, operator_table
from src.profiling.spans import Spans, read_spans
from src.profiling.timeline import speedscope
from src.profiling.trace import Trace
from tests.profiling.traces import allocation, metadata, span, step, write

READERS: list[Callable[[Path], object]] = [
    Trace.read,
    speedscope,
    *(lambda path, by=by: operator_table(path, by) for by in GROUPS),
]


def file_of(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content, mtime=0))
    return path


def events_of(spans: Spans) -> list[tuple[str, int, int]]:
    names = [spans.names[name] for name in spans.name.tolist()]
    return list(zip(names, spans.start.tolist(), spans.end.tolist(), strict=True))


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("block", [1, 50, 1000, 1 << 20])
def test_an_event_is_read_once_wherever_the_blocks_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indent: int | None, block: int
) -> None:
    hostile = 'a}, {"ph": "X"}, {"ph'
    events = [span(f"{hostile}{n}", n, n + 0.5, node='}, {"ph"') for n in range(40)]
    monkeypatch.setattr(trace_file, "_BLOCK_BYTES", block)
    read = events_of(read_spans(write(tmp_path / "t.json.gz", *events, indent=indent)))
    expected = [
        (f"{hostile}{n}", n * 1_000_000, n * 1_000_000 + 500_000) for n in range(len(events))
    ]
    assert read == expected


def test_events_are_decoded_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.json.gz", *(span("a", n, n + 1) for n in range(100)))
    monkeypatch.setattr(trace_file, "_BLOCK_BYTES", 1)
    sizes = [len(events) for events in trace_file.read_events(path)]
    assert sizes == [1] * 100


def test_an_event_may_begin_with_another_field(tmp_path: Path) -> None:
    events = [dict(reversed(span(f"op{n}", n, n + 1).items())) for n in range(9)]
    assert len(read_spans(write(tmp_path / "t.json.gz", *events))) == 9


def test_a_gzip_file_may_have_several_members_and_padding(tmp_path: Path) -> None:
    content = json.dumps({"traceEvents": [span("a", 0, 1)]}).encode()
    path = tmp_path / "t.json.gz"
    path.write_bytes(gzip.compress(content[:20]) + gzip.compress(content[20:]) + b"\0" * 9)
    assert len(read_spans(path)) == 1


def test_a_trace_of_an_exported_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.json.gz"
    write_operations(
        path,
        [Operation(call, "/conv1", "Conv", "int8", call + 0.1, 0.5) for call in range(3)],
        "ONNX Runtime",
    )
    table = operator_table(path, "name")
    conv, steps = sorted(table.operators, key=lambda row: row.name)
    assert (table.steps, conv.name, conv.calls, steps.name) == (3, "Conv", 3, "ProfilerStep*")
    assert conv.self_seconds == pytest.approx(1.5)
    frames = json.loads(gzip.decompress(speedscope(path)))["shared"]["frames"]
    assert {"name": "Conv /conv1"} in frames


@pytest.mark.parametrize("read", READERS)
def test_a_gzip_bomb_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Callable[[Path], object]
) -> None:
    path = file_of(tmp_path / "t.json.gz", b'{"traceEvents": [' + b" " * 3_000_000 + b"]}")
    monkeypatch.setattr(trace_file, "MAX_JSON_BYTES", 1_000_000)
    monkeypatch.setattr(trace_file, "_BLOCK_BYTES", 10_000)
    with pytest.raises(ValueError, match="more than 1000000 bytes of JSON"):
        read(path)


def test_an_event_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = file_of(tmp_path / "t.json.gz", b'{"traceEvents": [' + b" " * 3_000_000 + b"]}")
    monkeypatch.setattr(trace_file, "MAX_PENDING_BYTES", 1_000_000)
    monkeypatch.setattr(trace_file, "_BLOCK_BYTES", 10_000)
    with pytest.raises(ValueError, match="no event ends in 1000000 bytes"):
        read_spans(path)


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("MAX_EVENTS", "more than 5 events"),
        ("MAX_TEXT_BYTES", "distinct names take more than 5 bytes"),
        ("MAX_THREADS", "more than 5 threads"),
    ],
)
def test_what_would_take_too_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, message: str
) -> None:
    monkeypatch.setattr(spans_module, limit, 5)
    path = write(tmp_path / "t.json.gz", *(span(f"op{n}", n, n + 1, tid=n) for n in range(6)))
    with pytest.raises(ValueError, match=message):
        read_spans(path)


DEEP = 100_000
GOOD = b'{"ph": "X", "name": "a", "cat": "cpu_op", "ts": 1, "dur": 1}'


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "content",
    [
        b'{"traceEvents": [' + b"[" * DEEP + b"]" * DEEP + b"]}",
        b'{"a": ' + b'{"a": ' * DEEP + b"1" + b"}" * DEEP + b', "traceEvents": []}',
        b'{"traceEvents": [{"ph": "X", "args": {"Input Dims": '
        + b"[" * DEEP
        + b"]" * DEEP
        + b"}}]}",
        b'{"traceEvents": [' + GOOD,
        b'{"traceEvents": [' + GOOD + b", " + GOOD + b", nonsense]}",
        b'{"traceEvents": [' + GOOD + b"]} and more",
        b'{"traceEvents": [' + GOOD.replace(b"1}", b"NaN}") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b"1}", b"1e999}") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b"1}", b"1e300}") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b"1}", b"null}") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b"1}", b'"1"}') + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b"1,", b"-1e300,") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b', "dur": 1', b"") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b'"ts": 1, ', b"") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b'"a"', b"[1]") + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b'"a"', b'"\\ud800"') + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b'"a"', b'"\xff"') + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b"1}", b'1, "args": 3}') + b"]}",
        b'{"traceEvents": [' + GOOD.replace(b"1}", b'1, "pid": [1]}') + b"]}",
        b'{"traceEvents": [{"ph": "i", "name": "[memory]", "ts": 1, "args": {"Bytes": "x"}}]}',
        b'{"traceEvents": [{"ph": "i", "name": "[memory]", "ts": 1, "args": {"Bytes": 1e400}}]}',
        b'{"traceEvents": [{"ph": "i", "name": "[memory]", "args": {"Bytes": 1}}]}',
        b'{"other": [' + GOOD + b", " + GOOD + b"]}",
        b"null",
    ],
    ids=range(24),
)
def test_damaged_content_ends_in_one_sentence(
    tmp_path: Path, read: Callable[[Path], object], content: bytes
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{5,150}$") as raised:
        read(file_of(tmp_path / "t.json.gz", content))
    assert "trace" in str(raised.value)


def test_odd_but_readable_content_is_shown(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    events = [
        step(1, 0, 9),
        span(name, 1, 2, "python_function", **{"Python id": 1, "Python parent id": 1}),
        span("backwards", 3, 2),  # ends before it starts
        span("", 4, 5, tid="a thread"),
        span(name, -1e9, -1e9 + 1),
        {**span("x", 4, 5), "pid": 1.5, "unknown": {"deep": [1]}},
        {"ph": "M", "name": "thread_name", "pid": 1, "tid": "a thread", "args": {"name": 5}},
        {"ph": "Z"},
        {},
        allocation(4, -(2**53)),
        metadata("process_labels", 1, 1, labels="<b>"),
    ]
    path = write(tmp_path / "t.json.gz", *events)
    rows = operator_table(path, "stack").operators
    assert {row.name for row in rows} >= {name, "", "x", "ProfilerStep*"}
    assert [row.total_seconds for row in rows if row.name == "backwards"] == [0]
    assert all(row.self_seconds >= 0 for row in rows)
    assert name in gzip.decompress(speedscope(path)).decode()


@pytest.mark.parametrize("seed", range(5))
def test_a_file_with_changed_bytes_is_read_or_ends_in_value_error(
    tmp_path: Path, seed: int
) -> None:
    source = random.Random(seed)
    whole = json.dumps({"traceEvents": [step(1, 0, 9), span("a", 1, 2), allocation(1, 2)]}).encode()
    for number in range(60):
        content = bytearray(whole)
        for _ in range(source.randint(1, 4)):
            content[source.randrange(len(content))] = source.choice(b'0"[]{},:-e\\n ')
        path = file_of(tmp_path / f"{number}.json.gz", bytes(content))
        for read in READERS:
            with contextlib.suppress(ValueError):
                read(path)


@pytest.mark.parametrize("read", READERS)
def test_a_file_that_cannot_be_read_is_not_told_to_be_damaged(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.json.gz")


@pytest.mark.parametrize("megabytes", [2, 30])
def test_more_objects_than_fit_into_memory_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megabytes: int
) -> None:
    content = b'{"traceEvents":[' + b"{}," * (megabytes * 2**20 // 3) + b"{}]}"
    path = file_of(tmp_path / "t.json.gz", content)
    monkeypatch.setattr(trace_file, "MAX_OBJECTS", 500_000)

    def decode(content: bytes) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(trace_file, "_DECODER", SimpleNamespace(decode=decode))
    with pytest.raises(ValueError, match=r"not a trace of torch .more than 500000 objects"):
        read_spans(path)
