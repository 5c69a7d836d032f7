#!/usr/bin/env python3
"""Compare the stopwatch of a bundle's exam with that of a run's measurement, on the same file.

scripts/check_exam_clock.py RUN FORMAT BUNDLE --python ENVIRONMENT/bin/python

BUNDLE is the unpacked bundle of that format of the run, and the interpreter that of an environment
with BUNDLE/requirements.lock alone. The two take turns at batch 1 with as many threads, each in new
processes, so the ratio of their times shows what the way of measuring does, and nothing of the
hour. It holds if it is within 2 % of 1, which is the half width that the audit of the benchmark
demands, or if its interval holds 1; an interval of more than 5 % to each side does not tell. The
exit code is 1 unless it holds.

It takes about a minute. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import contextlib
import sys
from pathlib import Path

from argument_types import positive
from check_forecast import HOLDS, verdict_of
from timed_in_turn import opened

from src.backends.base import Unavailable
from src.benchmark import turn
from src.benchmark.options import BenchmarkOptions
from src.benchmark.schedule import rotated
from src.benchmark.statistics.latency import Rounds, speedup, summarize
from src.cli.entry_point import run_command
from src.data.restore import data_of
from src.errors import LightshipError, UsageError
from src.predict.exported import require_exported, require_known
from src.run.folder import Run
from src.run.latency import Turn
from src.shipped.exam_files import ExamError
from src.shipped.model_process import Process
from src.system import environments, machine
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits


def main() -> None:
    chosen = _parser().parse_args()
    run = Run.open(chosen.run)
    manifest = run.read_manifest()
    require_exported(manifest, chosen.format)
    require_known(run, manifest, chosen.format)
    if not (chosen.bundle / "session.py").is_file():
        raise UsageError(
            "BUNDLE",
            expected="the folder of an unpacked bundle with an exam",
            found=str(chosen.bundle),
            remedy="make one with python -m src.bundle RUN format=FORMAT, and unpack it",
        )
    options = BenchmarkOptions(
        batch_sizes=[1], processes=chosen.processes, rounds=chosen.rounds, turn_seconds=0.1
    )
    try:
        measured, examined = time_in_turn(run, chosen.format, chosen.bundle, chosen.python, options)
    except (WorkerError, Unavailable, ExamError) as error:
        raise LightshipError(f"{chosen.format}: {error}") from error
    ratio = speedup(examined, measured)
    verdict = verdict_of(ratio)
    times = [1e3 * summarize(1, rounds, warm=True).p50_s for rounds in (measured, examined)]
    bounds = f"{ratio.value:.3f} [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio else "unknown"
    print(
        f"{chosen.format} of {run.name}: measurement {times[0]:.2f} ms, exam {times[1]:.2f} ms at "
        f"p50; the exam's times are {bounds} of the measurement's: {verdict}\n"
        f"{options.processes} processes of each with {options.effective_threads} threads on "
        f"{machine.cpu_model()} ({', '.join(machine.instruction_sets())})"
    )
    sys.exit(0 if verdict == HOLDS else 1)


def time_in_turn(
    run: Run, name: str, bundle: Path, python: str, options: BenchmarkOptions
) -> tuple[Rounds, Rounds]:
    """Time a file by a worker of the measurement and by the exam of its bundle, in turn.

    Args:
        run: an exported run.
        name: of the format.
        bundle: folder of the unpacked bundle.
        python: interpreter that runs the exam.
        options: processes, rounds, and the length of a turn and of the warm-up.

    Returns:
        The rounds of the measurement and of the exam.

    Raises:
        WorkerError: the worker failed.
        Unavailable: the file cannot run here.
        ExamError: the exam's process failed.
    """
    images, _ = next(data_of(run).batches("test", batch_size=1))
    threads = options.effective_threads
    limits = Limits(threads, options.timeout_seconds, options.memory_limit)
    measured: dict[int, Turn] = {}
    examined: dict[int, Turn] = {}
    number = 0
    for process in range(options.processes):
        with contextlib.ExitStack() as stack:
            worker, _ = opened(run, name, "cpu", limits)
            stack.callback(worker.close)
            exam = Process(bundle, python, environments.without_python())
            stack.callback(exam.close)
            exam.ask("load", settings={"threads": threads})
            turn.warm_up(worker, images, options)
            exam.ask("warm_up", tolerance=turn.WARM, max_seconds=options.warmup_seconds)
            for _ in range(options.rounds):
                for place in rotated(["measurement", "exam"], number):
                    if place == "measurement":
                        measured[number], _ = turn.time_batch(worker, options, process)
                    else:
                        examined[number] = _turn_of(exam, options, process)
                number += 1
    return measured, examined


def _turn_of(exam: Process, options: BenchmarkOptions, process: int) -> Turn:
    timed = exam.ask("time", samples=options.samples, max_seconds=options.turn_seconds)
    return Turn(
        seconds=timed["seconds"],
        elapsed_seconds=timed["elapsed_seconds"],
        cpu_seconds=timed["cpu_seconds"],
        process=process,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="an exported run's folder")
    parser.add_argument("format", metavar="FORMAT", help="a format of it")
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its unpacked bundle")
    parser.add_argument(
        "--python", default=sys.executable, help="interpreter for the exam; by default this one"
    )
    parser.add_argument("--processes", type=positive, default=8, help="of each")
    parser.add_argument("--rounds", type=positive, default=8, help="in each process")
    return parser


if __name__ == "__main__":
    run_command(main)
