#!/usr/bin/env python3
"""Time a run's ONNX files in a web browser, and compare their answers with the native ones.

scripts/benchmark_browser.py RUN ...             prints the table
scripts/benchmark_browser.py RUN ... --write     writes it into docs/deployment.md

It needs Chromium, and npm for onnxruntime-web. Each file is the exported one, without its
preprocessing inside, so it gets the input of the report: one image, with one thread. The same file
runs natively beside it, in a process of its own, with one thread. Both are warmed up until they are
steady and timed in turn, in rounds of a changing order and in several processes. It takes about a
minute for each run of 64 pixels. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import browser_process
import marked_page
import numpy as np
from browser_process import Browser, Result, Server
from timed_places import Images, InBrowser, Logits, Native, Place

from src.backends.base import Unavailable
from src.benchmark.options import BenchmarkOptions
from src.benchmark.schedule import rotated
from src.benchmark.statistics.latency import Rounds, call_seconds, speedup, summarize
from src.cli.entry_point import run_command
from src.data.restore import data_of
from src.errors import LightshipError, UsageError
from src.predict.exported import require_exported, require_known
from src.predict.stage import softmax
from src.run.file_input import BatchMaker
from src.run.folder import Run
from src.run.latency import Interval, Turn
from src.worker import protocol
from src.worker.process import Limits, WorkerError, WorkerProcess

PAGE = Path(__file__).resolve().parent.parent / "docs" / "deployment.md"
BEGIN = "<!-- made by scripts/benchmark_browser.py: begin -->"
END = "<!-- made by scripts/benchmark_browser.py: end -->"
MODEL = "model.onnx"


@dataclass
class Timed:
    """The turns of one file in one place."""

    rounds: dict[int, Turn] = field(default_factory=dict)
    warm: bool = True


@dataclass
class FileFigures:
    """One exported file, in the browser and natively."""

    run: str
    format: str
    native: Timed = field(default_factory=Timed)
    browser: Timed = field(default_factory=Timed)
    images: int = 0
    changed: int = 0  # answers of the browser with another class
    largest: float = 0.0  # difference of a probability


def main() -> None:
    chosen = _parser().parse_args()
    program = browser_process.program()  # before anything takes time
    if chosen.write and BEGIN not in PAGE.read_text(encoding="utf-8"):
        raise UsageError("--write", expected=f"{BEGIN} in {PAGE}", found="none", remedy="add it")
    runs = [Run(path) for path in chosen.runs]
    options = BenchmarkOptions(rounds=chosen.rounds, processes=chosen.processes)
    with tempfile.TemporaryDirectory(prefix="lightship-browser-") as name:
        scratch = Path(name)
        with Server(browser_process.packages(scratch)) as server:
            bench = Bench(program, server, scratch, options, chosen.images)
            try:
                figures = [each for run in runs for each in bench.measure(run, chosen.formats)]
            except (WorkerError, Unavailable) as error:
                raise LightshipError(f"native file: {error}") from error
    lines = [*table(figures), "", bench.note()]
    print("\n".join(lines))
    if chosen.write:
        marked_page.fill(PAGE, BEGIN, END, lines)


class Bench:
    """Measures runs, one after the other.

    Args:
        program: path of Chromium.
        server: serves the page.
        scratch: for profiles of the browser.
        options: number of processes and rounds, length of a turn.
        images: number of test images to compare answers on, at most.
    """

    def __init__(
        self, program: str, server: Server, scratch: Path, options: BenchmarkOptions, images: int
    ) -> None:
        self._program, self._server, self._scratch = program, server, scratch
        self._options, self._most = options, images
        self._page = Result()
        self._profiles = 0

    def measure(self, run: Run, formats: Sequence[str]) -> list[FileFigures]:
        """Return the figures of a run's files."""
        manifest = run.read_manifest()
        for name in formats:
            require_exported(manifest, name)
            require_known(run, manifest, name)
            require_onnx(run, name)
        images = test_images(run, self._most)
        files = [FileFigures(manifest.model, name, images=len(images)) for name in formats]
        number = 0
        for process in range(self._options.processes):
            with contextlib.ExitStack() as stack:
                places: list[tuple[FileFigures, Timed, Place]] = []
                for file in files:
                    native, browser = self._places(stack, run, file.format, images)
                    if process == 0:
                        compare(file, native.logits(), browser.logits())
                    places += [(file, file.native, native), (file, file.browser, browser)]
                for _, timed, place in places:
                    timed.warm &= place.warm_up(self._options)
                for _ in range(self._options.rounds):
                    for _, timed, place in rotated(places, number):
                        timed.rounds[number] = place.time(self._options, process)
                    number += 1
            print(f"{run.name}: process {process + 1}", file=sys.stderr, flush=True)
        return files

    def note(self) -> str:
        """Return the versions, as a sentence."""
        words = self._page.agent.split()
        chromium = next((word for word in words if "Chrome/" in word), "Chromium").replace("/", " ")
        return (
            f"onnxruntime-web {self._page.version} in {chromium}, one thread each; "
            f"{self._options.processes} processes of {self._options.rounds} rounds."
        )

    def _places(
        self, stack: contextlib.ExitStack, run: Run, name: str, images: Images
    ) -> tuple[Native, InBrowser]:
        """Load a file natively and in a new browser; the stack ends both."""
        manifest = run.read_manifest()
        folder = run.own("exports", name)
        maker = BatchMaker(manifest.formats[name].takes, manifest.preprocessing)
        limits = Limits(
            threads=1,
            answer_seconds=self._options.timeout_seconds,
            resident_bytes=self._options.memory_limit,
            high_priority=False,  # as the browser's
        )
        worker = stack.enter_context(
            contextlib.closing(WorkerProcess(name, folder, "cpu", limits, maker))
        )
        worker.ask(protocol.Load(classes=len(manifest.class_names)))
        self._profiles += 1
        profile = self._scratch / f"profile-{self._profiles}"
        browser = stack.enter_context(
            Browser(self._program, self._server, folder / MODEL, maker(images), profile)
        )
        self._page = browser.opened()
        return Native(worker, images), InBrowser(browser)


def require_onnx(run: Run, name: str) -> None:
    """Refuse a format whose file is no ONNX file.

    Raises:
        UsageError: there is no ``model.onnx``.
    """
    if not run.own("exports", name, MODEL).is_file():
        raise UsageError(
            "--formats",
            expected="ONNX formats",
            found=name,
            remedy="name others, such as onnx_fp32",
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
    parser.add_argument(
        "--processes", type=_positive, default=8, help="of each file, in each place"
    )
    parser.add_argument("--rounds", type=_positive, default=4, help="in each process")
    parser.add_argument("--images", type=_positive, default=128, help="test images to compare on")
    parser.add_argument("--write", action="store_true", help="fill the table of the page")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, found {value}")
    return value


if __name__ == "__main__":
    run_command(main)
