#!/usr/bin/env python3
"""Take each bundle of a run to a fresh environment: its exam, its place in a comparison, its clock.

scripts/check_bundles.py RUN                                  every measured format that is bundled
scripts/check_bundles.py RUN --formats onnx_int8 --keep DIR   these; their environments are kept
scripts/check_bundles.py RUN --write                          fills the table of docs/deployment.md

RUN must be exported and measured. For each format, `python -m src.bundle` packs a bundle, and uv
makes an environment with its requirements.lock alone, without PyTorch unless that is the runtime.
There predict.py takes the exam, and `python -m src.compare RUN measurement.json` takes its result.

The latency of an exam and that of the run are hours apart, and a machine's speed changes meanwhile.
So the two stopwatches also take turns on the same file, at batch 1 with as many threads, each in
new processes, until the interval of their ratio reaches 5 % to each side at most. They agree if the
ratio is within 2 % of 1, which is the half width that the audit of the benchmark demands, or if the
interval holds 1. A wider interval does not tell. The exit code is 1 unless all of it holds.

It takes one to five minutes for a format, and gigabytes for the environment of a torch format. The
environments are removed afterwards, unless --keep names a folder for them, where a later command
finds them. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import marked_page
from argument_types import positive
from exam_elsewhere import LOCK, PROGRAM, locked, unpacked
from timed_in_turn import (
    HOLDS,
    Clock,
    ExamClock,
    WorkerClock,
    opened,
    processes_of,
    ratio_is_precise,
    time_in_turn,
    verdict_of,
)

from src import formats as formats_known
from src.backends.base import Unavailable
from src.benchmark.options import BenchmarkOptions
from src.benchmark.statistics.latency import Rounds, speedup, summarize
from src.bundle import packages
from src.cli.entry_point import run_command
from src.compare.collection import exams_among
from src.data.restore import data_of
from src.errors import LightshipError, UsageError, one_line
from src.run.exam import ExamMeasurement
from src.run.folder import Run
from src.run.results import Results
from src.shipped.exam_files import ExamError
from src.system import environments, machine
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "deployment.md"
BEGIN = "<!-- made by scripts/check_bundles.py: begin -->"
END = "<!-- made by scripts/check_bundles.py: end -->"
SECONDS = 1800.0  # limit of a command


@dataclass(frozen=True)
class Checked:
    """A bundle in an environment of its own.

    Args:
        format: of its file.
        exam: what its program wrote there.
        problem: reason why the exam or the comparison does not hold; None if both do.
        measured: times of the file by the clock of a measurement.
        examined: its times by the clock of the exam, in turn with the others.
    """

    format: str
    exam: ExamMeasurement
    problem: str | None
    measured: Rounds
    examined: Rounds

    @property
    def verdict(self) -> str:
        """Return ``HOLDS``, or the part that does not hold."""
        return self.problem or verdict_of(speedup(self.examined, self.measured))


def main() -> None:
    chosen = _parser().parse_args()
    if chosen.write:
        marked_page.require(PAGE, BEGIN, END)
    run = Run.open(chosen.run)
    results = run.read_benchmark()
    options = BenchmarkOptions(
        batch_sizes=[1], processes=chosen.processes, rounds=chosen.rounds, turn_seconds=0.1
    )
    table: list[Checked] = []
    with environments_in(chosen.keep) as folder:
        for name in bundled(results, chosen.formats):
            table.append(check(run, name, folder, options))
            print(line_of(table[-1], results), file=sys.stderr, flush=True)
    held = sum(each.verdict == HOLDS for each in table)
    size = run.read_manifest().preprocessing.image_size
    processes = [processes_of(each.measured) for each in table]
    lines = [
        "| bundle | runtime | exam: flips, logits | p50 in the run, ms | in the exam | "
        "in turn: run | exam | exam / run | |",
        "|---|---|---|---:|---:|---:|---:|---:|---|",
        *(line_of(each, results) for each in table),
        "",
        f"{held} of {len(table)} hold. {results.model}, {size} px, "
        f"batch 1, {options.effective_threads} threads of {machine.cpu_model()} "
        f"({', '.join(machine.instruction_sets())}), {min(processes)} to {max(processes)} "
        "processes by each clock.",
    ]
    print("\n".join(lines))
    if chosen.write:
        marked_page.fill(PAGE, BEGIN, END, lines)
    sys.exit(0 if held == len(table) else 1)


def bundled(results: Results, chosen: list[str] | None) -> list[str]:
    """Return the formats to check: the measured ones that are bundled.

    Raises:
        UsageError: there is none, or one that is asked for is not among them.
    """
    able = [
        row.format
        for row in results.rows
        if row.is_ok and row.device == "cpu" and formats_known.get(row.format).can_be_bundled
    ]
    missing = [name for name in chosen or () if name not in able]
    if missing or not able:
        raise UsageError(
            "--formats",
            expected=f"measured formats of the run that are bundled: {', '.join(able) or 'none'}",
            found=", ".join(missing) or "none",
            remedy="measure the run with python -m src.benchmark RUN",
        )
    return chosen or able


@contextlib.contextmanager
def environments_in(keep: Path | None) -> Iterator[Path]:
    """Yield the folder of the environments: ``keep``, or one that is removed at the end."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        yield Path(scratch)


