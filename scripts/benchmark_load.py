#!/usr/bin/env python3
"""Put an exported file of several runs under load, and write a table with a curve of each.

scripts/benchmark_load.py RUN ...             measures, and prints the table
scripts/benchmark_load.py RUN ... --write     writes it and the curves into docs/serving.md

Each run is measured by python -m src.serve_test with one stream of one thread, without batching and
with a window of 4 ms, in five independent runs. It takes up to seven minutes a run, and what was
measured before is kept. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import marked_page

from src.cli.entry_point import run_command
from src.errors import LightshipError
from src.report.charts.chart import save
from src.report.charts.load import load_chart
from src.report.document import number
from src.report.sections.load import name_of
from src.run.folder import Run
from src.run.latency import Interval
from src.run.serve_test import Configuration, ServeTest
from src.system import machine

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "serving.md"
IMAGES = ROOT / "docs" / "images"
BEGIN = "<!-- made by scripts/benchmark_load.py: begin -->"
END = "<!-- made by scripts/benchmark_load.py: end -->"
OPTIONS = ("threads=[1]", "streams=[1]", "windows=[0,0.004]")
HEAD = (
    "network",
    "file",
    "batching",
    "requests/s",
    "times without",
    "a call, ms",
    "p50 ms",
    "p99 ms",
    "limit ms",
    "mean batch",
    "runs",
)
TEXTS = 3  # columns of text, the first ones


def main() -> None:
    """Run the command line of this process.

    Raises:
        LightshipError: a measurement failed.
    """
    chosen = _parser().parse_args()
    if chosen.write:
        marked_page.require(PAGE, BEGIN, END)
    runs = [Run.open(folder) for folder in chosen.runs]
    records = [(run, measured(run, chosen)) for run in runs]
    lines = [*table(records), "", *sources(records)]
    if not chosen.write:
        print("\n".join(lines))
        return
    for run, record in records:
        chart = load_chart(record)
        if chart is not None:
            name = f"load-{model_of(run)}.png"
            save(chart.draw(), IMAGES / name)
            lines += ["", f"![p50 and p99 against the rate, {model_of(run)}](images/{name})"]
    marked_page.fill(PAGE, BEGIN, END, lines)


def measured(run: Run, chosen: argparse.Namespace) -> ServeTest:
    """Return the measurement of a run, which is made, completed or only read.

    Raises:
        LightshipError: there is none.
    """
    command = [
        *(sys.executable, "-m", "src.serve_test", str(run.folder), *OPTIONS),
        *(f"format={chosen.format}", f"runs={chosen.runs_each}"),
        f"max_seconds={chosen.seconds}",
    ]
    code = subprocess.run(command, cwd=ROOT, env=os.environ, check=False).returncode
    record = run.read_serve_test()
    if code or record is None:
        raise LightshipError(f"src.serve_test of {run.name} ended with {code}")
    return record


def model_of(run: Run) -> str:
    """Return the name of a run's network."""
    return run.folder.parent.name


def table(records: Sequence[tuple[Run, ServeTest]]) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"| {' | '.join(HEAD)} |"
    yield f"|{'---|' * TEXTS}{'---:|' * (len(HEAD) - TEXTS)}"
    for run, record in records:
        for configuration in record.configurations:
            yield f"| {' | '.join(_cells(run, record, configuration))} |"


def _cells(run: Run, record: ServeTest, configuration: Configuration) -> Iterator[str]:
    probe = configuration.at_highest
    yield model_of(run)
    yield f"`{record.format}`"
    yield name_of(configuration).rpartition(", ")[2]
    yield _interval(configuration.highest, 0)
    yield _interval(record.gain, 2) if configuration.batches else ""
    yield number(configuration.call_s, 1e3, 2)
    yield number(probe.p50_s, 1e3, 1) if probe else ""
    yield number(probe.p99_s, 1e3, 1) if probe else ""
    yield number(record.p99_limit_s, 1e3, 1)
    yield f"{probe.mean_batch:.2f}" if probe else ""
    yield str(len(configuration.bounds))


def _interval(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return "not shown"
    return f"{interval.value:.{digits}f} [{interval.low:.{digits}f}, {interval.high:.{digits}f}]"


def sources(records: Sequence[tuple[Run, ServeTest]]) -> Iterator[str]:
    """Yield the machine, the date and all that is missing."""
    cpus = dict.fromkeys(record.environment.cpu for _, record in records)
    days = dict.fromkeys(record.measured_at[:10] for _, record in records)
    yield (
        f"Measured {', '.join(days)} on {', '.join(cpus)}, {machine.usable_cores()} cores: one for "
        "the stream, one for the generator. Intervals are over the runs."
    )
    for run, record in records:
        if not record.is_complete:
            yield f"The measurement of {model_of(run)} ended before all of it was done."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="an exported run's folder")
    parser.add_argument("--format", default="onnx_int8")
    parser.add_argument("--runs-each", type=int, default=5, help="independent runs")
    parser.add_argument("--seconds", type=int, default=420, help="of all probes of a run")
    parser.add_argument("--write", action="store_true", help="fill the table of the page")
    return parser


if __name__ == "__main__":
    run_command(main)
