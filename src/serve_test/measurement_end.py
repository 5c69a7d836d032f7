"""The end of a measurement: the recommended file under load, if asked for, and the report."""

from __future__ import annotations

from dataclasses import fields, replace

from rich.console import Console

from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import require_success
from src.errors import LightshipError
from src.report.sections import load
from src.report.stage import report_run
from src.report.writers.console import show_warning
from src.run.earlier_results import EarlierResults
from src.run.folder import Run
from src.run.record import NativeDevice
from src.run.results import Results
from src.serve_test.options import ServeTestOptions
from src.serve_test.stage import serve_test
from src.system.console import StageDisplay
from src.system.project_commands import typed
from src.system.signals import resume_advice

_DEVICES: tuple[NativeDevice, ...] = ("cpu", "cuda")  # in the order of preference
_ARGUMENT = "benchmark.load"


def finish_measurement(
    run: Run,
    results: Results,
    options: BenchmarkOptions,
    console: Console,
    *,
    pages: bool = True,
) -> None:
    """Put the recommended file under load if ``options.load`` is set, and report everything.

    The rows are in ``benchmark.json`` by then. A load test that fails is one line below the report.

    Args:
        run: of the measurement.
        results: of the measurement.
        options: of the measurement.
        console: to print to.
        pages: False to name the command that makes the report instead.

    Raises:
        LightshipError: ``options.strict`` is set, and a row or the load test failed.
    """
    failure = None
    if options.load:
        try:
            _put_under_load(run, results, options, console)
        except LightshipError as error:
            failure = LightshipError(f"{_ARGUMENT}: {error}; the rows are in benchmark.json")
        except Exception:  # a fault of ours, told as such; the pages of the rows are not lost
            report_run(run, console)
            raise
    if pages:
        report_run(run, console)
    else:
        command = f"{typed('src.report')} {run.quoted}"
        console.print(f"{run.benchmark}: {command} makes the report", soft_wrap=True, markup=False)
    if failure is not None:
        show_warning(str(failure), console)
    require_success(results.rows, options)
    if options.strict and failure is not None:
        raise failure


def _put_under_load(
    run: Run, results: Results, options: BenchmarkOptions, console: Console
) -> None:
    """Measure the highest rate of the recommended file, or what is missing of that.

    The record names the command of the load test alone, which has the same conditions.

    Raises:
        LightshipError: no file is recommended, it cannot be put under load, or it held no rate.
    """
    device = next((device for device in _DEVICES if results.recommended.get(device)), None)
    if device is None:
        raise LightshipError("no file is recommended for the CPU or the GPU")
    chosen = ServeTestOptions(
        device=device,
        p99_limit=options.load_p99_limit,
        max_seconds=options.load_max_seconds or ServeTestOptions.max_seconds,
        timeout_seconds=options.timeout_seconds,
        max_memory_bytes=options.max_memory_bytes,
    )
    command = typed("src.serve_test", [str(run.folder), *_words(chosen)])
    earlier = EarlierResults(run)

    def going_on() -> str:
        """Return the command that goes on; an earlier test that stands would be its answer."""
        anew = options.again and earlier.stand("serve_test")
        return f"{command} again=true" if anew else command

    def advice() -> str:
        """Return advice where the command of the measurement does not go on with the test."""
        return "" if going_on() == command else f"go on with the load test with: {going_on()}"

    with resume_advice(advice), StageDisplay(console) as report:
        report("under load", str(results.recommended[device]))
        record = serve_test(run, replace(chosen, again=options.again), command, report)
    if record.choice is None:
        rest = load.remedy(record, "benchmark.load_max_seconds", going_on())
        raise LightshipError(f"no configuration of {record.format} was shown to hold a rate{rest}")


def _words(options: ServeTestOptions) -> list[str]:
    """Return the words of a command line that has these options."""
    return [
        f"{field.name}={getattr(options, field.name)}"
        for field in fields(options)
        if getattr(options, field.name) != getattr(ServeTestOptions(), field.name)
    ]
