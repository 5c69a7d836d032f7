"""Requests that the plugin refuses, and names that lead nowhere else."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from src.tensorboard_plugin import training_profiles
from tests.support.plugin_runs import (
    SUFFIX,
    Server,
    write_run,
)

HOSTILE = "<img src=x onerror=alert(1)>"


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
