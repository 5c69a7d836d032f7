"""A run in the real TensorBoard server: answers of its tabs, of ours and of the old plugin's."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.support.tensorboard_process import install
from tests.support.warm_command import command

pytestmark = pytest.mark.slow  # a profiled training; the tab has shorter tests of its own
TRAINING = (
    *("model=resnet34", "data.image_size=32", "trainer.max_epochs=2"),
    *("trainer.limit_train_batches=8", "trainer.limit_val_batches=4", "profiler=tensorboard"),
    *("profiler.windows=2", "profiler.with_stack=false"),  # 90 % of the bytes are stacks
    *("export.formats=[eager,onnx_fp32]", "benchmark=quick", "benchmark.threads=1"),
)
Get = Callable[..., Any]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    ended = command(folder, "src.train", *TRAINING)
    assert ended.returncode == 0, ended.stderr
    assert "profiler_start" not in ended.stderr  # torch's log message
    return folder / "lightning_logs" / "resnet34" / "version_0"


@pytest.fixture(scope="module")
def get(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """Start the server; yield a function that returns the JSON of its answer to a path."""
    site = install(tmp_path_factory.mktemp("installed") / "site", ROOT.as_uri())
    arguments = ("--logdir", run.parent.parent, "--port", "0", "--host", "127.0.0.1")
    with subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments, "--load_fast=false"],
        env={**os.environ, "PYTHONPATH": str(site)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # to kill the plugin's child processes too
    ) as server:
        assert server.stderr is not None
        match = next(filter(None, (re.search(r"http://\S+:\d+/", line) for line in server.stderr)))
        base = match.group()

        def ask(path: str, **arguments: Any) -> Any:
            address = f"{base}data/{path}?{urllib.parse.urlencode(arguments)}"
            with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310  # a local server
                content = answer.read()
                if answer.headers.get("Content-Encoding") == "gzip":
                    content = gzip.decompress(content)
            return json.loads(content)

        try:
            yield ask
        finally:
            os.killpg(server.pid, signal.SIGKILL)


def eventually(ask: Callable[[], Any], is_complete: Callable[[Any], bool]) -> Any:
    """Repeat a request until its answer is complete: the server loads runs in the background."""
    for _ in range(120):
        answer = ask()
        if is_complete(answer):
            return answer
        time.sleep(0.5)
    pytest.fail(f"the server's last answer: {answer}")


def test_tensorboard_tabs_show_the_profile_without_the_plugin(get: Get) -> None:
    name = "resnet34/version_0"
    text = eventually(lambda: get("plugin/text/tags"), lambda tags: "profile/summary" in str(tags))
    assert {"profile/summary", "profile/steps", "profile/operators/train"} <= {
        tag.removesuffix("/text_summary") for tag in text[name]
    }
    assert any("benchmark/operators" in tag for tag in text[name])
    shown = get("plugin/text/text", run=name, tag="profile/steps/text_summary")
    assert "<table>" in shown[-1]["text"]
    assert "data loading" in shown[-1]["text"]
    scalars = eventually(
        lambda: get("plugin/scalars/tags"), lambda tags: "profile/train" in str(tags)
    )[name]
    assert {"profile/train/backward_seconds", "throughput/images_per_second"} <= set(scalars)
    images = get("plugin/images/tags")[name]
    assert {"profile/steps", "profile/memory"} <= set(images)


def test_the_tab_lightship_shows_the_profile_and_the_throughput(get: Get, run: Path) -> None:
    name = "resnet34/version_0"
    listed = get("plugin/lightship/runs")
    assert listed == {
        "runs": [
            {"name": name, "path": str(run), "has_profile": True, "has_measurement": True},
        ],
        "problems": [],
    }
    shown = eventually(
        lambda: get("plugin/lightship/overview", run=name), lambda answer: answer["throughput"]
    )
    assert shown["problems"] == []
    assert {"data loading", "forward", "backward", "optimizer"} <= set(shown["parts"])
    assert "throughput/images_per_second" in {curve["tag"] for curve in shown["throughput"]}
    [rank] = shown["ranks"]
    recorded = json.loads((run / "profile" / "rank0.json").read_text())["windows"]
    assert [window["step_seconds"] for window in rank["windows"]] == [
        window["step_seconds"] for window in recorded
    ]
    assert rank["advice"]
    assert all(window["trace"] and not window["problems"] for window in rank["windows"])


def test_the_tab_lightship_shows_every_trace_of_the_run(get: Get, run: Path) -> None:
    name = "resnet34/version_0"
    listed = get("plugin/lightship/traces", run=name)
    assert listed["problems"] == []
    labels = {trace["id"]: trace["label"] for trace in listed["traces"]}
    assert len(set(labels.values())) == len(labels)
    assert {"inference-eager-cpu", "inference-onnx_fp32-cpu", "rank0-0"} <= set(labels)
    for trace in labels:
        table = get("plugin/lightship/operators", run=name, trace=trace, by="name")
        names = {row["name"] for row in table["operators"]}
        expected = "Conv" if trace == "inference-onnx_fp32-cpu" else "aten::"
        assert any(operator.startswith(expected) for operator in names), trace
        timeline = get("plugin/lightship/timeline", run=name, trace=trace)
        frames = {frame["name"] for frame in timeline["shared"]["frames"]}
        assert any(frame.startswith(expected) for frame in frames), trace


needs_profiler_plugin = pytest.mark.skipif(
    importlib.util.find_spec("torch_tb_profiler") is None,
    reason="needs the extra profiler-legacy: python -m pip install torch-tb-profiler",
)
VIEWS = {
    "overview": "overview",
    "operation": "operation",
    "operation table": "operation/table",
    "memory": "memory",
    "memory curve": "memory_curve",
    "memory events": "memory_events",
    "operator tree": "tree",
}


def spans(get: Get, run: str) -> Iterator[tuple[str, str]]:
    for worker in get("plugin/pytorch_profiler/workers", run=run, view="Overview"):
        for span in get("plugin/pytorch_profiler/spans", run=run, worker=worker):
            yield worker, span


@needs_profiler_plugin
def test_every_view_of_the_profiler_plugin_shows_the_operators_of_the_run(
    get: Get, run: Path
) -> None:
    plugin = "plugin/pytorch_profiler"
    name = "resnet34/version_0/profile"
    eventually(
        lambda: get(f"{plugin}/runs"),
        lambda answer: {name, f"{name}/inference"} <= set(answer["runs"]),
    )
    views = get(f"{plugin}/views", run=name)
    assert {"Overview", "Operator", "Trace", "Memory"} <= set(views)
    workers = {worker for worker, _ in spans(get, name)}
    assert workers == {"train-rank0", "val-rank0"}
    for worker, span in spans(get, name):
        query = {"run": name, "worker": worker, "span": span}
        answers = {
            view: json.dumps(get(f"{plugin}/{path}", **query, view="Overview"))
            for view, path in VIEWS.items()
        }
        assert "aten::" in answers["operation"]
        assert "convolution" in answers["operation table"]
        assert "aten::" in answers["operator tree"]
        assert "aten::" in answers["memory"]
        trace = get(f"{plugin}/trace", **query)
        assert any(event["name"].startswith("ProfilerStep#") for event in trace["traceEvents"])


@needs_profiler_plugin
def test_the_profiler_plugin_shows_the_exported_files(get: Get, run: Path) -> None:
    plugin = "plugin/pytorch_profiler"
    name = "resnet34/version_0/profile/inference"
    eventually(lambda: get(f"{plugin}/runs"), lambda answer: name in answer["runs"])
    kinds = {"eager-cpu": "aten::mkldnn_convolution", "onnx_fp32-cpu": "Conv"}
    assert {worker for worker, _ in spans(get, name)} == set(kinds)
    for worker, span in spans(get, name):
        query = {"run": name, "worker": worker, "span": span}
        operators = get(f"{plugin}/operation/table", **query)["data"]
        assert kinds[worker] in {operator["name"] for operator in operators}


def test_benchmark_rows_name_their_trace_files(run: Path) -> None:
    rows = json.loads((run / "benchmark.json").read_text())["rows"]
    traced = {row["format"]: row for row in rows if row["status"] == "ok"}
    assert set(traced) == {"eager", "onnx_fp32"}
    for name, row in traced.items():
        assert (run / "profile" / "inference" / row["trace"]["file"]).is_file(), name
        assert row["profile"]["call_seconds"] > 0
        assert sum(row["profile"]["operators"].values()) == pytest.approx(1)
    page = (run / "report.md").read_text()
    assert "## Where the time of a call goes" in page
    assert "aten::mkldnn_convolution" in page
