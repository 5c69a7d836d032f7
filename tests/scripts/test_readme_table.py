"""The README's table: the cells of the runs' own reports, of one machine at one commit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

SCRIPT = ROOT / "scripts" / "readme_table.py"
REPORT = """# {model}/version_0

**On this CPU ship onnx_int8.**

| format | device | size MB | top-1 % | delta points | verdict | batch 1 p50 ms | batch 1 p90 ms \
| batch 1 times eager | batch 1 times fp32 there |
| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |
| eager | cpu | 85.2 | 99.07 | - | same network | 17.58 ~spread | 20.00 | - | - |
| eager | cuda | 85.2 | 99.07 | - | same network | 1.00 | 1.10 | - | - |
| onnx_int8 | cpu | 21.5 | 99.07 | +0.00 [-0.71, +0.71] | pass | 1.55 | 1.60 \
| 11.38 [10.89, 11.91] | 3.91 [3.71, 4.05] |

| format | lost |
| --- | ---: |
| onnx_int8 | 0 |
"""
RESULTS: dict[str, Any] = {
    "environment": {
        "cpu": "Example CPU",
        "isa": ["AVX2"],
        "usable_cores": 2,
        "threads": 2,
        "packages": {"torch": "2.15.0", "onnxruntime": "1.32.0"},
        "git_commit": "0123456789abcdef",
    },
    "dataset": {"name": "digits", "images": 540, "sha256": "c88c"},
    "preprocessing": {"image_size": 64},
    "baseline": "eager",
    "measured_at": "2026-11-26T15:21:53+00:00",
}


def run_of(folder: Path, model: str, **environment: Any) -> Path:
    """A finished run, as far as the table reads it."""
    run = folder / "lightning_logs" / model / "version_0"
    run.mkdir(parents=True)
    results = {
        **RESULTS,
        "model": model,
        "environment": {**RESULTS["environment"], **environment},
    }
    (run / "benchmark.json").write_text(json.dumps(results))
    (run / "report.md").write_text(REPORT.format(model=model))
    return run


def page_of(folder: Path) -> Path:
    from readme_table import BEGIN, END

    page = folder / "page.md"
    page.write_text(f"before\n\n{BEGIN}\nold\n{END}\n\nafter\n")
    return page


@pytest.fixture(autouse=True)
def _scripts_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


def make(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *map(str, words)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_table_stands_between_the_marks_with_the_cells_of_the_reports(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, "resnet34"), run_of(tmp_path, "convnext_t")]
    page = page_of(tmp_path)
    ended = make(*runs, "--page", page)
    assert ended.returncode == 0, ended.stderr
    text = page.read_text()
    assert text.startswith("before\n\n<!--")
    assert text.endswith("-->\n\nafter\n")
    assert "old" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[2] == (
        "| `resnet34` | `eager` | 85.2 | 99.07 | - | same network | 17.58 ~spread | - | - |"
    )
    assert rows[3].startswith("|  | `onnx_int8` | 21.5 ")
    assert rows[3].endswith("| pass | 1.55 | 11.38 [10.89, 11.91] | 3.91 [3.71, 4.05] |")
    assert rows[4].startswith("| `convnext_t` | `eager` ")
    assert len(rows) == 6  # the rows on a GPU have no place here
    note = " ".join(text.split("\n\n")[-3].split())
    assert "on Example CPU (AVX2), 2 threads, at commit 0123456789ab with torch 2.15.0" in note
    assert "540 test images of digits, 64x64 pixels" in note
    make(*runs, "--page", page)
    assert page.read_text() == text  # again gives the same


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("cpu", "Another CPU"),
        ("threads", 1),
        ("git_commit", "fedcba9876543210"),
        ("git_commit", None),
        ("packages", {"torch": "2.14.0"}),
    ],
)
def test_runs_of_two_machines_or_commits_are_refused(
    tmp_path: Path, name: str, other: object
) -> None:
    runs = [run_of(tmp_path, "resnet34"), run_of(tmp_path, "convnext_t", **{name: other})]
    page = page_of(tmp_path)
    before = page.read_text()
    ended = make(*runs, "--page", page)
    assert ended.returncode == 1
    assert "expected the same" in ended.stderr
    assert "convnext_t" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert page.read_text() == before


@pytest.mark.parametrize("name", ["report.md", "benchmark.json"])
def test_a_run_that_is_not_finished_is_refused(tmp_path: Path, name: str) -> None:
    run = run_of(tmp_path, "resnet34")
    (run / name).unlink()
    ended = make(run, "--page", "-")
    assert ended.returncode == 1
    assert ended.stderr == f"error: {run}: expected a finished run with {name}, found none\n"


@pytest.mark.parametrize("text", ["no marks", "{END}\n{BEGIN}\n", "{BEGIN}\n{BEGIN}\n{END}\n"])
def test_a_page_without_its_two_marks_is_refused_before_anything_is_read(
    tmp_path: Path, text: str
) -> None:
    from readme_table import BEGIN, END

    page = tmp_path / "page.md"
    page.write_text(text.format(BEGIN=BEGIN, END=END))
    ended = make("nowhere", "--page", page)
    assert ended.returncode == 1
    assert "expected a page with the marks of the table" in ended.stderr


def test_a_run_that_was_kept_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import readme_table

    monkeypatch.setattr(readme_table.subprocess, "run", pytest.fail)
    kept = run_of(tmp_path, "resnet34")
    newer = kept.with_name("version_10")
    newer.mkdir()
    (newer / "benchmark.json").write_text("{}")
    (kept.with_name("version_11")).mkdir()  # not measured
    assert readme_table.trained("resnet34", tmp_path) == newer


def test_every_network_is_in_the_table_by_default() -> None:
    import marked_page
    import readme_table

    assert readme_table.models() == ["convnext_t", "densenet121", "efficientnet_b0", "resnet34"]
    marked_page.require(readme_table.PAGE, readme_table.BEGIN, readme_table.END)
