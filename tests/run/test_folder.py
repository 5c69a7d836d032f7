from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from src.errors import UsageError
from src.report.sections.recommendation import sentences
from src.run import folder
from src.run.folder import Run, read_results
from src.run.reading import convert
from src.run.results import Results
from tests.report.pages import markdown_page
from tests.report.planted import (
    of_version_1,
    of_version_2,
    of_version_3,
    of_version_4,
    of_version_5,
    pipeline,
    results,
    row,
    there,
)


def test_new_runs_get_successive_numbers(tmp_path: Path) -> None:
    created = [folder.create(tmp_path, "resnet34").name for _ in range(3)]
    assert created == ["resnet34/version_0", "resnet34/version_1", "resnet34/version_2"]


def test_two_trainings_that_start_at_once_get_two_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.create(tmp_path, "resnet34")
    # The other one made its folder after this one had looked.
    monkeypatch.setattr(Path, "glob", lambda *_: iter(()))
    assert folder.create(tmp_path, "resnet34").name == "resnet34/version_1"


def test_the_newest_run_has_the_highest_number_and_the_file(tmp_path: Path) -> None:
    for _ in range(11):
        folder.create(tmp_path, "resnet34")
    for number in (2, 9, 10):
        run = Run(tmp_path / "lightning_logs" / "resnet34" / f"version_{number}")
        run.last_checkpoint.parent.mkdir()
        run.last_checkpoint.touch()
    newest = folder.newest(tmp_path, "resnet34", having="checkpoints/last.ckpt")
    assert newest is not None
    assert newest.name == "resnet34/version_10"
    assert folder.newest(tmp_path, "resnet34", having="checkpoints/best.ckpt") is None
    assert folder.newest(tmp_path, "convnext_t", having="config.yaml") is None


def test_a_renamed_run_is_found_where_no_other_has_the_file(tmp_path: Path) -> None:
    models = tmp_path / "lightning_logs" / "resnet34"
    for age, name in enumerate(("the good one", "version_0 copy", "older", ".hidden")):
        last = Run(models / name).last_checkpoint
        last.parent.mkdir(parents=True)
        last.touch()
        os.utime(last, (100 - age, 100 - age))
    latest = folder.newest(tmp_path, "resnet34", having="checkpoints/last.ckpt")
    assert latest is not None
    assert latest.name == "resnet34/the good one"
    numbered = Run(models / "version_3").last_checkpoint
    numbered.parent.mkdir(parents=True)
    numbered.touch()
    os.utime(numbered, (1, 1))
    latest = folder.newest(tmp_path, "resnet34", having="checkpoints/last.ckpt")
    assert latest is not None
    assert latest.name == "resnet34/version_3"


def test_a_renamed_run_is_called_by_its_present_name(tmp_path: Path) -> None:
    from tests.report.planted import results, row

    run = Run(tmp_path / "resnet34" / "the good one")
    run.folder.mkdir(parents=True)
    run.benchmark.write_text(json.dumps(results(row("eager")) | {"run": "resnet34/version_0"}))
    assert run.read_benchmark().run == "resnet34/the good one"


def test_a_run_folder_that_cannot_be_created_is_a_one_line_error(tmp_path: Path) -> None:
    (tmp_path / "lightning_logs").touch()
    with pytest.raises(UsageError, match=r"trainer.default_root_dir: expected a folder"):
        folder.create(tmp_path, "resnet34")


def test_a_folder_that_is_not_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"RUN: expected a run folder.*without a config.yaml"):
        Run.open(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"schema_version": 3}', "null"])
def test_a_damaged_file_is_a_one_line_error(tmp_path: Path, content: str) -> None:
    run = Run(tmp_path)
    run.benchmark.write_text(content)
    with pytest.raises(UsageError, match=r"benchmark.json: expected .*run the stage"):
        run.read_benchmark()


def test_a_measurement_of_the_version_before_is_read_and_says_what_it_lacks(
    tmp_path: Path,
) -> None:
    from src.report.sections.footnotes import footnotes
    from tests.report.planted import results, row

    content = results(row("eager"), row("onnx")) | {"schema_version": 1}
    for entry in content["rows"]:
        for cell in entry["latency"]:
            del cell["processes"], cell["process_of_round"], cell["speedup"]["processes"]
    run = Run(tmp_path)
    run.benchmark.write_text(json.dumps(content))
    assert "each row in one process: the intervals do not cover" in " ".join(
        footnotes(run.read_benchmark())
    )
    run.benchmark.write_text(json.dumps(content | {"schema_version": 2}))
    with pytest.raises(UsageError, match=r"processes"):
        run.read_benchmark()


@pytest.mark.parametrize(
    "changes",
    [
        {"process_of_round": {}},
        {"process_of_round": {str(number): -1 for number in range(10)}},
        {"process_of_round": {str(number): 0 for number in range(10)}},  # not of five processes
        {"process_of_round": {str(number): number // 2 for number in range(9)}},
        {"processes": 4},
        {"speedup": {"value": 2.0, "low": 1.9, "high": 2.1, "processes": 6}},
        {"speedup": {"value": 2.0, "low": 1.9, "high": 2.1}},
    ],
)
def test_rounds_without_their_processes_are_refused(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    from tests.report.planted import latency, results, row

    run = Run(tmp_path)
    run.benchmark.write_text(json.dumps(results(row("onnx", latency=[latency(1, 0.01)]))))
    run.read_benchmark()
    unknown_processes = results(row("onnx", latency=[latency(1, 0.01, **changes)]))
    run.benchmark.write_text(json.dumps(unknown_processes))
    with pytest.raises(UsageError, match=r"process"):
        run.read_benchmark()


def test_measurements_of_every_version_are_read_and_told(tmp_path: Path) -> None:
    run = Run(tmp_path)
    recent = results(row("eager", pipeline=[pipeline()]), row("onnx", instruction_sets=[there()]))
    versions = (of_version_5, of_version_4, of_version_3, of_version_2, of_version_1)
    older = [of_version(recent) for of_version in versions]
    for measured in (recent, *older):
        run.benchmark.write_text(json.dumps(measured))
        latest = run.read_benchmark()
        assert latest.schema_version == measured["schema_version"]
        assert markdown_page(latest)
        assert [*sentences(latest)]
    for version in (0, 7, "2", None):
        run.benchmark.write_text(json.dumps({**recent, "schema_version": version}))
        with pytest.raises(
            UsageError, match="expected schema_version 1 or 2 or 3 or 4 or 5 or 6; found"
        ):
            run.read_benchmark()


def test_a_clock_that_jumps_back_overwrites_no_measurement(tmp_path: Path) -> None:
    run = Run(tmp_path)
    times = ("2026-03-02T10:00:00+00:00", "2026-03-02T09:00:00+00:00", "2026-03-02T10:00:00+00:00")
    kept = [
        run.write_benchmark(
            convert(results() | {"measured_at": at, "measured_seconds": n}, Results), "a CPU"
        )
        for n, at in enumerate(times)
    ]
    assert len(set(kept)) == 3
    assert [read_results(path).measured_seconds for path in kept] == [0, 1, 2]
    assert run.read_benchmark().measured_seconds == 2
