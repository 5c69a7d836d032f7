"""The view of the files, with real measurements."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from tests.report.planted import results, row
from tests.support.plugin_runs import (
    Server,
)


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
