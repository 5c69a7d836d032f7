"""Timelines in speedscope's file format."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from src.profiling.timeline import MAX_LAYERS, speedscope
from tests.profiling.traces import allocation, metadata, span, step, write

Timeline = dict[str, Any]
SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def check(timeline: Timeline) -> None:
    """Check what the schema and speedscope's importer demand."""
    assert set(timeline) == {"$schema", "exporter", "activeProfileIndex", "shared", "profiles"}
    assert timeline["$schema"] == SCHEMA
    assert 0 <= timeline["activeProfileIndex"] < len(timeline["profiles"])
    frames = timeline["shared"]["frames"]
    assert all(set(frame) == {"name"} and isinstance(frame["name"], str) for frame in frames)
    for profile in timeline["profiles"]:
        assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "events"}
        assert (profile["type"], profile["unit"]) == ("evented", "microseconds")
        stack: list[int] = []
        moment = profile["startValue"]
        for event in profile["events"]:
            assert set(event) == {"type", "frame", "at"}
            assert moment <= event["at"] <= profile["endValue"]
            moment = event["at"]
            if event["type"] == "O":
                assert 0 <= event["frame"] < len(frames)
                stack.append(event["frame"])
            else:
                assert event["type"] == "C"
                assert stack.pop() == event["frame"]
        assert not stack


def timeline_of(path: Path, *events: Any) -> Timeline:
    timeline = json.loads(gzip.decompress(speedscope(write(path / "t.json.gz", *events))))
    check(timeline)
    return timeline


def names(timeline: Timeline) -> list[str]:
    return [profile["name"] for profile in timeline["profiles"]]


def opened(timeline: Timeline, profile: int) -> list[tuple[str, float, float, int]]:
    """Return the name, start, end and depth of the spans of a profile by their start."""
    spans: list[list[Any]] = []
    stack: list[list[Any]] = []
    for event in timeline["profiles"][profile]["events"]:
        if event["type"] == "O":
            name = timeline["shared"]["frames"][event["frame"]]["name"]
            stack.append([name, event["at"], None, len(stack)])
            spans.append(stack[-1])
        else:
            stack.pop()[2] = event["at"]
    return [tuple(values) for values in spans]  # type: ignore[misc]


def test_spans_nest_as_they_did(tmp_path: Path) -> None:
    timeline = timeline_of(
        tmp_path,
        span("aten::conv2d", 2, 5),
        span("forward", 1, 6, "user_annotation"),
        step(4, 0, 9),
        span("net.py(3): forward", 1, 6, "python_function"),
        span("aten::relu", 5, 6),
        allocation(3, 10),
    )
    assert names(timeline) == ["main thread"]
    assert opened(timeline, 0) == [
        ("ProfilerStep#4", 0, 9000, 0),
        ("forward", 1000, 6000, 1),
        ("net.py(3): forward", 1000, 6000, 2),
        ("aten::conv2d", 2000, 5000, 3),
        ("aten::relu", 5000, 6000, 3),
    ]


def test_the_thread_with_the_steps_is_active_and_threads_are_named(tmp_path: Path) -> None:
    timeline = timeline_of(
        tmp_path,
        span("PyTorch Profiler (0)", 0, 20, "Trace", pid="Spans", tid="PyTorch Profiler"),
        span("sgemm", 5, 6, "kernel", pid=0, tid=7),
        span("pin", 5, 6, tid=4),
        span("autograd::engine::evaluate_function: AddBackward0", 0, 3, tid=2),
        span("elsewhere", 0, 3, tid=3),
        step(1, 2, 9, tid=99),
        metadata("thread_name", 1, 99, name="thread 99 (python)"),
        metadata("thread_name", 1, 4, name="thread 4 (pt_pin)"),
        metadata("thread_name", 0, 7, name="stream 7 "),
    )
    assert timeline["activeProfileIndex"] == 0
    assert names(timeline) == [
        "main thread",
        "thread 4 (pt_pin)",
        "autograd",
        "thread 3",
        "stream 7",
        "thread PyTorch Profiler",
    ]


def test_streams_of_several_devices_and_equal_names_are_told_apart(tmp_path: Path) -> None:
    timeline = timeline_of(
        tmp_path,
        span("a", 5, 6, "kernel", pid=0, tid=7),
        span("b", 5, 6, "kernel", pid=1, tid=7),
        metadata("process_labels", 1, 0, labels="GPU 1"),
        step(1, 0, 1, pid=50, tid=50),
        step(1, 0, 1, pid=51, tid=51),
    )
    assert names(timeline) == [
        "main thread (50 of process 50)",
        "main thread (51 of process 51)",
        "GPU 0 stream 7",
        "GPU 1 stream 7",
    ]


def test_an_end_that_is_rounded_beyond_its_parent_is_cut(tmp_path: Path) -> None:
    events = [span("outer", 0, 1), span("inner", 0.5, 1.000001), span("next", 1, 2)]
    timeline = timeline_of(tmp_path, *events)
    assert opened(timeline, 0) == [
        ("outer", 0, 1000, 0),
        ("inner", 500, 1000, 1),
        ("next", 1000, 2000, 0),
    ]


def test_overlapping_spans_are_in_a_profile_of_their_own(tmp_path: Path) -> None:
    events = [step(1, 0, 9), span("a", 1, 4), span("b", 3, 6), span("c", 5, 7), span("d", 5, 5.5)]
    timeline = timeline_of(tmp_path, *events)
    assert names(timeline) == ["main thread", "main thread, overlapping 1"]
    assert [name for name, *_ in opened(timeline, 0)] == ["ProfilerStep#1", "a", "c", "d"]
    assert [name for name, *_ in opened(timeline, 1)] == ["b"]


def test_more_layers_than_a_reader_can_use_are_refused(tmp_path: Path) -> None:
    events = [span("a", n, 100 + n) for n in range(MAX_LAYERS + 1)]
    timeline_of(tmp_path, *events[:-1])
    with pytest.raises(ValueError, match=f"more than {MAX_LAYERS} spans of a thread overlap"):
        timeline_of(tmp_path, *events)


def test_more_threads_than_a_reader_can_use_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.profiling.timeline.MAX_THREADS", 3)
    with pytest.raises(ValueError, match="more than 3 threads"):
        timeline_of(tmp_path, *(span("a", 0, 1, tid=n) for n in range(4)))


def test_a_trace_without_spans_has_no_timeline(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no spans"):
        timeline_of(tmp_path, allocation(1, 2))


def test_spans_without_duration_and_of_equal_times_are_all_shown(tmp_path: Path) -> None:
    events = [span(name, 1, 1) for name in "abc"] + [span("d", 1, 2), span("e", 1, 2)]
    timeline = timeline_of(tmp_path, *events)
    assert sorted(name for name, *_ in opened(timeline, 0)) == ["a", "b", "c", "d", "e"]


def test_a_hundred_thousand_nested_spans_are_shown(tmp_path: Path) -> None:
    depth = 100_000
    timeline = timeline_of(
        tmp_path, *(span("f", n / 1e3, (2 * depth - n) / 1e3) for n in range(depth))
    )
    assert max(level for *_, level in opened(timeline, 0)) == depth - 1


def test_a_timeline_of_many_events_is_one_json_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.profiling.timeline._EVENTS_AT_ONCE", 7)
    timeline = timeline_of(tmp_path, *(span(f"op{n % 5}", n, n + 1) for n in range(50)))
    assert len(timeline["shared"]["frames"]) == 5
    assert len(opened(timeline, 0)) == 50
