"""Raw measurements survive errors during the computation of their figures."""

from __future__ import annotations

import copy
import errno
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from src.benchmark import results, row_latency, suite, up_to_date
from src.benchmark.statistics import scorecard
from src.benchmark.suite import measure, measure_unless_done
from src.errors import UsageError
from src.report.stage import report_run
from src.run.folder import Run
from src.run.layout import as_dict
from src.run.results import Results
from src.system import atomic_files, os_errors
from src.system.signals import Stopped
from tests.benchmark.planted_formats import OPTIONS, Data, only, silent

FEW = replace(OPTIONS, batch_sizes=[1], rounds=3, memory=True)


def unread() -> None:
    """The hash of test images that cannot be read."""


class NoData(Data):
    """Data that must not be read: nothing is measured again."""

    def batches(self, split: str, batch_size: int = 64) -> Iterator[Any]:
        raise AssertionError("it is measured again")


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


TYPED = "python -m src.benchmark RUN batch_sizes=[1] rounds=3"
FULL = OSError(errno.ENOSPC, "No space left on device", "benchmark.json")
# Function that fails while figures are computed, and the error that it raises.
PLACES: dict[str, tuple[Any, str, BaseException]] = {
    "percentiles": (row_latency, "summarize", ZeroDivisionError("no samples")),
    "speed-ups": (row_latency, "speedup", ValueError("math domain error")),
    "accuracy": (
        scorecard.paired,
        "non_inferiority",
        ValueError("f(a) and f(b) must have different signs"),
    ),
    "the recommendation": (results, "recommend", KeyError("p50_s")),
    "the training's curves": (
        results.training_curves,
        "read",
        UnicodeDecodeError("utf-8", b"", 0, 1, ""),
    ),
    "a figure that is no number": (
        results,
        "recommend",
        ValueError("Out of range float values are not JSON compliant"),
    ),
    "a full disk": (Run, "write_benchmark", FULL),
    "Ctrl-C": (results, "recommend", Stopped(signal.SIGINT)),
}


@pytest.fixture
def measured(run: Run) -> Run:
    """A run of two well-behaved formats."""
    only(run, "eager", "talking")
    return run


