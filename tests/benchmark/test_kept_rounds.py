"""A raw measurement without figures is kept beside one under other conditions."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from src.benchmark.options import BenchmarkOptions
from src.benchmark.row import Row
from src.benchmark.suite import measure, measure_unless_done
from src.errors import UsageError
from src.report.stage import report_run
from src.run import kept_rounds
from src.run.earlier_results import EarlierResults
from src.run.folder import Run
from src.run.results import Results
from src.system.signals import Stopped
from tests.benchmark.planted_formats import Data, only, silent
from tests.benchmark.test_results import FEW, FULL, NoData, failing

OTHER = replace(FEW, samples=4)


def more_cores(patch: pytest.MonkeyPatch) -> BenchmarkOptions:
    patch.setattr("src.system.machine.usable_cores", lambda: 99)
    return FEW


CONDITIONS: dict[str, Callable[[pytest.MonkeyPatch], BenchmarkOptions]] = {
    "other options": lambda _: OTHER,
    "another number of threads": lambda _: replace(FEW, threads=2),
    "another machine": more_cores,
}


def fail(patch: pytest.MonkeyPatch, run: Run, options: BenchmarkOptions) -> None:
    """Measure, on a disk that is full when the figures are written."""
    with patch.context() as failure:
        failure.setattr(Run, "write_benchmark", failing(FULL))
        with pytest.raises(OSError, match="No space left"):
            measure(run, Data(), options, silent)


def figures(run: Run, options: BenchmarkOptions) -> Results:
    """Make the figures of a measurement that exists."""
    return measure_unless_done(run, NoData(), options, silent)


def names(run: Run) -> list[str]:
    return [path.name for path in kept_rounds.files(run)]


@pytest.fixture
def measured(run: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, str]:
    """A run with a measurement without figures, and the time when it was made."""
    only(run, "eager", "talking")
    fail(monkeypatch, run, FEW)
    return run, run.read_rounds().measured_at


@pytest.mark.parametrize("conditions", CONDITIONS)
def test_a_measurement_without_figures_outlives_one_under_other_conditions(
    conditions: str, measured: tuple[Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = measured
    before = run.rounds.read_bytes()
    with monkeypatch.context() as patch:
        measure_unless_done(run, Data(), CONDITIONS[conditions](patch), silent)
    assert run.benchmark.is_file()
    assert names(run) == ["rounds-1.json"]
    assert (run.folder / "rounds-1.json").read_bytes() == before
    assert [row.status for row in figures(run, FEW).rows] == ["ok", "ok"]
    assert names(run) == []
    assert len(list(run.measurements.iterdir())) == 2


def test_each_of_several_measurements_gets_its_figures_by_its_own_command(
    measured: tuple[Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = measured
    third = replace(FEW, samples=6)
    for options in (OTHER, third):
        fail(monkeypatch, run, options)
    assert names(run) == ["rounds.json", "rounds-2.json", "rounds-1.json"]
    left = [["rounds.json", "rounds-1.json"], ["rounds.json"], []]
    for options, expected in zip((OTHER, FEW, third), left, strict=True):
        assert figures(run, options).options.samples == options.samples
        assert names(run) == expected


def test_a_measurement_made_again_takes_the_place_of_the_earlier_one(
    measured: tuple[Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the same command would replace the later figures by those of the earlier one."""
    run, _ = measured
    fail(monkeypatch, run, replace(FEW, again=True))
    fail(monkeypatch, run, OTHER)
    assert names(run) == ["rounds.json", "rounds-2.json", "rounds-1.json"]
    figures(run, FEW)
    assert names(run) == ["rounds.json"]
    made = figures(run, OTHER)
    assert names(run) == []
    assert figures(run, OTHER) == made


def test_an_earlier_measurement_takes_the_place_of_no_later_one(
    measured: tuple[Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its conditions may differ in what a command does not ask for, such as an environment."""
    run, _ = measured
    later = measure_unless_done(run, Data(), replace(FEW, again=True), silent)
    # The earlier one is there again, as if it were of other conditions.
    fail(monkeypatch, run, replace(FEW, again=True))
    record = run.read_rounds()
    run.write_rounds(msgspec.structs.replace(record, measured_at="2001-01-01T00:00:00+00:00"))
    assert figures(run, FEW) == later
    run.write_rounds(msgspec.structs.replace(record, measured_at="2999-01-01T00:00:00+00:00"))
    assert figures(run, FEW).measured_at > later.measured_at


def test_a_complete_measurement_outlives_one_that_is_stopped(
    measured: tuple[Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, measured_at = measured
    for options in (OTHER, replace(FEW, again=True), OTHER):
        earlier = EarlierResults(run)
        with monkeypatch.context() as patch:
            patch.setattr(Row, "end_timing", failing(Stopped(signal.SIGINT)))
            with pytest.raises(Stopped):
                measure(run, Data(), options, silent)
        assert names(run) == ["rounds.json", "rounds-1.json"]
        assert not run.read_rounds().complete
        assert earlier.stand("benchmark")  # also under its new name
    assert figures(run, FEW).measured_at == measured_at


def test_a_measurement_of_a_later_version_is_kept(measured: tuple[Run, str]) -> None:
    run, _ = measured
    text = run.rounds.read_text().replace('"schema_version": 6', '"schema_version": 7')
    run.rounds.write_text(text)
    measure_unless_done(run, Data(), FEW, silent)
    assert (run.folder / "rounds-1.json").read_text() == text


def test_the_report_names_each_measurement_without_figures(
    measured: tuple[Run, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = measured
    measure_unless_done(run, Data(), OTHER, silent)
    fail(monkeypatch, run, replace(FEW, samples=6))
    run.config.write_text("{}")
    monkeypatch.setattr("src.report.stage.charts", lambda _: [])
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=400, file=nowhere)
        report_run(run, console)
    printed = console.export_text()
    for line in ("rounds.json is a later", "rounds-1.json is another"):
        assert f"{run.folder}/{line} measurement without its figures" in printed


def test_only_files_of_the_run_with_a_number_are_measurements(tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    (run.folder / "rounds-7.json").mkdir(parents=True)
    for name in ("0", "01", "-1", "x", "1.json", "12345678901", "٣"):
        (run.folder / f"rounds-{name}.json").write_text("{}")
    assert kept_rounds.files(run) == []
    run.rounds.write_text("{")
    kept_rounds.set_aside(run)
    assert names(run) == ["rounds-8.json"]
    (tmp_path / "elsewhere.json").write_text("{}")
    (run.folder / "rounds-9.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(UsageError, match="RUN: expected files and folders of the run's own"):
        kept_rounds.files(run)
