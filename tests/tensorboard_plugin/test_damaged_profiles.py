"""Runs of a stranger: damaged profiles and traces, and names that are no names."""

from __future__ import annotations

import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from src.run.training_profile import TrainingProfile
from src.tensorboard_plugin import traces, training_profiles
from tests.support.plugin_runs import (
    SUFFIX,
    Server,
    rank_file,
    window,
    write_run,
    write_trace,
)

HOSTILE = "<img src=x onerror=alert(1)>"


def damaged(folder: Path, content: str | bytes) -> None:
    text = content.encode() if isinstance(content, str) else content
    (folder / "profile" / "rank1.json").write_bytes(text)


DEEP = "[" * 200_000
DAMAGED = {
    "empty": "",
    "no JSON": "{",
    "deep": '{"schema_version": 1, "windows": ' + DEEP,
    "deep and closed": '{"schema_version": 1, "windows": ' + DEEP + "]" * 200_000 + "}",
    "another version": json.dumps(rank_file(rank=1, schema_version=7)),
    "another rank": json.dumps(rank_file(rank=3)),
    "a list": "[]",
    "NaN": json.dumps(rank_file(window(step_seconds=[float("nan")]), rank=1)),
    "infinite": json.dumps(rank_file(window(), rank=1)).replace("0.25", "1e999"),
    "a negative time": json.dumps(rank_file(window(step_seconds=[-1.0]), rank=1)),
    "an unknown stage": json.dumps(rank_file(window(stage="<b>"), rank=1)),
    "a path": json.dumps(rank_file(window(file="../rank0.json"), rank=1)),
    "an absolute path": json.dumps(rank_file(window(file="/etc/passwd"), rank=1)),
    "a folder": json.dumps(rank_file(window(file=f"inference/x{SUFFIX}"), rank=1)),
    "a lone surrogate": json.dumps(rank_file(rank=1, notes=["\ud800"])),
    "a text for a number": json.dumps(rank_file(window(epoch="1"), rank=1)),
    "no UTF-8": b"\xff\xfe\x00",
    "a long number": '{"schema_version": ' + "9" * 10_000 + "}",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_rank_is_named_and_the_others_are_shown(
    server: Server, logs: Path, run: str, content: str | bytes
) -> None:
    damaged(logs / run, content)
    for path in ("overview", "traces"):
        shown = server.json(path, run=run)
        [problem] = shown["problems"]
        assert problem.startswith("profile/rank1.json")
        assert len(problem) < 1000
        assert shown.get("traces") or [rank["rank"] for rank in shown["ranks"]] == [0]


def test_a_rank_larger_than_any_is_not_read(
    server: Server, logs: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged(logs / run, " " * 5000)
    monkeypatch.setattr(training_profiles, "_MAX_BYTES", 4999)
    assert server.json("overview", run=run)["problems"] == [
        "profile/rank1.json has 5000 bytes: not read"
    ]


def test_more_ranks_than_can_be_shown_are_counted(
    server: Server, logs: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for rank in range(1, 4):
        write_run(logs / run, window(file=None), rank=rank)
    monkeypatch.setattr(training_profiles, "_MAX_RANKS", 2)
    shown = server.json("overview", run=run)
    assert [rank["rank"] for rank in shown["ranks"]] == [0, 1]
    assert shown["problems"] == ["4 ranks: only the first 2 are shown"]


def test_windows_without_time_or_steps_are_shown(logs: Path) -> None:
    write_run(logs / "version_0", window(step_seconds=[0.0, 0.0]), window("val", step_seconds=[]))
    [rank] = Server(logs).json("overview", run="version_0")["ranks"]
    assert len(rank["windows"]) == 2


def test_text_of_a_run_stays_text(logs: Path) -> None:
    write_run(
        logs / HOSTILE.replace("/", ""),
        window(problems=[HOSTILE]),
        notes=[HOSTILE],
    )
    server = Server(logs)
    name = server.json("runs")["runs"][0]["name"]
    answer = server.get("overview", query={"run": name})
    assert answer.mimetype == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.json["ranks"][0]["advice"][-1] == f"{HOSTILE}."
    assert answer.json["ranks"][0]["windows"][0]["problems"] == [HOSTILE]


def test_time_of_a_part_that_is_not_known_counts_as_other(logs: Path) -> None:
    seconds = {HOSTILE: 0.1, "forward": 0.2, "": 0.3}
    write_run(logs / "version_0", window(regions=seconds, device={"x": 1.0, "other": 2.0}))
    shown = Server(logs).json("overview", run="version_0")
    [rank] = shown["ranks"]
    assert rank["windows"][0]["regions"] == pytest.approx({"forward": 0.2, "other": 0.4})
    assert rank["windows"][0]["device"] == {"other": 3.0}
    assert shown["parts"] == ["forward", "other"]
    largest = sys.float_info.max
    write_run(logs / "version_0", window(regions={"x": largest, "y": largest}))
    [rank] = Server(logs).json("overview", run="version_0")["ranks"]
    assert rank["windows"][0]["regions"] == {"other": largest}


def test_curves_of_memory_are_thinned_and_none_is_empty(logs: Path) -> None:
    points = [[float(n), float(n % 7)] for n in range(20_000)]
    points[12_345][1] = 1e9
    short = [[float(n), 1.0] for n in range(300)]
    write_run(logs / "version_0", window(memory={"cpu": points, "device": [], "short": short}))
    [rank] = Server(logs).json("overview", run="version_0")["ranks"]
    memory = rank["windows"][0]["memory"]
    assert set(memory) == {"cpu", "short"}
    assert 200 < len(memory["cpu"]) <= 600
    assert [12_345.0, 1e9] in memory["cpu"]
    assert memory["short"] == short


def test_labels_are_made_once_for_all_windows(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(logs / "version_0", *(window(epoch=epoch, file=None) for epoch in range(50)))
    counted = []
    labels = TrainingProfile.labels
    assert labels.fget is not None
    make = labels.fget

    def counting(profile: TrainingProfile) -> list[str]:
        counted.append(1)
        return list(make(profile))

    monkeypatch.setattr(TrainingProfile, "labels", property(counting))
    [rank] = Server(logs).json("overview", run="version_0")["ranks"]
    assert len(rank["windows"]) == 50
    assert len(counted) <= 2


def test_more_windows_than_can_be_shown_are_counted(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(logs / "version_0", *(window(epoch=epoch) for epoch in range(5)))
    monkeypatch.setattr(training_profiles, "_MAX_WINDOWS", 3)
    server = Server(logs)
    overview, traces = (server.json(path, run="version_0") for path in ("overview", "traces"))
    assert len(overview["ranks"][0]["windows"]) == len(traces["traces"]) == 3
    problem = "profile/rank0.json has 5 windows: only the first 3 are shown"
    assert overview["problems"] == traces["problems"] == [problem]


def test_a_trace_that_is_missing_is_named(logs: Path) -> None:
    folder = write_run(logs / "version_0", window(), window("val"))
    name = f"train-rank0.0{SUFFIX}"
    (folder / "profile" / name).unlink()
    server = Server(logs)
    shown = server.json("overview", run="version_0")
    assert shown["problems"] == [f"profile/{name} is missing"]
    assert [shown["trace"] for shown in shown["ranks"][0]["windows"]] == [None, "rank0-1"]


@pytest.mark.parametrize("place", ["train", "inference"])
@pytest.mark.parametrize("kind", ["link out", "pipe", "link to itself"])
def test_a_trace_that_is_no_file_of_the_run_is_named_and_not_opened(
    logs: Path, tmp_path: Path, place: str, kind: str
) -> None:
    folder = write_run(logs / "version_0") / "profile"
    path = folder / (f"train-rank0.0{SUFFIX}" if place == "train" else f"inference/x-cpu{SUFFIX}")
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    secret = write_trace(tmp_path / "secret")
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(secret if kind == "link out" else path)
    server = Server(logs)
    listed = server.json("traces", run="version_0")
    assert [trace["id"] for trace in listed["traces"]] == ["rank0-0"] * (place == "inference")
    [problem] = listed["problems"]
    assert "cannot be shown" in problem


def test_a_trace_that_becomes_a_pipe_is_not_waited_for(
    server: Server, logs: Path, run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = logs / run / "pipe"
    os.mkfifo(pipe)
    find = traces.find

    def found(run: Any, profiles: Any) -> traces.RunTraces:
        listed = find(run, profiles).by_id["rank0-0"].listed
        return traces.RunTraces({"rank0-0": traces.FoundTrace(listed, pipe)}, [])

    monkeypatch.setattr(traces, "find", found)
    assert "is no regular file" in server.error("download", 422, run=run, trace="rank0-0")


def test_a_window_may_name_traces_only(logs: Path) -> None:
    folder = write_run(logs / "version_0", window(file="rank0.json"))
    (folder / "profile" / "rank0.json").write_text(json.dumps(rank_file(window(file="rank0.json"))))
    listed = Server(logs).json("traces", run="version_0")
    assert listed["traces"] == []
    assert "profile/rank0.json is no trace" in listed["problems"][0]


def test_a_name_of_a_trace_is_safe_in_a_header(logs: Path) -> None:
    folder = write_run(logs / "version_0")
    name = 'a"\r\nSet-Cookie: x=1\r\n<b>ü-cpu'
    write_trace(folder / "profile" / "inference" / f"{name}{SUFFIX}")
    server = Server(logs)
    trace = server.json("traces", run="version_0")["traces"][1]
    assert trace["label"] == f"{name.removesuffix('-cpu')} on cpu"
    answer = server.get("download", query={"run": "version_0", "trace": trace["id"]})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Content-Disposition"].isascii()


def test_names_of_traces_that_are_not_utf8_are_reported(logs: Path) -> None:
    folder = write_run(logs / "version_0") / "profile" / "inference"
    folder.mkdir()
    try:
        (folder / os.fsdecode(b"\xff" + SUFFIX.encode())).write_bytes(b"")
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    listed = Server(logs).json("traces", run="version_0")
    assert len(listed["traces"]) == 1
    assert "not UTF-8" in listed["problems"][0]


def test_more_traces_of_files_than_can_be_shown_are_counted(
    logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_run(logs / "version_0") / "profile" / "inference"
    for number in range(4):
        write_trace(folder / f"f{number}-cpu{SUFFIX}")
    monkeypatch.setattr(traces, "_MAX_FILES", 2)
    listed = Server(logs).json("traces", run="version_0")
    assert len(listed["traces"]) == 3
    assert "only the first 2" in listed["problems"][0]


@pytest.mark.parametrize("path", ["operators", "timeline"])
def test_a_damaged_trace_is_one_sentence_with_its_name_and_the_others_are_shown(
    logs: Path, views: None, path: str
) -> None:
    folder = write_run(logs / "version_0", window(), window("val"))
    (folder / "profile" / f"train-rank0.0{SUFFIX}").write_bytes(b"\x1f\x8b damaged")
    server = Server(logs)
    for _ in range(2):
        sentence = server.error(path, 422, run="version_0", trace="rank0-0", by="name")
        assert sentence == f"train-rank0.0{SUFFIX}: not a whole gzip file"
    other = server.get(path, query={"run": "version_0", "trace": "rank0-1", "by": "name"})
    assert other.status_code == 200


@pytest.mark.parametrize("path", ["operators", "timeline"])
def test_a_trace_that_cannot_be_read_for_a_moment_is_read_later(
    logs: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(logs / "version_0")
    server = Server(logs)
    query = {"run": "version_0", "trace": "rank0-0", "by": "name"}

    whole = Path.open

    def failing(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name.endswith(SUFFIX):
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return whole(path, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", failing)
        sentence = server.error(path, 422, **query)
    assert sentence == f"train-rank0.0{SUFFIX} could not be read: Too many open files"
    assert server.get(path, query=query).status_code == 200
