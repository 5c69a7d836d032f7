"""The plugin's answers within TensorBoard's server."""

from __future__ import annotations

import errno
import gzip
import json
import logging
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from torch.utils.tensorboard import SummaryWriter

from src.callbacks import throughput as throughput_callback
from src.errors import UsageError
from src.profiling.operator_table import GROUPS
from src.run.training_profile import TrainingProfile
from src.tensorboard_plugin import throughput, traces, training_profiles
from src.tensorboard_plugin.files import Fragment
from src.tensorboard_plugin.packaged_files import packaged_files
from tests.report.planted import results, row
from tests.support.plugin_runs import (
    SUFFIX,
    Server,
    rank_file,
    window,
    write_run,
    write_trace,
)

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path / "lightning_logs"


@pytest.fixture
def server(logs: Path) -> Server:
    write_run(logs / "resnet34" / "version_0")
    return Server(logs)


@pytest.fixture
def run() -> str:
    return "resnet34/version_0"


# --- TensorBoard's own pages


def test_tensorboard_lists_the_tab(server: Server) -> None:
    [(name, listed)] = server.client.get("/data/plugins_listing").json.items()
    assert (name, listed["tab_name"], listed["enabled"]) == ("lightship", "Lightship", True)
    assert listed["loading_mechanism"] == {
        "type": "IFRAME",
        "module_path": "/data/plugin/lightship/index.js",
    }


def test_the_tab_is_inactive_without_runs(tmp_path: Path) -> None:
    listed = Server(tmp_path / "nothing").client.get("/data/plugins_listing").json
    assert listed["lightship"]["enabled"] is False


def test_tensorboards_page_of_the_tab_imports_a_module_that_is_served(server: Server) -> None:
    page = server.client.get("/data/plugin_entry.html?name=lightship")
    assert page.status_code == 200
    assert 'import("./index.js")' in page.get_data(as_text=True)
    assert "/index.js" in packaged_files()


def test_every_answer_has_the_headers_that_tensorboard_asks_for(
    server: Server, run: str, caplog: pytest.LogCaptureFixture, views: None
) -> None:
    with caplog.at_level(logging.WARNING, logger="tensorboard"):
        for path in ("runs", "overview", "traces", "operators", "files", "nothing", "timeline"):
            server.get(path, query={"run": run, "trace": "rank0-0", "by": "name"})
    assert "will become an error" not in caplog.text


def test_a_path_prefix_is_kept(logs: Path) -> None:
    write_run(logs / "version_0")
    assert Server(logs, prefix="/board").json("runs")["runs"][0]["name"] == "version_0"


# --- runs, overview and traces


def test_runs_are_listed(server: Server, run: str, logs: Path) -> None:
    listed = {
        "name": run,
        "path": str(logs / run),
        "has_profile": True,
        "has_measurement": False,
    }
    assert server.json("runs") == {
        "runs": [listed],
        "problems": [],
    }


def test_the_overview_has_each_window_of_each_rank(logs: Path) -> None:
    folder = logs / "version_0"
    write_run(folder, window(), window("val", file=None), window(epoch=1))
    write_run(folder, window(file=f"train-rank1.0{SUFFIX}"), rank=1)
    shown = Server(logs).json("overview", run="version_0")
    assert shown["run"] == "version_0"
    assert shown["parts"] == ["data loading", "forward", "other"]
    assert shown["problems"] == []
    assert [rank["rank"] for rank in shown["ranks"]] == [0, 1]
    first, second, third = shown["ranks"][0]["windows"]
    assert (first["label"], first["trace"], first["stage"]) == (
        "training, epoch 0",
        "rank0-0",
        "train",
    )
    assert (second["label"], second["trace"]) == ("validation, epoch 0", None)
    assert (third["label"], third["trace"], third["global_step"]) == (
        "training, epoch 1",
        "rank0-2",
        3,
    )
    assert first["step_seconds"] == [0.5, 0.25]
    assert first["regions"]["data loading"] == 0.25
    assert first["memory"] == {"cpu": [[0.0, 0.0], [0.5, 1e6]]}
    assert shown["ranks"][1]["windows"][0]["trace"] == "rank1-0"


