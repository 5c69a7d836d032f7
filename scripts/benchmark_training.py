#!/usr/bin/env python3
"""Measure how fast training is beside a bare PyTorch loop and beside Lightning's defaults.

scripts/benchmark_training.py [--models resnet34 ...] [--workloads compute data]
scripts/benchmark_training.py --workloads settings      each setting beside the default
scripts/benchmark_training.py --show                    the tables of what was measured

compute: the digits at 64 pixels, which cost nothing to load. data: generated JPEG photographs,
large beside the network's input, whose decoding takes the time.

- bare: torch's DataLoader, torchvision's ImageFolder and transforms, and a loop, with the
  precision, memory format, optimizer and clipping that ours has.
- lightning: a LightningModule of five lines and the Trainer's defaults, on the same data.
- ours: the LightningModule, data module and callbacks of a run, with the defaults.
- ours, with data.fast_decode and data.cache, as docs/data.md has them.

Network, batch, augmentation of the images, workers and threads are the same. Each loop has a
process, which is stopped while others run, workers and all. They take turns by blocks of whole
epochs, in an order that reverses every round. A ratio is of the blocks of one round, given as the
median of the rounds with its 95 % interval. The first epoch, in which workers start and caches are
filled, is no block; it is shown beside.

All four networks take about 30 minutes on two cores. Leave the machine alone meanwhile. Finished
parts are stored in lightning_logs/benchmark_training.
"""

from __future__ import annotations

import restart_in_environment  # noqa: F401  # continues in .venv

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import training_loops
from training_loops import BATCH, DATA_OPTIONS, SETTINGS

MODELS = ("resnet34", "densenet121", "efficientnet_b0", "convnext_t")
LOOPS = {
    "compute": ("bare", "lightning", "ours"),
    "data": ("bare", "lightning", *DATA_OPTIONS),
    "settings": tuple(SETTINGS),
}
BASES = {
    "compute": ("bare", "lightning"),
    "data": ("bare", "lightning"),
    "settings": ("as chosen",),
}
PHOTOGRAPH = (1024, 768)  # pixels


class Loop:
    """The process of one loop, stopped except in its turns."""

    def __init__(self, words: list[str], log: Path) -> None:
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, training_loops.__file__, *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
                start_new_session=True,  # so that its workers are stopped with it
            )
        if not (self._process.stdin and self._process.stdout):
            raise AssertionError("both were asked for")
        self._commands, self._answers = self._process.stdin, self._process.stdout
        self._answer()
        self._signal(signal.SIGSTOP)

    def end(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()

    def run(self, seconds: float) -> dict[str, float]:
        """Whole epochs of at least ``seconds``: how many steps, and how long they took."""
        self._signal(signal.SIGCONT)
        self._commands.write(f"{seconds}\n")
        self._commands.flush()
        answer = self._answer()
        self._signal(signal.SIGSTOP)
        return answer

    def _answer(self) -> dict[str, float]:
        line = self._answers.readline()
        if not line:
            self._process.wait()
            raise SystemExit(f"a loop failed:\n{self._log.read_text(errors='replace')[-2000:]}")
        values: dict[str, float] = json.loads(line)
        return values

    def _signal(self, number: int) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, number)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--workloads", nargs="+", default=["compute", "data"], choices=LOOPS)
    parser.add_argument("--loops", nargs="+", help="of the workload; by default all")
    parser.add_argument("--minutes", type=float, default=4, help="of each network and workload")
    parser.add_argument("--rounds", type=int, default=5, help="of turns, even if it takes longer")
    parser.add_argument("--seconds", type=float, default=3, help="of each block, at least")
    parser.add_argument("--image_size", type=int, default=32, help="of the network, for data")
    parser.add_argument("--images", type=int, default=480, help="how many photographs")
    parser.add_argument("--out", type=Path, default=Path("lightning_logs/benchmark_training"))
    parser.add_argument("--show", action="store_true", help="measure nothing")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    # Ended from outside, it takes its stopped processes with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if not chosen.show:
        with tempfile.TemporaryDirectory() as name:
            chosen.folder = Path(name)
            if "data" in chosen.workloads:
                write_photographs(chosen.folder / "photos", chosen.images)
            for model in chosen.models:
                for workload in chosen.workloads:
                    measure(chosen, workload, model)
    for workload in LOOPS:
        show(chosen.out, workload)