def check(run: Run, name: str, folder: Path, options: BenchmarkOptions) -> Checked:
    """Pack a bundle, take its exam in a fresh environment, compare it, and time it in turn.

    Args:
        run: a measured run.
        name: of the format.
        folder: of the environments.
        options: threads, processes, rounds, and the length of a turn and of the warm-up.

    Raises:
        LightshipError: a part of it could not be done at all.
    """
    with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
        packed = Path(scratch, f"{name}.zip")
        pack = [sys.executable, "-m", "src.bundle", str(run.folder.resolve()), f"format={name}"]
        command([*pack, "-o", str(packed)])
        with unpacked(packed) as bundle:
            python = environment_of(bundle, folder, name)
            output = Path(scratch, "measurement.json")
            words = [python, str(bundle / PROGRAM), "--exam", "--output", str(output)]
            taken = _ended(words, environments.without_python())
            if not output.is_file():
                raise LightshipError(f"{name}: the exam was not taken: {last_line(taken)}")
            [exam] = exams_among([str(output)])
            problem = None if taken.returncode == 0 else f"exam: {last_line(taken)}"
            problem = problem or problem_of(exam.record)
            problem = problem or problem_of_comparison(run, exam.record, output, Path(scratch))
            measured, examined = timed(run, name, bundle, python, options)
    return Checked(name, exam.record, problem, measured, examined)


def environment_of(bundle: Path, folder: Path, name: str) -> str:
    """Return the interpreter of an environment with the lock of a bundle alone.

    An environment in ``folder`` that has these versions is taken again.

    Raises:
        LightshipError: it cannot be made, or it has PyTorch beside another runtime.
        Unavailable: the format's own environment cannot be made.
    """
    indexes = packages.build_indexes(locked(bundle))  # refuses anything but versions
    uv, form = environments.uv(), formats_known.get(name)
    if uv is None:
        raise LightshipError("environments are made with uv, and it was not found")
    # The versions that are locked are for the Python that the format is exported with.
    own = form.environment.python() if form.environment else sys.executable
    key = hashlib.sha256((bundle / LOCK).read_bytes()).hexdigest()[:12]
    environment = folder / f"{name}-{key}"
    python, done = str(environment / "bin" / "python"), environment / "whole"
    if not done.is_file():
        shutil.rmtree(environment, ignore_errors=True)  # begun and not finished
        print(f"{name}: makes {environment}", file=sys.stderr, flush=True)
        command([uv, "venv", "--quiet", "--python", str(own), str(environment)])
        install = [uv, "pip", "install", "--quiet", "--no-deps", "--python", python]
        install += [word for index in indexes for word in ("--extra-index-url", index)]
        if indexes:  # they have other packages too, in some versions
            install += ["--index-strategy", "unsafe-best-match"]
        command([*install, "-r", str(bundle / LOCK)])
        done.touch()
    found = _ended([python, "-c", "import torch"], environments.without_python())
    needs_torch = form.bundling is not None and "torch" in form.bundling.packages
    if found.returncode == 0 and not needs_torch:
        raise LightshipError(f"{name}: its environment has PyTorch, which it must do without")
    return python