def test_the_overview_says_what_dominates_and_what_to_try(server: Server, run: str) -> None:
    [rank] = server.json("overview", run=run)["ranks"]
    assert rank["advice"] == [
        "67% of a training step waits for data: raise data.num_workers (now 0), or use smaller "
        "images."
    ]


def test_notes_of_the_recording_are_part_of_the_advice(logs: Path) -> None:
    write_run(logs / "version_0", notes=["no window in epoch 3 (train)"])
    [rank] = Server(logs).json("overview", run="version_0")["ranks"]
    assert rank["advice"][-1] == "no window in epoch 3 (train)."


def test_windows_of_one_epoch_have_labels_of_their_own(logs: Path) -> None:
    windows = [window(first_step=step, file=f"train-rank0.{step}{SUFFIX}") for step in (1, 9)]
    write_run(logs / "version_0", *windows)
    server = Server(logs)
    [rank] = server.json("overview", run="version_0")["ranks"]
    assert [shown["label"] for shown in rank["windows"]] == [
        "training, epoch 0, step 1",
        "training, epoch 0, step 9",
    ]
    assert [trace["label"] for trace in server.json("traces", run="version_0")["traces"]] == [
        "training, epoch 0, step 1, rank 0",
        "training, epoch 0, step 9, rank 0",
    ]


def test_traces_of_the_training_and_of_the_files_are_listed(logs: Path) -> None:
    folder = write_run(logs / "version_0", window(), window("val"))
    inference = folder / "profile" / "inference"
    write_trace(inference / f"onnx_int8-cpu{SUFFIX}")
    write_trace(inference / f"eager-cuda{SUFFIX}")
    (inference / "notes.txt").write_text("no trace")
    listed = Server(logs).json("traces", run="version_0")
    size = (inference / f"eager-cuda{SUFFIX}").stat().st_size
    assert listed["problems"] == []
    assert [tuple(trace.values()) for trace in listed["traces"]] == [
        ("rank0-0", "training, epoch 0, rank 0", size, "training"),
        ("rank0-1", "validation, epoch 0, rank 0", size, "training"),
        ("inference-eager-cuda", "eager on cuda", size, "file"),
        ("inference-onnx_int8-cpu", "onnx_int8 on cpu", size, "file"),
    ]


def test_a_run_without_a_profile_has_no_traces(logs: Path) -> None:
    (logs / "version_0").mkdir(parents=True)
    (logs / "version_0" / "benchmark.json").write_text("{}")
    server = Server(logs)
    assert server.json("traces", run="version_0") == {"traces": [], "problems": []}
    shown = server.json("overview", run="version_0")
    assert (shown["ranks"], shown["parts"], shown["problems"]) == ([], [], [])