def write_photographs(root: Path, images: int) -> None:
    """JPEG files in ten classes: noise over smooth shapes compresses about as photographs do."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    width, height = PHOTOGRAPH
    few = 10
    for split, count in (("train", images), ("val", few), ("test", few)):
        for number in range(count):
            folder = root / split / f"class{number % 10}"
            folder.mkdir(parents=True, exist_ok=True)
            smooth = generator.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            picture = Image.fromarray(smooth).resize((width, height), Image.Resampling.BICUBIC)
            noise = generator.normal(0, 8, (height, width, 1)).astype(np.float32)
            pixels = (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)


def measure(chosen: argparse.Namespace, workload: str, model: str) -> None:
    """Time the loops of one workload and network in turn; keep what is known after each round."""
    names = [name for name in LOOPS[workload] if name in (chosen.loops or LOOPS[workload])]
    ends = time.monotonic() + 60 * chosen.minutes
    result: dict[str, Any] = {
        "workload": workload,
        "model": model,
        "environment": environment(),
        "batch": BATCH,
        "first_epoch": {},
        "blocks": {name: [] for name in names},
    }
    if workload == "data":
        sizes = [file.stat().st_size for file in chosen.folder.glob("photos/train/*/*.jpg")]
        photographs = {"count": len(sizes), "pixels": PHOTOGRAPH, "bytes": statistics.mean(sizes)}
        result |= {"photographs": photographs, "image_size": chosen.image_size}
    loops: dict[str, Loop] = {}
    try:
        for name in names:
            loops[name] = Loop(words(chosen, workload, model, name), chosen.folder / "log")
            result["first_epoch"][name] = loops[name].run(0)
        longest = 0.0
        turn = 0
        while turn < chosen.rounds or time.monotonic() + longest < ends:
            started = time.monotonic()
            for name in names if turn % 2 == 0 else reversed(names):
                result["blocks"][name].append(loops[name].run(chosen.seconds))
            longest = max(longest, time.monotonic() - started)
            turn += 1
            path = chosen.out / f"{workload}-{model}.json"
            path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(f"{workload} {model}: {turn} rounds", file=sys.stderr, flush=True)
    finally:
        for loop in loops.values():
            loop.end()


def words(chosen: argparse.Namespace, workload: str, model: str, name: str) -> list[str]:
    return [
        *(f"--model={model}", f"--workload={workload}", f"--loop={name}"),
        *(f"--folder={chosen.folder}", f"--image_size={chosen.image_size}"),
    ]


def environment() -> dict[str, Any]:
    import lightning
    import torch

    from src.system import machine

    return {
        "cpu": machine.cpu_model(),
        "isa": machine.instruction_sets(),
        "cores": machine.usable_cores(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "lightning": lightning.__version__,
    }


def show(folder: Path, workload: str) -> None:
    """Print the table of everything that was measured under one workload."""
    found = [folder / f"{workload}-{model}.json" for model in MODELS]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in found if path.is_file()]
    if not results:
        return
    print(f"\n{workload}: {results[-1]['environment']} {results[-1].get('photographs', '')}")
    heads = " | ".join(f"times {base}" for base in BASES[workload])
    print(f"\n| network | loop | images/s | first epoch, images/s | {heads} | rounds |")
    print(f"|---|---|---:|---:|{'---:|' * len(BASES[workload])}---:|")
    for result in results:
        for name, blocks in result["blocks"].items():
            rates = [pace(block) for block in blocks]
            ratios = [
                ratio(rates, [pace(block) for block in result["blocks"][base]])
                for base in BASES[workload]
                if base in result["blocks"]
            ]
            cells = (
                *(result["model"], name, f"{BATCH * statistics.median(rates):.0f}"),
                *(f"{BATCH * pace(result['first_epoch'][name]):.0f}", *ratios, str(len(rates))),
            )
            print(f"| {' | '.join(cells)} |")


def pace(block: dict[str, float]) -> float:
    """Steps a second."""
    return block["steps"] / block["seconds"]


def ratio(rates: list[float], others: list[float]) -> str:
    """The median of the rounds' ratios, and its 95 % interval by the bootstrap."""
    import numpy as np

    if rates == others:
        return "1"
    values = np.array(rates) / np.array(others)
    drawn = np.random.default_rng(0).choice(values, (10_000, len(values)))
    low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
    return f"{np.median(values):.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()
