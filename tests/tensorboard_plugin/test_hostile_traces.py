"""Traces of a stranger, through the plugin and the real parsers."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.plugin_runs import SUFFIX, Server, window, write_run

STEP = (
    b'{"ph": "X", "name": "ProfilerStep#1", "cat": "user_annotation", '
    b'"ts": 0, "dur": 9, "tid": 1, "pid": 1}'
)
HEAD = b'{"traceEvents": ['
MEGABYTE = 2**20


def bomb(start: bytes, filling: bytes, megabytes: int) -> bytes:
    """Return a small gzip file of many megabytes."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = filling * (MEGABYTE // len(filling))
    return b"".join(
        [
            packer.compress(start),
            *(packer.compress(block) for _ in range(megabytes)),
            packer.flush(),
        ]
    )


TRACES = {
    "empty": b"",
    "no gzip": b"plain text",
    "half of a gzip file": gzip.compress(HEAD + b" " * 5000 + STEP + b"]}")[:60],
    "another compression": zlib.compress(HEAD + STEP + b"]}"),
    "no JSON": gzip.compress(b"<html>"),
    "a list": gzip.compress(b"[1, 2]"),
    "no events": gzip.compress(b'{"traceEvents": []}'),
    "events that are no objects": gzip.compress(b'{"traceEvents": [1, "x", null]}'),
    "deep": gzip.compress(b'{"traceEvents": ' + b"[" * 1_000_000),
    "deep in an event": gzip.compress(
        HEAD + b'{"args": ' + b"[" * 200_000 + b"]" * 200_000 + b"}]}"
    ),
    "a time that is no number": gzip.compress(
        HEAD + STEP.replace(b'"ts": 0', b'"ts": "x"') + b"]}"
    ),
    "an infinite time": gzip.compress(HEAD + STEP.replace(b'"ts": 0', b'"ts": 1e999') + b"]}"),
    "bytes that are no text": gzip.compress(HEAD + b'{"name": "\xff\xfe"}]}'),
}
# Packing them takes seconds, so it is left to the tests that read them.
LARGE = {
    "a name of 300 MB": lambda: bomb(HEAD + b'{"name": "', b"a", 300),
    "300 MB of white space": lambda: bomb(HEAD, b" ", 300),
}


@pytest.mark.parametrize(
    "make",
    [
        *(
            pytest.param(lambda content=content: content, id=name)
            for name, content in TRACES.items()
        ),
        *(pytest.param(make, id=name, marks=pytest.mark.slow) for name, make in LARGE.items()),
    ],
)
@pytest.mark.parametrize("path", ["operators", "timeline"])
def test_a_trace_that_is_none_is_named_in_a_sentence(
    tmp_path: Path, path: str, make: Callable[[], bytes]
) -> None:
    run = write_run(tmp_path / "version_0", window())
    name = f"train-rank0.0{SUFFIX}"
    (run / "profile" / name).write_bytes(make())
    sentence = Server(tmp_path).error(path, 422, run="version_0", trace="rank0-0", by="name")
    assert sentence.startswith(f"{name}: ")
    assert len(sentence) < 500


def test_text_of_a_trace_stays_text(tmp_path: Path) -> None:
    hostile = "</script><img src=x onerror=alert(1)>"
    run = write_run(tmp_path / "version_0", window())
    operator = {"ph": "X", "cat": "cpu_op", "name": hostile, "ts": 1, "dur": 2, "tid": 1, "pid": 1}
    events = {"traceEvents": [json.loads(STEP), operator]}
    (run / "profile" / f"train-rank0.0{SUFFIX}").write_bytes(
        gzip.compress(json.dumps(events).encode())
    )
    server = Server(tmp_path)
    query = {"run": "version_0", "trace": "rank0-0"}
    table = server.json("operators", **query, by="name")
    assert hostile in [row["name"] for row in table["operators"]]
    answer = server.get("timeline", query=query)
    assert answer.mimetype == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert hostile in str(answer.json)
