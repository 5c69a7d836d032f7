"""The end of a measurement: the load test comes before the report, and costs no row."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure_unless_done
from src.cli.stage_command import parse
from src.errors import LightshipError, UsageError
from src.run.folder import Run
from src.run.reading import convert
from src.run.results import Results
from src.run.serve_test import ServeTest
from src.run.serving import current_serve_test
from src.serve_test import measurement_end, stage
from src.serve_test.measurement_end import finish_measurement
from src.serve_test.options import ServeTestOptions
from src.system.signals import Stopped
from tests.benchmark.planted_formats import FEW, Data, only, silent
from tests.report.planted import FAILED, results, row
from tests.serve_test.planted import configuration, serve_test
from tests.serve_test.simulated import Opened

LOAD = BenchmarkOptions(load=True)
NOTHING_HELD = {"chosen": None, "gain": None}


class Stages:
    """Stands in for the load test and the report, and notes their order.

    Args:
        outcome: what the load test returns or raises.
    """

    def __init__(self, outcome: ServeTest | BaseException | None = None) -> None:
        self.outcome = convert(serve_test(), ServeTest) if outcome is None else outcome
        self.order: list[str] = []
        self.options: ServeTestOptions | None = None
        self.command = ""

    def serve_test(
        self, run: Run, options: ServeTestOptions, command: str, report: Callable[..., None]
    ) -> ServeTest:
        self.order.append("load")
        self.options, self.command = options, command
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome

    def report_run(self, run: Run, screen: Console) -> None:
        self.order.append("report")
        screen.print("the report")


def measured(*rows: dict[str, Any], **changes: Any) -> Results:
    return convert(results(*(rows or (row("eager"),))) | changes, Results)


def finish(
    stages: Stages,
    folder: Path,
    options: BenchmarkOptions = LOAD,
    content: Results | None = None,
    *,
    pages: bool = True,
) -> str:
    """End a measurement with planted stages, and return what is printed."""
    console = Console(record=True, width=400)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measurement_end, "serve_test", stages.serve_test)
        patch.setattr(measurement_end, "report_run", stages.report_run)
        try:
            finish_measurement(Run(folder), content or measured(), options, console, pages=pages)
        finally:
            printed = console.export_text()
    return printed


def test_nothing_is_put_under_load_unless_it_is_asked_for(tmp_path: Path) -> None:
    stages = Stages()
    finish(stages, tmp_path, BenchmarkOptions())
    assert stages.order == ["report"]


def test_the_report_is_made_after_the_load_test(tmp_path: Path) -> None:
    stages = Stages()
    finish(stages, tmp_path)
    assert stages.order == ["load", "report"]
    assert stages.options == ServeTestOptions(timeout_seconds=LOAD.timeout_seconds)


def test_without_pages_the_command_is_named_that_makes_them(tmp_path: Path) -> None:
    stages = Stages()
    printed = finish(stages, tmp_path, pages=False)
    assert stages.order == ["load"]
    assert f"python -m src.report {tmp_path} makes the report" in printed


def test_without_pages_a_failure_is_still_told(tmp_path: Path) -> None:
    options = replace(LOAD, strict=True)
    with pytest.raises(LightshipError, match="no place"):
        finish(Stages(LightshipError("no place")), tmp_path, options, pages=False)


def test_the_options_of_the_load_test_are_those_of_the_measurement(tmp_path: Path) -> None:
    stages = Stages()
    options = replace(
        LOAD,
        load_p99_limit=0.0123456789,
        load_max_seconds=31.5,
        max_memory_bytes=10**9,
        timeout_seconds=77.0,
        again=True,
    )
    finish(stages, tmp_path, options)
    assert stages.options == ServeTestOptions(
        p99_limit=0.0123456789,
        max_seconds=31.5,
        max_memory_bytes=10**9,
        timeout_seconds=77.0,
        again=True,
    )
    # The command of the record has the same conditions, and would not begin anew.
    program = [*shlex.split(stages.command)[:3], str(tmp_path)]
    assert program == ["python", "-m", "src.serve_test", str(tmp_path)]
    (tmp_path / "config.yaml").write_text("{}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", shlex.split(stages.command)[2:])
        _, alone = parse("serve_test", None, ServeTestOptions)
    assert alone == replace(stages.options, again=False)


def test_the_file_for_the_cpu_goes_before_the_one_for_the_gpu(tmp_path: Path) -> None:
    gpu = row("eager", device="cuda")
    content = results(row("eager"), gpu)
    content["recommendation"]["cuda"] = content["recommendation"]["cpu"]
    content["recommended"]["cuda"] = "eager"
    stages = Stages()
    finish(stages, tmp_path, content=convert(content, Results))
    assert stages.options is not None
    assert stages.options.device == "cpu"
    content = results(gpu)
    content["recommendation"] = {"cuda": {**content["recommendation"]["cpu"], "format": "eager"}}
    content["recommended"] = {"cuda": "eager"}
    finish(stages, tmp_path, content=convert(content, Results))
    assert stages.options.device == "cuda"
    assert " device=cuda" in stages.command


def test_a_load_test_without_a_recommended_file_is_one_line(tmp_path: Path) -> None:
    stages = Stages()
    printed = finish(stages, tmp_path, content=measured(recommendation={}, recommended={}))
    assert stages.order == ["report"]
    assert "benchmark.load: no file is recommended" in printed


@pytest.mark.parametrize(
    "error",
    [
        LightshipError("onnx: the process ended by SIGABRT"),
        UsageError("format", expected="one that runs", found="onnx", remedy="name another"),
    ],
)
def test_a_load_test_that_fails_costs_no_row_and_no_report(
    error: LightshipError, tmp_path: Path
) -> None:
    stages = Stages(error)
    printed = finish(stages, tmp_path)
    assert stages.order == ["load", "report"]
    [line] = [line for line in printed.splitlines() if line.startswith("benchmark.load: ")]
    assert line == f"benchmark.load: {error}; the rows are in benchmark.json"
    assert printed.index("the report") < printed.index(line)


def test_a_failed_load_test_fails_the_command_only_when_asked_to(tmp_path: Path) -> None:
    stages = Stages(LightshipError("onnx: killed"))
    with pytest.raises(LightshipError, match=r"benchmark\.load: onnx: killed"):
        finish(stages, tmp_path, replace(LOAD, strict=True))
    assert stages.order == ["load", "report"]
    failed = measured(row("eager"), row("onnx", **FAILED))
    with pytest.raises(LightshipError, match=r"benchmark\.strict: 1 rows failed"):
        finish(stages, tmp_path, replace(LOAD, strict=True), failed)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("a defect")])
def test_the_report_is_made_before_a_defect_or_a_full_disk_ends_the_command(
    error: Exception, tmp_path: Path
) -> None:
    stages = Stages(error)
    with pytest.raises(type(error)) as raised:
        finish(stages, tmp_path)
    assert raised.value is error
    assert stages.order == ["load", "report"]


COMMAND = "COMMAND"  # of the load test alone


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"is_complete": True}, ""),
        ({"is_complete": False}, "; COMMAND goes on with it"),
        (
            {"is_complete": False, "max_seconds": 300.0, "enough_seconds": 1260.0},
            ": the time was over; benchmark.load_max_seconds=1260 is enough for all of it",
        ),
    ],
)
def test_a_load_test_that_held_no_rate_is_one_line_with_its_remedy(
    tmp_path: Path, changes: dict[str, Any], remedy: str
) -> None:
    none = configuration(0.0, 9.0, bounds=[], highest=None)
    record = serve_test(none, **NOTHING_HELD, **changes)
    stages = Stages(convert(record, ServeTest))
    printed = finish(stages, tmp_path)
    remedy = remedy.replace(COMMAND, stages.command)
    line = f"no configuration of onnx was shown to hold a rate{remedy}; the rows are in"
    assert f"benchmark.load: {line} benchmark.json" in printed


def test_a_load_test_that_is_stopped_while_it_is_made_anew_names_its_own_command(
    tmp_path: Path,
) -> None:
    """The command of the measurement has no again=true then, and would show the earlier test."""
    for is_anew, has_earlier in ((True, True), (True, False), (False, True)):
        run = Run(tmp_path)
        run.serve_test.unlink(missing_ok=True)
        if has_earlier:
            run.serve_test.touch()
        stages = Stages(Stopped(signal.SIGINT))
        with pytest.raises(Stopped) as stopped:
            finish(stages, tmp_path, replace(LOAD, again=is_anew))
        advice = f"go on with the load test with: {stages.command} again=true"
        assert stopped.value.details == (advice if is_anew and has_earlier else "")


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Simulated streams instead of worker processes."""
    streams = Opened(lambda images: 0.008 + 0.002 * images)
    with pytest.MonkeyPatch.context() as patch:
        load_test = partial(stage.serve_test, open_streams=streams)
        patch.setattr(measurement_end, "serve_test", load_test)
        patch.setattr(measurement_end, "report_run", lambda *_: None)
        yield streams