def test_rounds_are_kept_until_their_figures_are_written(
    measured: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check a measurement, then each later command that continues from its rounds."""
    made: Callable[[], Any] = lambda: measure(  # noqa: E731
        measured, Data(), FEW, silent, command=TYPED
    )
    kept = ""
    for name, (owner, attribute, error) in PLACES.items():
        with monkeypatch.context() as patch:
            patch.setattr(owner, attribute, failing(error))
            with pytest.raises(type(error)) as raised:
                made()
        assert measured.rounds.is_file(), name
        assert not measured.benchmark.exists(), name
        if isinstance(error, Exception):
            [note] = raised.value.__notes__
            assert f"it is in {measured.rounds}, and {TYPED} goes on" in note, name
        else:
            assert str(raised.value).endswith(f"it is in {measured.rounds}"), name
        kept = kept or measured.rounds.read_text()
        assert measured.rounds.read_text() == kept, name
        made = lambda: measure_unless_done(measured, NoData(), FEW, silent, TYPED)  # noqa: E731
    line = str(os_errors.explain(FULL))
    assert "the disk is full" in line
    assert f"{TYPED} goes on from there" in line
    made_results = made()
    assert not measured.rounds.exists()
    assert measured.read_benchmark() == made_results
    assert [made_row.status for made_row in made_results.rows] == ["ok", "ok"]
    raw = json.loads(kept)
    for made_row, before in zip(made_results.rows, raw["rows"], strict=True):
        timed = {
            number: [round(value, 7) for value in turn["seconds"]]
            for number, turn in before["rounds"]["1"].items()
        }
        assert made_row.latency[0].seconds == timed


@pytest.fixture
def rounds(measured: Run, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Results]:
    """A run whose measurement has rounds and no figures; and the figures that it would have."""
    aside = measured.folder / "aside.json"
    made = results.write_figures

    def copying(*arguments: Any) -> Any:
        shutil.copy(measured.rounds, aside)
        return made(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(results, "write_figures", copying)
        made_results = measure(measured, Data(), FEW, silent)
    aside.replace(measured.rounds)
    measured.benchmark.unlink()
    return measured, made_results


def test_figures_computed_later_are_the_same_and_only_from_an_unchanged_measurement(
    rounds: tuple[Run, Results], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, expected = rounds
    text = run.rounds.read_text()
    assert up_to_date.find_rounds(run, FEW, unread) is not None
    assert up_to_date.find_rounds(run, replace(FEW, samples=4), unread) is None
    require_only_whole_ones(run, json.loads(text))
    run.rounds.write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr("src.system.machine.usable_cores", lambda: 99)
        assert up_to_date.find_rounds(run, FEW, unread) is None
    called: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(suite, "measure", lambda *arguments, **_: called.append(arguments))
        measure_unless_done(run, Data(), replace(FEW, again=True), silent)
    assert len(called) == 1
    # An older measurement of the same files is no reason to leave the newer one.
    older = as_dict(expected) | {"measured_at": "2020-01-01T00:00:00+00:00"}
    atomic_files.write_json(run.benchmark, older)
    console = Console(record=True, width=200, file=Path("/dev/null").open("w"))  # noqa: SIM115
    with monkeypatch.context() as patch:
        patch.setattr("src.report.stage.charts", lambda _: [])
        run.config.write_text("{}")
        report_run(run, console)
    assert f"{run.rounds} is a later measurement without its figures" in console.export_text()
    console.file.close()
    made_results = measure_unless_done(run, NoData(), FEW, silent)
    assert made_results == expected
    assert not run.rounds.exists()
    assert up_to_date.find_rounds(run, FEW, unread) is None


def require_only_whole_ones(run: Run, whole: dict[str, Any]) -> None:
    """Check that a changed file is not used, or is refused with a one-line error."""
    card, other = ("rows", 1, "scorecard"), whole["rows"][1]["scorecard"]

    def untried(status: str) -> dict[str, Any]:
        return {"status": status, "reason": "none", "scorecard": None, "changed": 0}

    changes: list[tuple[tuple[Any, ...], Any]] = [
        (("complete",), False),
        (("schema_version",), 1),
        (("schema_version",), 7),
        (("schema_version",), True),
        (("schema_version",), "2"),
        (("dataset",), {"name": "planted", "split": "test", "images": 50}),
        (("rows", 1, "memory"), {"8": {}}),
        (("rows", 1, "memory", "1", "peak_rss_bytes"), "much"),
        (("classes",), 4),
        (("rows",), []),
        (("rows", 0), whole["rows"][1]),
        (("rows", 1, "rounds"), {}),
        (("rows", 1, "rounds"), {"1": {}}),
        (("rows", 1, "rounds", "1", "0", "seconds"), []),
        (("rows", 1, "rounds", "1", "0", "seconds"), [float("nan")]),
        (("rows", 1, "rounds", "1", "0", "disturbance"), {}),
        (("rows", 1, "rounds", "1", "0", "process"), -1),
        (("rows", 1, "rounds", "1", "0", "process"), "0"),
        (("rows", 1, "rounds", "one"), {}),
        (("rows", 1, "warm"), {}),
        (("rows", 1, "figures", "effective"), 5),
        (("rows", 1, "figures", "sha256"), {"weights": "another"}),
        (("rows", 1, "instruction_sets"), {"avx2": untried("ok")}),  # without answers
        (("rows", 1, "instruction_sets"), {"neon": untried("skipped")}),
        (("rows", 1, "instruction_sets"), {"avx2": untried("failed") | {"scorecard": other}}),
        ((*card, "targets"), [3] * 50),
        ((*card, "targets"), []),
        ((*card, "predicted", 0), -1),
        ((*card, "in_top5"), [True]),
        ((*card, "before"), [0] * 49),
        ((*card, "calibration", "gaps"), [0.0]),
        ((*card, "calibration", "images"), 0),
        ((*card, "distance", "largest"), []),
    ]
    for place, value in changes:
        changed = copy.deepcopy(whole)
        at = changed
        for key in place[:-1]:
            at = at[key]
        at[place[-1]] = value
        run.rounds.write_text(json.dumps(changed))
        assert up_to_date.find_rounds(run, FEW, unread) is None, (place, value)
    changed = copy.deepcopy(whole)
    del changed["rows"][1]["rounds"]["1"]["0"]["process"]
    run.rounds.write_text(json.dumps(changed))
    assert up_to_date.find_rounds(run, FEW, unread) is None
    for text in ("", "{", "[]", "null", "{}", '{"schema_version": 1}'):
        run.rounds.write_text(text)
        assert up_to_date.find_rounds(run, FEW, unread) is None, text
    # The values are valid, but the figures computed from them are not.
    changed = copy.deepcopy(whole)
    changed["rows"][1]["rounds"]["1"]["0"] |= {"cpu_seconds": 1e12, "elapsed_seconds": 1e-9}
    changed["rows"][1]["rounds"]["1"] = {"0": changed["rows"][1]["rounds"]["1"]["0"]}
    run.rounds.write_text(json.dumps(changed))
    with pytest.raises(UsageError, match=r"rounds.json: expected .*busy_cores; found"):
        measure_unless_done(run, NoData(), FEW, silent)
