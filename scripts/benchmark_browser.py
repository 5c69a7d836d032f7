#!/usr/bin/env python3
"""Time a run's ONNX files in a web browser, and compare their answers with the native ones.

scripts/benchmark_browser.py RUN ...             prints the table
scripts/benchmark_browser.py RUN ... --write     writes it into docs/deployment.md

``benchmark.browser=true`` measures the same files in the browser as rows of a measurement, scored
on all test images. This script answers another question: the cost of the browser itself. The same
file runs natively beside it with one thread, as the page has, and both are timed in turn, so the
ratio of their times has an interval. It needs Chromium, and npm at the first use. It takes about
two minutes for each run of 64 pixels. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import marked_page
import numpy as np
from argument_types import positive
from numpy.typing import NDArray
from timed_in_turn import Timed, WorkerClock, opened, time_in_turn

from src import formats as formats_known
from src.backends.base import Unavailable
from src.benchmark.options import BenchmarkOptions
from src.benchmark.statistics.latency import Rounds, call_seconds, speedup, summarize
from src.cli.entry_point import run_command
from src.data.restore import data_of
from src.errors import LightshipError, UsageError
from src.predict.exported import require_exported, require_known
from src.predict.stage import softmax
from src.run.folder import Run
from src.run.latency import Interval
from src.system import machine
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits

PAGE = Path(__file__).resolve().parent.parent / "docs" / "deployment.md"
BEGIN = "<!-- made by scripts/benchmark_browser.py: begin -->"
END = "<!-- made by scripts/benchmark_browser.py: end -->"
PLACES = ("cpu", "browser")

Images = NDArray[np.float32]  # (N, 3, H, W)
Logits = NDArray[np.float32]  # (N, K)


@dataclass
class FileFigures:
    """One exported file, in the browser and natively."""

    run: str
    format: str
    note: str = ""  # versions of the browser and its runtime
    native: Timed = field(default_factory=Timed)
    browser: Timed = field(default_factory=Timed)
    images: int = 0
    changed: int = 0  # answers of the browser with another class
    largest: float = 0.0  # difference of a probability


def main() -> None:
    chosen = _parser().parse_args()
    if chosen.write:
        marked_page.require(PAGE, BEGIN, END)
    runs = [Run(path) for path in chosen.runs]
    options = BenchmarkOptions(rounds=chosen.rounds, processes=chosen.processes)
    try:
        figures = [
            file for run in runs for file in measure(run, chosen.formats, options, chosen.images)
        ]
    except (WorkerError, Unavailable) as error:
        raise LightshipError(str(error)) from error
    setting = f"{options.processes} processes of {options.rounds} rounds"
    processor = f"{machine.cpu_model()} ({', '.join(machine.instruction_sets())})"
    lines = [*table(figures), "", f"{figures[0].note}, one thread of {processor}; {setting}."]
    print("\n".join(lines))
    if chosen.write:
        marked_page.fill(PAGE, BEGIN, END, lines)


def measure(
    run: Run, formats: Sequence[str], options: BenchmarkOptions, most: int
) -> list[FileFigures]:
    """Return the figures of a run's files.

    Args:
        run: an exported run.
        formats: names of the formats.
        options: number of processes and rounds, length of a turn.
        most: number of test images to compare answers on, at most.

    Raises:
        UsageError: a format was not exported, or no page can run it.
    """
    manifest = run.read_manifest()
    for name in formats:
        require_exported(manifest, name)
        require_known(run, manifest, name)
        require_browser(name)
    images = test_images(run, most)
    files = [FileFigures(manifest.model, name, images=len(images)) for name in formats]
    openers = [partial(_opened, run, file, device, options) for file in files for device in PLACES]

    def look(process: int, clocks: Sequence[WorkerClock]) -> None:
        for file, native, browser in zip(files, clocks[::2], clocks[1::2], strict=True):
            if process == 0:
                compare(file, native.worker.answer(images), browser.worker.answer(images))
        print(f"{run.name}: process {process + 1}", file=sys.stderr, flush=True)

    timed = time_in_turn(openers, images[:1], options, look)
    for file, native, browser in zip(files, timed[::2], timed[1::2], strict=True):
        file.native, file.browser = native, browser
    return files


def _opened(run: Run, file: FileFigures, device: str, options: BenchmarkOptions) -> WorkerClock:
    """Load a file on a device in a new process, and note the versions of a browser."""
    limits = Limits(
        threads=1,
        answer_seconds=options.timeout_seconds,
        resident_bytes=options.memory_limit,
        high_priority=False,
    )
    worker, loaded = opened(run, file.format, device, limits)
    if device == "browser":
        file.note = f"{loaded.effective['runtime']} in {loaded.effective['browser']}"
    return WorkerClock(worker)


def require_browser(name: str) -> None:
    """Refuse a format whose files no page can run.

    Raises:
        UsageError: it does not run on the device ``browser``.
    """
    able = [each for each in formats_known.names() if "browser" in formats_known.get(each).devices]
    if name not in able:
        raise UsageError(
            "--formats",
            expected=f"formats of a browser: {', '.join(able)}",
            found=name,
            remedy="name those",
        )


def test_images(run: Run, most: int) -> Images:
    """Return the first test images, with the preprocessing of the evaluation."""
    parts, count = [], 0
    for images, _ in data_of(run).batches("test"):
        parts.append(images[: most - count])
        count += len(parts[-1])
        if count == most:
            break
    if not parts:
        raise LightshipError(f"{run.name}: the run has no test images")
    return np.concatenate(parts)


def compare(file: FileFigures, native: Logits, browser: Logits) -> None:
    """Count the answers that the browser changes."""
    if browser.shape != native.shape or not np.isfinite(browser).all():
        raise LightshipError(
            f"{file.run}, {file.format}: expected finite logits {native.shape} of the browser, "
            f"found {browser.shape}"
        )
    file.changed = int((browser.argmax(axis=1) != native.argmax(axis=1)).sum())
    file.largest = float(np.abs(softmax(browser) - softmax(native)).max())


def table(figures: Sequence[FileFigures]) -> list[str]:
    """Return the table in Markdown."""
    lines = [
        "| network | file | native p50 ms | browser p50 ms | p90 ms | a call, ms | times native | "
        "changed answers | largest difference |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for file in figures:
        native = summarize(1, file.native.rounds, warm=file.native.warm)
        cell = summarize(1, file.browser.rounds, warm=file.browser.warm)
        causes = f" ~{cell.unstable[0]}" if cell.unstable else ""
        p90 = f"{1e3 * cell.p90_s:.2f}" if cell.p90_s is not None else "-"
        lines.append(
            f"| {file.run} | `{file.format}` | {1e3 * native.p50_s:.2f} | "
            f"{1e3 * cell.p50_s:.2f}{causes} | {p90} | {_interval(call_seconds(cell), 1e3)} | "
            f"{_interval(slowdown(file.native.rounds, file.browser.rounds), 1)} | "
            f"{file.changed} of {file.images} | {file.largest:.2g} |"
        )
    return lines


def slowdown(native: Rounds, browser: Rounds) -> Interval | None:
    """Return the time of a call in the browser over the native one, paired by rounds."""
    return speedup(browser, native)


def _interval(value: Interval | None, scale: float) -> str:
    if value is None:
        return "-"
    return f"{scale * value.value:.2f} [{scale * value.low:.2f}, {scale * value.high:.2f}]"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="an exported run's folder"
    )
    parser.add_argument("--formats", nargs="+", default=["onnx_fp32", "onnx_int8"])
    parser.add_argument("--processes", type=positive, default=8, help="of each file, in each place")
    parser.add_argument("--rounds", type=positive, default=4, help="in each process")
    parser.add_argument("--images", type=positive, default=128, help="test images to compare on")
    parser.add_argument("--write", action="store_true", help="fill the table of the page")
    return parser


if __name__ == "__main__":
    run_command(main)
