#!/usr/bin/env python3
"""Compare what is known before a training with what comes out of it: size and latency of each file.

scripts/check_forecast.py RUN ...             prints the tables
scripts/check_forecast.py RUN ... --write     writes them into docs/forecast.md

Each run must be trained and exported. Its network is trained once more for the few steps of a
forecast, with the run's own configuration, and exported as a forecast does it. The two files of a
format are then timed in turn at batch 1 on all cores, so the interval of their ratio has nothing
in it but the weights and the recipe of the quantization. Processes are added until it reaches 5 %
to each side at most. A comparison holds if the ratio is within 2 % of 1, which is the half width
that the audit of the benchmark demands, or if its interval holds 1. A wider interval does not tell.
The sizes must agree within 1 %. The second table has what makes some processors slow or fast: zeros
and denormal numbers among the weights. The exit code is 1 unless all comparisons hold.

It takes some minutes for each run. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import marked_page
import numpy as np
import torch
from argument_types import positive
from timed_in_turn import (
    DIFFERS,
    HOLDS,
    WorkerClock,
    opened,
    processes_of,
    ratio_is_precise,
    time_in_turn,
    verdict_of,
)

from src.backends.base import Unavailable
from src.benchmark.options import BenchmarkOptions
from src.benchmark.statistics.latency import Rounds, speedup, summarize
from src.cli.entry_point import run_command
from src.cli.sweep import train_in_subprocess
from src.data.restore import data_of
from src.errors import LightshipError
from src.export.source import Checkpoint
from src.forecast.candidate import SHORT_TRAINING, STEPS, UNFROZEN
from src.forecast.stage import last_line
from src.predict.exported import require_exported, require_known
from src.run import started_in
from src.run.folder import Run
from src.run.latency import Interval
from src.system import machine
from src.worker.errors import WorkerError
from src.worker.guarded_process import Limits

PAGE = Path(__file__).resolve().parent.parent / "docs" / "forecast.md"
BEGIN = "<!-- made by scripts/check_forecast.py: begin -->"
END = "<!-- made by scripts/check_forecast.py: end -->"
FORMATS = ("eager", "torchscript", "onnx_fp32", "onnx_int8_dynamic", "onnx_int8")
SIZE_WITHIN = 0.01


@dataclass(frozen=True)
class Comparison:
    """One format of a network: the file of a forecast beside that of the training."""

    network: str
    format: str
    trained_bytes: int
    forecast_bytes: int
    trained: Rounds
    forecast: Rounds

    @property
    def size_ratio(self) -> float:
        """Return the size of the forecast's file over that of the training's."""
        return self.forecast_bytes / self.trained_bytes

    @property
    def time_ratio(self) -> Interval | None:
        """Return the time of the forecast's file over that of the training's."""
        return speedup(self.forecast, self.trained)

    @property
    def verdict(self) -> str:
        """Return the verdict on size and time."""
        is_larger = abs(self.size_ratio - 1) > SIZE_WITHIN
        return DIFFERS if is_larger else verdict_of(self.time_ratio)


@dataclass(frozen=True)
class Weights:
    """Shares of the weights of a network."""

    zero: float
    denormal: float


def main() -> None:
    chosen = _parser().parse_args()
    if chosen.write:
        marked_page.require(PAGE, BEGIN, END)
    options = BenchmarkOptions(
        batch_sizes=[1], processes=chosen.processes, rounds=chosen.rounds, turn_seconds=0.1
    )
    comparisons: list[Comparison] = []
    weights: list[str] = []
    for run in [Run.open(path) for path in chosen.runs]:
        manifest = run.read_manifest()
        for name in chosen.formats:
            require_exported(manifest, name)
            require_known(run, manifest, name)
        with tempfile.TemporaryDirectory(prefix="lightship-") as scratch:
            forecast = short_training(run, chosen.formats, Path(scratch))
            weights.append(_weights_line(manifest.model, run, forecast))
            for name in chosen.formats:
                comparisons.append(compare(run, forecast, name, options))
                print(_line(comparisons[-1]), file=sys.stderr, flush=True)
    processes = [processes_of(each.trained) for each in comparisons]
    held = sum(each.verdict == HOLDS for each in comparisons)
    lines = [
        "| network | file | forecast MB | trained MB | trained p50 ms | times trained | |",
        "|---|---|---:|---:|---:|---:|---|",
        *(_line(each) for each in comparisons),
        "",
        f"{held} of {len(comparisons)} comparisons hold. Batch 1, {options.effective_threads} "
        f"threads of {machine.cpu_model()} ({', '.join(machine.instruction_sets())}), "
        f"{min(processes)} to {max(processes)} processes of each file.",
        "",
        "| network | zero weights, trained | before | denormal weights, trained | before |",
        "|---|---:|---:|---:|---:|",
        *weights,
    ]
    print("\n".join(lines))
    if chosen.write:
        marked_page.fill(PAGE, BEGIN, END, lines)
    sys.exit(0 if held == len(comparisons) else 1)


def short_training(run: Run, formats: Sequence[str], scratch: Path) -> Run:
    """Train, with a run's configuration, for the steps of a forecast, and export.

    Raises:
        LightshipError: it failed, or it did not begin with the network's first weights.
    """
    log, where = scratch / "log.txt", scratch / "where"
    folder = started_in.recorded(run)
    with contextlib.chdir(folder if folder and folder.is_dir() else "."):  # of relative paths
        train_in_subprocess(words_of(run, formats, scratch), where, log)
    made = Run(Path(where.read_text("utf-8"))) if where.is_file() else None
    if made is None or not made.manifest.is_file():
        raise LightshipError(f"{run.name}: the training of the forecast failed: {last_line(log)}")
    content = torch.load(made.last_checkpoint, map_location="cpu", weights_only=True)
    if not 0 < content["global_step"] <= STEPS:
        raise LightshipError(f"{run.name}: the training of the forecast had another start or end")
    return made


def words_of(run: Run, formats: Sequence[str], scratch: Path) -> list[str]:
    """Return the command line of the short training: the run's, but for its start and its end."""
    return [
        f"--config={run.config.resolve()}",
        *("ckpt_path=null", "trainer.callbacks=null", "trainer.fast_dev_run=false"),
        *("finetune.find_lr=false", "finetune.find_batch_size=false"),
        f"export.formats=[{','.join(formats)}]",
        *("export.enabled=true", "benchmark.enabled=false"),
        *SHORT_TRAINING,
        *UNFROZEN,
        f"trainer.default_root_dir={scratch / 'runs'}",
    ]