def problem_of(exam: ExamMeasurement) -> str | None:
    """Return the reason why an exam on the machine that packed it does not hold; None if it does.

    The processor and the versions are the same, so the logits have to be so too.
    """
    answers = exam.answers
    if not exam.holds:
        return "; ".join(exam.problems) or "the file is another one"
    if answers.flips or answers.beyond_rounding:
        return f"{len(answers.flips)} flips, {answers.beyond_rounding} beyond rounding"
    return None


def problem_of_comparison(
    run: Run, exam: ExamMeasurement, output: Path, scratch: Path
) -> str | None:
    """Return the reason why ``src.compare`` does not take an exam beside its run; else None."""
    words = [sys.executable, "-m", "src.compare", str(run.folder.resolve()), str(output)]
    folder = scratch / "comparison"
    folder.mkdir()
    compared = _ended([*words, "--output", str(folder)], None)
    if compared.returncode != 0:
        return f"compare: {last_line(compared)}"
    said = f"{exam.row.format} of {exam.run} on "
    lines = [line for line in compared.stdout.splitlines() if said in line]
    if not any("holds there" in line and "the file is the run's" in line for line in lines):
        return f"compare: {one_line(' '.join(lines)) or 'no line on the exam'}"
    return None


def timed(
    run: Run, name: str, bundle: Path, python: str, options: BenchmarkOptions
) -> tuple[Rounds, Rounds]:
    """Return the rounds of a file by the measurement's clock and by the exam's, taken in turn.

    Raises:
        LightshipError: the file cannot run here, or one of its processes failed.
    """
    images, _ = next(data_of(run).batches("test", batch_size=1))
    threads = options.effective_threads
    limits = Limits(threads, options.timeout_seconds, options.memory_limit)
    openers: list[Callable[[], Clock]] = [
        lambda: WorkerClock(opened(run, name, "cpu", limits)[0]),
        lambda: ExamClock(bundle, python, threads),
    ]
    try:
        measured, examined = time_in_turn(openers, images, options, is_precise=ratio_is_precise)
    except (WorkerError, Unavailable, ExamError) as error:
        raise LightshipError(f"{name}: {error}") from error
    return measured.rounds, examined.rounds


def line_of(checked: Checked, results: Results) -> str:
    """Return a row of the table."""
    row = results.row(checked.format, "cpu")
    here = row.cell(1) if row else None
    there = checked.exam.cell
    answers = checked.exam.answers
    ratio = speedup(checked.examined, checked.measured)
    ratio_text = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio else "-"
    clocks = [
        f"{1e3 * summarize(1, rounds, warm=True).p50_s:.2f}"
        for rounds in (checked.measured, checked.examined)
    ]
    logits = f"{answers.beyond_rounding} differ" if answers.beyond_rounding else "same"
    cells = [
        f"`{checked.format}`",
        checked.exam.row.setting("runtime") or "-",
        f"{len(answers.flips)} of {answers.images}, {logits}",
        *(f"{1e3 * cell.p50_s:.2f}" if cell else "-" for cell in (here, there)),
        *clocks,
        ratio_text,
        checked.verdict,
    ]
    return f"| {' | '.join(cells)} |"


def command(words: list[str]) -> None:
    """Run a command of this project or of uv.

    Raises:
        LightshipError: it failed.
    """
    ended = _ended(words, None)
    if ended.returncode != 0:
        raise LightshipError(f"{' '.join(words[1:4])} failed: {last_line(ended)}")


def last_line(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the last line that a command wrote."""
    lines = (ended.stdout + ended.stderr).strip().splitlines()
    return one_line(lines[-1]) if lines else f"exit code {ended.returncode}"


def _ended(words: list[str], variables: dict[str, str] | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            words,
            cwd=ROOT,
            env=variables,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LightshipError(f"{' '.join(words[:3])}: {one_line(str(error))}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a measured run's folder")
    parser.add_argument("--formats", nargs="+", metavar="FORMAT", help="formats of it")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="folder of the environments")
    parser.add_argument("--processes", type=positive, default=24, help="by each clock, at most")
    parser.add_argument("--rounds", type=positive, default=8, help="in each process")
    parser.add_argument("--write", action="store_true", help="fill the table of the page")
    return parser


if __name__ == "__main__":
    run_command(main)