def test_the_recommended_file_is_put_under_load_once(run: Run, opened: Opened) -> None:
    only(run, "eager", "talking")
    options = replace(FEW, load=True)
    for number in range(3):
        content = measure_unless_done(run, Data(), options, silent)
        finish_measurement(run, content, options, Console(record=True, width=400))
        record = run.read_serve_test()
        assert record is not None
        assert record == current_serve_test(run)
        assert (record.format, record.is_complete) == (content.recommended["cpu"], True)
        if number == 0:
            assert opened.setups
            first, before = record, run.serve_test.read_bytes()
            opened.setups.clear()
        else:
            assert opened.setups == []
            assert run.serve_test.read_bytes() == before
    # The command of the record alone measures nothing either.
    run.config.write_text("{}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", shlex.split(first.command)[2:])
        _, alone = parse("serve_test", None, ServeTestOptions)
    assert stage.serve_test(run, alone, "a command", silent, opened) == first
    assert opened.setups == []
    # Measured again, it is put under load again.
    again = replace(options, again=True)
    content = measure_unless_done(run, Data(), again, silent)
    finish_measurement(run, content, again, Console(record=True, width=400))
    assert opened.setups


class Stop(BaseException):
    """Ends a command, as a signal does."""


def test_a_stopped_load_test_goes_on_with_the_same_command(
    run: Run, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(run, "eager", "talking")
    options = replace(FEW, load=True)
    content = measure_unless_done(run, Data(), options, silent)
    load_test = measurement_end.serve_test
    rates: list[str] = []

    def stopping(phase: str, detail: str = "", done: int = 0, total: int = 0) -> None:
        rates.extend([detail] if "requests/s" in detail else [])
        if len(rates) == 3:
            raise Stop

    def stopped(run: Run, options: Any, command: str, report: Any) -> ServeTest:
        return load_test(run, options, command, stopping)

    with monkeypatch.context() as patch:
        patch.setattr(measurement_end, "serve_test", stopped)
        with pytest.raises(Stop):
            finish_measurement(run, content, options, Console(record=True, width=400))
    begun = run.read_serve_test()
    assert begun is not None
    probes = begun.configurations[0].probes
    assert len(probes) == 2
    assert run.read_benchmark() == content
    finish_measurement(run, content, options, Console(record=True, width=400))
    record = run.read_serve_test()
    assert record is not None
    assert record.is_complete
    assert record.configurations[0].probes[:2] == probes