def compare(run: Run, forecast: Run, name: str, options: BenchmarkOptions) -> Comparison:
    """Time the two files of a format in turn.

    Raises:
        LightshipError: a file was not exported, or could not be timed.
    """
    images, _ = next(data_of(run).batches("test", batch_size=1))
    places = (run, forecast)
    require_exported(forecast.read_manifest(), name)
    limits = Limits(options.effective_threads, options.timeout_seconds, options.memory_limit)

    def clock(place: Run) -> WorkerClock:
        return WorkerClock(opened(place, name, "cpu", limits)[0])

    openers = [partial(clock, place) for place in places]
    try:
        trained, before = time_in_turn(openers, images, options, is_precise=ratio_is_precise)
    except (WorkerError, Unavailable) as error:
        raise LightshipError(f"{run.name}, {name}: {error}") from error
    sizes = [
        sum(file.bytes for file in each.read_manifest().formats[name].files) for each in places
    ]
    return Comparison(
        run.read_manifest().model, name, sizes[0], sizes[1], trained.rounds, before.rounds
    )


def weights_of(run: Run) -> Weights:
    """Return the shares of zero and of denormal weights in a run's best checkpoint."""
    weights = Checkpoint.read(run.best_checkpoint).weights
    values = torch.cat([each.flatten() for each in weights.values() if each.is_floating_point()])
    size = values.abs().double()
    denormal = (size > 0) & (size < float(np.finfo(np.float32).tiny))
    return Weights(float((size == 0).double().mean()), float(denormal.double().mean()))


def _weights_line(network: str, run: Run, forecast: Run) -> str:
    after, before = weights_of(run), weights_of(forecast)
    shares = (after.zero, before.zero, after.denormal, before.denormal)
    return f"| {network} | {' | '.join(f'{share:.2%}' for share in shares)} |"


def _line(each: Comparison) -> str:
    ratio = each.time_ratio
    cell = summarize(1, each.trained, warm=True)
    times = f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "-"
    return (
        f"| {each.network} | `{each.format}` | {each.forecast_bytes / 1e6:.2f} | "
        f"{each.trained_bytes / 1e6:.2f} | {1e3 * cell.p50_s:.2f} | {times} | "
        f"{each.verdict} |"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a trained run's folder")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS))
    parser.add_argument("--processes", type=positive, default=24, help="of each file at most")
    parser.add_argument("--rounds", type=positive, default=4, help="in each process")
    parser.add_argument("--write", action="store_true", help="fill the tables of the page")
    return parser


if __name__ == "__main__":
    run_command(main)
