"""The results of a run that stand when a command begins, and no longer when it has newer ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.run import earlier_results
from src.run.earlier_results import EarlierResults, Stage
from src.run.folder import Run
from src.run.twin_files import TwinFiles
from src.system import atomic_files

# The file of a finished result, and the one from which a command without again=true goes on.
FILES = [
    ("export", "exports/manifest.json", "exports/manifest.json"),
    ("serve_test", "serve_test.json", "serve_test.json"),
    ("twin", "twin/twin.json", "twin/unfinished.json"),
    ("benchmark", "benchmark.json", "benchmark.json"),
]


def write(run: Run, name: str, text: str = "{}") -> None:
    path = run.folder / name
    path.parent.mkdir(exist_ok=True)
    atomic_files.write_text(path, text)


def test_the_files_of_a_twin_are_those_that_it_is_made_in(tmp_path: Path) -> None:
    files = TwinFiles(Run(tmp_path))
    assert files.unfinished_record == tmp_path / "twin" / "unfinished.json"
    assert {stage for stage, _, _ in FILES} == set(earlier_results._FILES)


@pytest.mark.parametrize(("stage", "finished", "newer"), FILES)
def test_an_earlier_result_stands_until_a_newer_one_is_begun(
    stage: Stage, finished: str, newer: str, tmp_path: Path
) -> None:
    run = Run(tmp_path)
    none = EarlierResults(run)
    assert not none.stand(stage)
    write(run, finished)
    assert not none.stand(stage)  # the command itself has written it
    earlier = EarlierResults(run)
    assert earlier.stand(stage)
    write(run, newer)  # the same bytes, written anew
    assert not earlier.stand(stage)


def test_the_record_of_a_load_test_stands_beside_the_one_that_is_measured(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write(run, "serve_test.json")
    earlier = EarlierResults(run)
    write(run, "serve_test.partial.json")
    assert earlier.stand("serve_test")


def test_raw_rounds_replace_an_earlier_measurement_once_they_are_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Read:
        complete = False

    monkeypatch.setattr(Run, "read_rounds", lambda *_: Read)
    run = Run(tmp_path)
    write(run, "benchmark.json")
    earlier = EarlierResults(run)
    write(run, "rounds.json")
    assert earlier.stand("benchmark")
    Read.complete = True
    assert not earlier.stand("benchmark")
    # Rounds of an earlier command are a result without its figures.
    of_rounds = EarlierResults(run)
    assert of_rounds.stand("benchmark")
    write(run, "rounds.json", "{ }")
    assert not of_rounds.stand("benchmark")


def test_rounds_that_cannot_be_read_are_no_result(tmp_path: Path) -> None:
    run = Run(tmp_path)
    write(run, "rounds.json", "{")
    assert not EarlierResults(run).stand("benchmark")
