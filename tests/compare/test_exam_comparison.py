"""The measurement of an exam beside the run that its file came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from src.compare import __main__ as command
from src.compare.collection import collect, exams_among
from src.compare.comparison import Comparison
from src.compare.page import html_page, markdown_page
from src.errors import UsageError
from tests.compare.test_comparison import file, keep
from tests.report.planted import results
from tests.support import planted_exam


def run_of(folder: Path, sha256: str | None = None) -> Path:
    """A run whose onnx_fp32 is the file of the planted exam."""
    taken = planted_exam.exam(folder)
    row = file("onnx_fp32", 0.0025, 0.98, verdict="same")
    row["sha256"] = {"model.onnx": sha256 or taken.model_files["model.onnx"]}
    return keep(folder, "planted", results(file("eager", 0.008, 0.98), row))


def taken_exam(folder: Path, name: str = "measurement.json", **changes: Any) -> Path:
    values = planted_exam.record(folder, **changes)
    values["environment"] |= {"cpu": "another CPU", "isa": ["AVX2"], "threads": 2}
    (folder / name).write_text(json.dumps(values))
    return folder / name


def compared(run: Path, *exams: Path) -> Comparison:
    return Comparison.of(
        collect([str(run)]), None, None, exams_among([str(path) for path in exams])
    )


def test_an_exam_is_a_row_of_its_own_testbed_and_holds_there(tmp_path: Path) -> None:
    comparison = compared(run_of(tmp_path), taken_exam(tmp_path))
    assert {str(testbed) for testbed in comparison.testbeds} == {
        "a CPU, 2 threads",
        "another CPU (AVX2), 2 threads",
    }
    (there,) = [row for row in comparison.rows() if row.testbed.processor.startswith("another")]
    assert there.run == "planted/version_0, exam"
    assert there.test_set.images == 64
    (told,) = comparison.answers()
    assert told.startswith(
        "onnx_fp32 of planted/version_0 on another CPU (AVX2), 2 threads: holds there: no answer "
        "flips of 64 images, and the logits are the same within rounding; p50 2.0"
    )
    assert told.endswith("ms there, 2.50 ms in the run; the file is the run's.")


def test_flips_there_are_told_with_the_first_reason(tmp_path: Path) -> None:
    comparison = compared(run_of(tmp_path), taken_exam(tmp_path, flips=2))
    (told,) = comparison.answers()
    assert "2 flips there of 64 images; does not hold there: a probability differs by" in told


def test_a_file_of_no_run_is_told_and_exams_alone_are_compared(tmp_path: Path) -> None:
    (told,) = compared(run_of(tmp_path, "other"), taken_exam(tmp_path)).answers()
    assert told.endswith("ms there; no run of this comparison measured that file.")
    one, two = taken_exam(tmp_path, "one.json"), taken_exam(tmp_path, "two.json", flips=1)
    alone = Comparison.of([], None, None, exams_among([str(one), str(two)]))
    assert len(alone.answers()) == len({row.key for row in alone.rows()}) == 2


def test_the_command_writes_the_pages_and_a_damaged_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, path = run_of(tmp_path), taken_exam(tmp_path)
    command.main([str(run), str(path)])
    page = (tmp_path / "planted" / "comparison.html").read_text()
    assert "holds there" in page
    assert "holds there" in (tmp_path / "planted" / "comparison.md").read_text()
    with pytest.raises(UsageError, match="RUN: expected runs with --max-slowdown"):
        command.main([str(run), str(path), "--max-slowdown", "5%"])
    content = path.read_text()
    for damaged in (content[: len(content) // 2], content.replace('"p50_s"', '"p_s"'), "hello"):
        path.write_text(damaged)
        with pytest.raises(UsageError, match=r"measurement\.json: expected") as caught:
            command.main([str(run), str(path)])
        assert "\n" not in str(caught.value)


def test_hostile_text_of_an_exam_is_text_on_the_pages(tmp_path: Path) -> None:
    path = taken_exam(tmp_path)
    values = json.loads(path.read_text())
    script = "<script>alert(1)</script>"
    values |= {"run": script, "model": f"**{script}**", "problems": [f"[x](javascript:{script})"]}
    values["environment"]["cpu"] = script
    path.write_text(json.dumps(values))
    comparison = compared(run_of(tmp_path), path)
    assert script not in html_page(comparison)
    assert "<script>alert" not in markdown_page(comparison)
    from src.compare.page import show

    with Console(record=True, width=300) as console:
        show(comparison, console)
    assert script in console.export_text()