def test_the_run_that_is_the_log_folder_has_a_name_too(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    server = Server(tmp_path / "run")
    assert server.json("runs")["runs"][0]["name"] == "."
    assert server.json("overview", run=".")["ranks"]


# --- throughput


def write_scalars(folder: Path, **values: list[float]) -> None:
    with SummaryWriter(str(folder)) as writer:
        for tag, points in values.items():
            for step, value in enumerate(points):
                writer.add_scalar(f"throughput/{tag}", value, step)


@pytest.mark.parametrize(
    ("parts", "name"), [(("resnet34", "version_0"), "resnet34/version_0"), ((), ".")]
)
def test_the_throughput_is_that_of_tensorboards_scalars(
    logs: Path, parts: tuple[str, ...], name: str
) -> None:
    folder = write_run(logs.joinpath(*parts))
    write_scalars(folder, images_per_second=[10, 20], step_seconds=[0.5, float("nan")], other=[1])
    server = Server(logs)
    assert server.json("overview", run=name)["throughput"] == []  # the events are not read yet
    server.load_events()
    shown = server.json("overview", run=name)
    assert shown["throughput"] == [
        {
            "tag": "throughput/images_per_second",
            "title": "Images a second",
            "points": [[0, 10.0], [1, 20.0]],
        },
        {"tag": "throughput/step_seconds", "title": "Time a step", "points": [[0, 0.5]]},
    ]
    assert shown["problems"] == []


def test_the_throughput_of_a_group_of_logdir_spec_is_found(logs: Path) -> None:
    write_scalars(write_run(logs), images_per_second=[10])
    server = Server("", specification=f"mine:{logs}")
    server.multiplexer.AddRunsFromDirectory(str(logs), "mine").Reload()
    assert server.json("overview", run="mine")["throughput"][0]["points"] == [[0, 10.0]]


def test_every_throughput_that_a_training_logs_has_a_title() -> None:
    source = Path(throughput_callback.__file__).read_text(encoding="utf-8")
    logged = {word for word in source.split('"') if word.startswith("throughput/")}
    assert logged == set(throughput.TITLES)


def test_a_data_provider_that_fails_costs_the_throughput_only() -> None:
    class Broken:
        def read_scalars(self, *words: object, **options: object) -> None:
            raise RuntimeError("the data server ended")

    curves, problems = throughput.read(Broken(), None, "", "run")  # type: ignore[arg-type]
    assert (curves, len(problems)) == ([], 1)
    assert "RuntimeError: the data server ended" in problems[0]
    assert throughput.read(None, None, "", "run")[0] == []


# --- operators, timeline, download, files


class View(msgspec.Struct):
    steps: int
    operators: list[str]


def fake(name: str, **functions: Any) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(functions)
    return module


@pytest.fixture
def calls() -> list[tuple[str, Any]]:
    return []


@pytest.fixture
def views(monkeypatch: pytest.MonkeyPatch, calls: list[tuple[str, Any]]) -> None:
    """Replace what parses traces and draws files; it has tests of its own."""

    def operator_table(path: Path, by: str) -> View:
        calls.append((by, path))
        if path.stat().st_size < 50:
            raise ValueError("not a whole gzip file")
        return View(steps=1, operators=["aten::mm"])

    def speedscope(path: Path) -> bytes:
        calls.append(("timeline", path))
        if path.stat().st_size < 50:
            raise ValueError("not a whole gzip file")
        return gzip.compress(b'{"profiles": []}')

    def fragment(runs: list[Any], names: list[str]) -> Fragment:
        calls.append(("files", [run.folder for run in runs]))
        if "broken" in names:
            raise UsageError("f", expected="a", found="b", remedy="c")
        return Fragment(f"<p>{len(names)} runs</p>" * 100)

    for name, functions in {
        "src.profiling.operator_table": {"operator_table": operator_table, "GROUPS": GROUPS},
        "src.profiling.timeline": {"speedscope": speedscope},
        "src.tensorboard_plugin.files": {"fragment": fragment},
    }.items():
        monkeypatch.setitem(sys.modules, name, fake(name, **functions))


def test_operators_are_those_of_the_trace(
    server: Server, run: str, views: None, calls: list[Any], logs: Path
) -> None:
    query = {"run": run, "trace": "rank0-0"}
    expected = {
        **query,
        "label": "training, epoch 0, rank 0",
        "steps": 1,
        "operators": ["aten::mm"],
    }
    for by in ("name", "shapes", "stack", "name"):
        assert server.json("operators", **query, by=by) == expected
    trace = logs / run / "profile" / f"train-rank0.0{SUFFIX}"
    assert calls == [(by, trace) for by in ("name", "shapes", "stack")]


def test_the_timeline_is_sent_compressed_and_plain_where_that_is_asked_for(
    server: Server, run: str, views: None
) -> None:
    query = {"run": run, "trace": "rank0-0"}
    packed = server.get("timeline", query=query, headers={"Accept-Encoding": "gzip, br"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert json.loads(gzip.decompress(packed.get_data())) == {"profiles": []}
    plain = server.get("timeline", query=query, headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain.headers
    assert plain.json == {"profiles": []}


def test_a_trace_is_downloaded_as_it_is(server: Server, run: str, logs: Path) -> None:
    answer = server.get("download", query={"run": run, "trace": "rank0-0"})
    assert answer.get_data() == (logs / run / "profile" / f"train-rank0.0{SUFFIX}").read_bytes()
    assert answer.headers["Content-Disposition"] == f"attachment; filename=train-rank0.0{SUFFIX}"
    assert answer.mimetype == "application/gzip"
    assert "Content-Encoding" not in answer.headers
    head = server.get("download", method="HEAD", query={"run": run, "trace": "rank0-0"})
    assert head.get_data() == b""
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


def test_files_are_html_that_runs_no_script_of_its_own(
    server: Server, run: str, views: None
) -> None:
    answer = server.get("files", query={"run": run})
    assert answer.get_data(as_text=True).startswith("<p>1 runs</p>")
    assert answer.content_type == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy


def test_files_of_several_runs_are_compared_each_once(
    logs: Path, views: None, calls: list[Any]
) -> None:
    for name in "ab":
        write_run(logs / name)
    answer = Server(logs).get("files", query={"run": ["b", "a", "b"]})
    assert answer.get_data(as_text=True).startswith("<p>2 runs</p>")
    assert calls == [("files", [logs / "b", logs / "a"])]


def test_a_damaged_measurement_is_one_sentence(logs: Path, views: None) -> None:
    write_run(logs / "broken")
    assert Server(logs).error("files", 422, run="broken") == "f: expected a; found b; c"


# --- requests that are refused


@pytest.mark.parametrize(
    ("path", "query", "sentence"),
    [
        ("overview", {}, "run: expected one value; found 0"),
        ("overview", {"run": ""}, "run: expected one value; found 1"),
        ("overview", {"run": ["a", "b"]}, "run: expected one value; found 2"),
        ("traces", {}, "run: expected one value"),
        ("operators", {"run": "resnet34/version_0", "by": "name"}, "trace: expected one value"),
        ("operators", {"run": "resnet34/version_0", "trace": "rank0-0"}, "by: expected one value"),
        (
            "operators",
            {"run": "resnet34/version_0", "trace": "rank0-0", "by": "size"},
            "by: expected",
        ),
        ("timeline", {"run": "resnet34/version_0"}, "trace: expected one value"),
        ("download", {"trace": "rank0-0"}, "run: expected one value"),
        ("files", {}, "run: expected 1 to 20 runs; found 0"),
        ("files", {"run": list(map(str, range(21)))}, "run: expected 1 to 20 runs; found 21"),
    ],
)
def test_a_bad_argument_is_named(
    server: Server, views: None, path: str, query: dict[str, Any], sentence: str
) -> None:
    assert sentence in server.error(path, 400, **query)


PATHS = [
    "..", "../..", "/etc/passwd", "..%2f..%2fetc", "%2e%2e/%2e%2e", "resnet34/../secret", "\0",
    "resnet34/version_0/", "resnet34/version_0\0", ".", "x" * 1_000_000, HOSTILE, "\ud800",
    "file:///etc/passwd", "\\..\\..", "resnet34/version_0/profile",
]  # fmt: skip


@pytest.mark.parametrize("name", PATHS, ids=range(len(PATHS)))
@pytest.mark.parametrize(
    "path", ["overview", "traces", "operators", "timeline", "download", "files"]
)
def test_no_name_of_a_run_leads_anywhere_else(
    server: Server, views: None, tmp_path: Path, path: str, name: str
) -> None:
    write_run(tmp_path / "secret")
    name = name.encode("utf-8", "replace").decode()
    query = {"run": name, "trace": "rank0-0", "by": "name"}
    if path == "files":
        query = {"run": name}
    sentence = server.error(path, 404, **query)
    assert len(sentence) < 500


@pytest.mark.parametrize(
    "name",
    [*PATHS, "rank0-1", "rank0-00", "rank00-0", "rank0--1", "rank-0-0", "inference-", "rank0.json",
     f"train-rank0.0{SUFFIX}", "inference-../rank0", "RANK0-0"],
    ids=str.__len__,
)  # fmt: skip
@pytest.mark.parametrize("path", ["operators", "timeline", "download"])
def test_no_name_of_a_trace_leads_to_another_file(
    server: Server, views: None, run: str, path: str, name: str
) -> None:
    name = name.encode("utf-8", "replace").decode()
    sentence = server.error(path, 404, run=run, trace=name, by="name")
    assert "the run has no trace" in sentence


@pytest.mark.parametrize(
    "path",
    ["static/../plugin.py", "static/%2e%2e/plugin.py", "static//etc/passwd", "static/", "static",
     "static/x\0", "../../../../etc/passwd", "plugin.py", "static/..%5cplugin.py"],
)  # fmt: skip
def test_no_path_leads_to_a_file_that_is_not_of_the_page(server: Server, path: str) -> None:
    assert server.get(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_reading_requests_are_answered(server: Server, method: str) -> None:
    answer = server.get("runs", method=method)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_defect_of_the_plugin_is_an_answer_and_a_line_in_the_log(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, run: str
) -> None:
    monkeypatch.setattr(training_profiles, "read", lambda run: 1 / 0)
    with caplog.at_level(logging.ERROR, logger="tensorboard"):
        sentence = server.error("traces", 500, run=run)
    assert "TensorBoard's log" in sentence
    assert "ZeroDivisionError" in caplog.text


# --- runs of a stranger


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


# --- the real view of the files


def write_measurement(folder: Path, **changes: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {**results(row("eager"), row("onnx_int8", precision="int8")), **changes}
    (folder / "benchmark.json").write_text(json.dumps(content))


def test_the_files_of_a_run_and_the_comparison_of_two_are_shown(logs: Path) -> None:
    for name in ("a/version_0", "b/version_0"):
        write_measurement(logs / name, run=name)
    server = Server(logs)
    one = server.get("files", query={"run": "a/version_0"}).get_data(as_text=True)
    assert 'data-format="onnx_int8"' in one
    two = server.get("files", query={"run": ["a/version_0", "b/version_0"]}).get_data(as_text=True)
    assert 'data-run="b/version_0"' in two
    for text in (one, two):
        assert "<script" not in text


def test_a_run_is_called_as_the_list_of_runs_calls_it(logs: Path) -> None:
    for name in ("deep/a/version_0", "deep/b/version_0"):
        write_measurement(logs / name, run="x/version_0")
    names = ["deep/a/version_0", "deep/b/version_0"]
    text = Server(logs).get("files", query={"run": names}).get_data(as_text=True)
    assert all(f'data-run="{name}"' in text for name in names)


def test_a_measurement_that_changed_is_read_again(logs: Path) -> None:
    write_measurement(logs / "a", model="first_model")
    server = Server(logs)
    first = server.get("files", query={"run": "a"}).get_data(as_text=True)
    assert server.get("files", query={"run": "a"}).get_data(as_text=True) == first
    (logs / "a" / "benchmark.json").write_text("{")
    assert "benchmark.json" in server.error("files", 422, run="a")


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["b", "c"]])
def test_a_measurement_that_cannot_be_read_for_a_moment_is_read_later(
    logs: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write_measurement(logs / name)
    server = Server(logs)
    unlimited = Path.read_text

    def failing(path: Path, **options: Any) -> str:
        if (path.name == "benchmark.json" and path.parent.name != "a") or names == ["a"]:
            raise OSError(errno.EMFILE, "Too many open files", str(path))
        return unlimited(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_text", failing)
        answer = server.get("files", query={"run": names}).get_data(as_text=True)
    assert "Too many open files" in answer
    answer = server.get("files", query={"run": names}).get_data(as_text=True)
    assert "Too many open files" not in answer
    assert "<table" in answer


def test_a_run_that_was_not_measured_is_a_sentence(server: Server, run: str) -> None:
    assert "benchmark.json" in server.error("files", 422, run=run)
