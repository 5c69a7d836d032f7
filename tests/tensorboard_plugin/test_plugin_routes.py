"""The plugin's answers within TensorBoard's server."""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from torch.utils.tensorboard import SummaryWriter

from src.callbacks import throughput as throughput_callback
from src.tensorboard_plugin import throughput
from src.tensorboard_plugin.packaged_files import packaged_files
from tests.support.plugin_runs import (
    SUFFIX,
    Server,
    window,
    write_run,
    write_trace,
)

HOSTILE = "<img src=x onerror=alert(1)>"


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
