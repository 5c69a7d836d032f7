#!/usr/bin/env python3
"""Measure the formats with an environment of their own beside the others, and write the table.

scripts/benchmark_environments.py RUN ...             prints the table
scripts/benchmark_environments.py RUN ... --write     writes it into docs/performance.md

Each run is copied; the copy is exported from the run's best checkpoint, with the number of
calibration and selection images and the input of its training, and measured by the rules of every
measurement: batch 1, all cores, all files of a network in turn, speed-ups over onnx_fp32 with 95 %
intervals. An environment is installed at its first use, that of executorch takes 6 GB: --formats
names others. Of four networks at 64 pixels it takes about an hour on two cores, most of it for the
int8 searches. --root keeps the copies, so that the same command goes on where it ended. Leave the
machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import marked_page
from argument_types import positive

from src import formats
from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure_unless_done
from src.cli.entry_point import run_command
from src.data.restore import data_of
from src.export.options import ExportOptions
from src.export.source import Checkpoint
from src.export.stage import export_run
from src.report.document import MISSING
from src.report.sections import verdicts
from src.report.sections.measurements import cause_of
from src.report.sections.rows import status_in_words
from src.run.folder import Run
from src.run.results import Results
from src.run.row import Row
from src.system import atomic_files

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
BEGIN = "<!-- made by scripts/benchmark_environments.py: begin -->"
END = "<!-- made by scripts/benchmark_environments.py: end -->"
BASELINE = "onnx_fp32"
BESIDE = (BASELINE, "onnx_int8", "openvino_fp32", "openvino_int8")
OF_TRAINING = ("calibration_images", "judging_images", "input")  # options of its export
LEFT_OUT = ("exports", "profile", "flipped", "measurements", "benchmark.json", "rounds*.json")


def main() -> None:
    chosen = _parser().parse_args()
    if chosen.write:
        marked_page.require(PAGE, BEGIN, END)
    names = list(dict.fromkeys((*BESIDE, *chosen.formats)))
    options = BenchmarkOptions(
        batch_sizes=[1],
        baseline=BASELINE,
        max_seconds=chosen.seconds,
        processes=chosen.processes,
        rounds=1000,
        memory=False,
        pipeline=False,
    )
    runs = [Run(path) for path in chosen.runs]
    for run in runs:  # before an hour of work
        Checkpoint.read(run.best_checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        root = (chosen.root or Path(scratch)).resolve()
        measured = [measure(copy_of(run, root), names, options) for run in runs]
    lines = page_lines(measured)
    print("\n".join(lines))
    if chosen.write:
        marked_page.fill(PAGE, BEGIN, END, lines)


def own_environments() -> list[str]:
    """Return the formats with an environment of their own."""
    return [name for name in formats.names() if formats.get(name).environment]


def copy_of(run: Run, root: Path) -> Run:
    """Return a copy of a run without its exports, or the one that an earlier command made."""
    source = run.folder.resolve()
    # Another run of the same name, or the same one that was trained further, has another copy.
    which = f"{source} {atomic_files.sha256(run.best_checkpoint)}"
    digest = hashlib.sha256(which.encode(errors="surrogateescape")).hexdigest()[:8]
    copy = root / f"{source.parent.name}-{digest}" / source.name
    if not copy.is_dir():
        part = copy.with_name(f"{copy.name}.part")  # one that was cut short is no copy
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(*LEFT_OUT))
        part.rename(copy)
    return Run(copy)


def measure(run: Run, names: Sequence[str], options: BenchmarkOptions) -> Results:
    """Export these formats and measure them in turn, unless that was done."""
    data = data_of(run)
    wanted = export_options(run, names, options.max_accuracy_drop)
    export_run(run, Checkpoint.read(run.best_checkpoint), data, wanted, _say)
    return measure_unless_done(run, data, options, _say)


def export_options(run: Run, names: Sequence[str], max_accuracy_drop: float) -> ExportOptions:
    """Return the options for these formats, with the images and the input of the training."""
    trained = run.read_config().get("export") or {}
    kept = {name: trained[name] for name in OF_TRAINING if name in trained}
    return ExportOptions(formats=list(names), max_accuracy_drop=max_accuracy_drop, **kept)


def page_lines(measured: Sequence[Results]) -> list[str]:
    """Return the part of the page: the table, the recommended files and the machine."""
    environment = measured[0].environment
    lines = [
        "| network | file | size MB | verdict | p50 ms | a call, times `onnx_fp32` |",
        "|---|---|---:|---|---:|---:|",
        *(line for results in measured for line in table_lines(results)),
        "",
        *(recommendation(results) for results in measured),
        "",
        f"Measured {measured[0].measured_at[:10]} on {environment.cpu} "
        f"({', '.join(environment.isa)}), {environment.threads} threads, "
        f"{measured[0].dataset.images} test images. Made by `scripts/benchmark_environments.py`.",
    ]
    versions = runtimes(measured)
    return [*lines[:-1], f"{lines[-1]} Runtimes: {', '.join(versions)}."]


def table_lines(results: Results) -> Iterator[str]:
    """Yield a line for each file on the CPU: the fastest first, then those without figures."""
    rows = [row for row in results.rows if row.device == "cpu"]
    done = sorted((row for row in rows if row.is_ok), key=lambda row: row.latency[0].p50_s)
    for row in done:
        yield (
            f"| {results.model} | `{row.format}` | {(row.size_bytes or 0) / 1e6:.1f} | "
            f"{verdicts.cell(row).text} | {_milliseconds(row)} | {_times(row, results)} |"
        )
    for row in rows:
        if not row.is_ok:
            reason = f"{status_in_words(row)}: {row.reason}".replace("|", "\\|")
            missing = f"{MISSING} | {MISSING}"
            yield f"| {results.model} | `{row.format}` | {MISSING} | {reason} | {missing} |"


def recommendation(results: Results) -> str:
    """Return a line with the recommended file, and whether its runtime has its own environment."""
    name = results.recommended.get("cpu")
    if name is None:
        return f"- {results.model}: no file is recommended."
    advice = results.recommendation["cpu"]
    equals = [f"`{other}`" for other in advice.equals]
    beside = f", from which {', '.join(equals)} cannot be told apart" if equals else ""
    return f"- {results.model}: recommended is `{name}`{beside}."


def runtimes(measured: Sequence[Results]) -> list[str]:
    """Return the runtimes with their versions, as they report them."""
    reported = {
        str(row.setting("runtime")) for results in measured for row in results.rows if row.is_ok
    }
    # OpenVINO appends its build: 2026.4.1-22982-e213a147257-releases/2026/4
    return sorted({re.sub(r"(\d)-\d+-\S+$", r"\1", name) for name in reported}, key=str.lower)


def _milliseconds(row: Row) -> str:
    cause = cause_of(row.latency[0])
    return f"{1e3 * row.latency[0].p50_s:.2f}{f' ~{cause}' if cause else ''}"


def _times(row: Row, results: Results) -> str:
    gain = row.latency[0].speedup
    if row.format == results.baseline:
        return "1"
    return f"{gain.value:.2f} [{gain.low:.2f}, {gain.high:.2f}]" if gain else MISSING


def _say(stage: str, what: str = "", done: int = 0, total: int = 0) -> None:
    """Print the progress, a line for each format and stage, on standard error."""
    if stage in {"exporting", "loading"} or done == 0:
        print(f"{stage}: {what} ({done + 1} of {total})", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a trained run's folder")
    parser.add_argument(
        "--formats",
        nargs="+",
        default=own_environments(),
        choices=own_environments(),
        help=f"beside {', '.join(BESIDE)}; by default all with an environment of their own",
    )
    parser.add_argument("--root", type=Path, help="folder where the copies are kept")
    parser.add_argument("--seconds", type=positive, default=240, help="of timing, a network")
    parser.add_argument("--processes", type=positive, default=8, help="of each file")
    parser.add_argument("--write", action="store_true", help="fill the table of the page")
    return parser


if __name__ == "__main__":
    run_command(main)
