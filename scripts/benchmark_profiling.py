#!/usr/bin/env python3
"""Measure what profiling costs: time outside its windows, memory and disk over many epochs.

scripts/benchmark_profiling.py [--pairs 20] [--epochs 50]

Time: epochs of one training with the light profile, whose windows are over, and without any
profiler, in the order A B B A; the ratio of the median seconds of their steps.
Memory and disk: one long training with the full profile; the resident set at each epoch's end.
It takes about eight minutes on two cores. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.profilers import PassThroughProfiler

from src.callbacks.profiler import ProfilerCallback
from src.data.datasets.digits import Digits
from src.models.resnet34 import ResNet34
from src.profiling.recorder import Recorder
from src.system.subprocesses import resident_bytes

PROFILED_EPOCHS = 2  # the light profile's

TRAINING = (
    *("model=resnet34", "data.image_size=32", "export.enabled=false"),
    *("benchmark.enabled=false",),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20, help="of epochs, with and without")
    parser.add_argument("--epochs", type=int, default=50, help="of the long training")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        cost(Path(name) / "cost", chosen.pairs)
        growth(Path(name) / "growth", chosen.epochs)


def cost(folder: Path, pairs: int) -> None:
    """Print how much longer a step takes with the light profile on, outside its windows.

    One training, whose epochs have the profiler and Lightning's own empty one in turn: two
    trainings in two processes differ by more than what is looked for.
    """
    torch.set_flush_denormal(True)  # as the command line does
    turns = Turns()
    data = Digits(image_size=32, batch_size=32, num_workers=0)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2 * pairs + PROFILED_EPOCHS,
        limit_val_batches=0,
        logger=TensorBoardLogger(str(folder)),
        callbacks=[turns.profile, turns],
        profiler=turns.profile.profiler,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(ResNet34(data.class_names), datamodule=data)
    medians = [statistics.median(taken) for taken in turns.seconds[PROFILED_EPOCHS:]]
    ratios = [
        medians[number + (number // 2) % 2] / medians[number + 1 - (number // 2) % 2]
        for number in range(0, 2 * pairs, 2)
    ]
    low, high = np.quantile(
        np.median(np.random.default_rng(0).choice(ratios, (10_000, pairs)), axis=1), [0.025, 0.975]
    )
    print(
        f"a step with the light profile on, outside its windows, over one without a profiler: "
        f"{statistics.median(ratios):.4f} [{low:.4f}, {high:.4f}], {pairs} pairs of epochs\n",
        flush=True,
    )


class Turns(Callback):
    """Gives the epochs of a training the profiler and none in the order A B B A."""

    def __init__(self) -> None:
        self.profile = ProfilerCallback(windows=PROFILED_EPOCHS)
        self.seconds: list[list[float]] = []
        self._recorder: Recorder | None = None
        self._before = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        ours = self.profile.profiler
        self._recorder = self._recorder or ours.recorder
        number = trainer.current_epoch - PROFILED_EPOCHS
        on = number < 0 or number % 4 in {0, 3}
        ours.recorder = self._recorder if on else None
        trainer.profiler = ours if on else PassThroughProfiler()
        self.seconds.append([])
        self._before = 0.0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.perf_counter()
        if self._before:
            self.seconds[-1].append(now - self._before)
        self._before = now


def growth(root: Path, epochs: int) -> None:
    """Print the resident set and the size of the traces over a long training, fully profiled."""
    command = train(root, "profiler=tensorboard", f"trainer.max_epochs={epochs}")
    resident: dict[int, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None  # noqa: S101  # it is a pipe
        for line in training.stdout:
            if found := re.match(r"epoch (\d+)/", line):
                resident[int(found[1])] = resident_bytes(training.pid)
    if training.returncode:
        sys.exit("the training failed")
    for epoch in sorted({1, 2, epochs // 2, epochs}):
        print(f"resident set after epoch {epoch}: {resident[epoch] / 1e6:.0f} MB")
    print(f"after epoch {epochs} over epoch 2: {resident[epochs] / resident[2]:.3f}")
    traces = [path.stat().st_size for path in root.rglob("profile/*.pt.trace.json.gz")]
    print(f"traces: {len(traces)}, {sum(traces) / 1e6:.1f} MB of 200 MB allowed")


def train(root: Path, *options: str) -> list[str]:
    """The command of a training whose run is below ``root``."""
    root.mkdir(parents=True)
    arguments = [*TRAINING, *options, f"trainer.default_root_dir={root}"]
    return [sys.executable, "-u", "-m", "src.train", *arguments]


if __name__ == "__main__":
    main()
