"""How fast training is beside a bare PyTorch loop and beside Lightning as it comes.

python scripts/benchmark_training.py [--models resnet34 ...] [--workloads compute,data]

compute: the digits at 64 pixels, which cost nothing to load. data: generated JPEG photographs,
large beside the network's input, whose decoding takes the time.

- bare: torch's DataLoader, torchvision's ImageFolder and transforms, and a loop, with the
  precision, memory format, optimizer and clipping that ours has.
- lightning: a LightningModule of five lines and the Trainer's defaults, on the same data.
- ours: the LightningModule, data module and callbacks of a run, with the defaults.
- ours, cached: with data.cache=memory and data.fast_decode=true, as docs/data.md has it.

Each loop is timed in a process of its own, in turns whose order reverses every round; a ratio is of
one round, given as the median of the rounds with the least and the largest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MODELS = ("resnet34", "densenet121", "efficientnet_b0", "convnext_t")
LOOPS = {
    "compute": ("bare", "lightning", "ours"),
    "data": ("bare", "lightning", "ours", "ours, cached"),
}
WARM_UP = 5  # steps
LEAST_STEPS = 8
BATCH = 32


class Done(Exception):  # noqa: N818  # not an error: the way out of a Trainer
    """Enough steps were timed."""


class Meter:
    """Times steps after the first ones, until the time is up."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = 0.0
        self._steps = -WARM_UP
        self.result: dict[str, float] = {}

    def step(self) -> None:
        self._steps += 1
        now = time.perf_counter()
        if self._steps == 0:
            self._started = now
        elif self._steps >= LEAST_STEPS and now - self._started >= self._seconds:
            self.result = {"steps_per_second": self._steps / (now - self._started)}
            raise Done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--workloads", default="compute,data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10, help="of each timing")
    parser.add_argument("--source_pixels", type=int, default=512, help="side of the photographs")
    parser.add_argument("--image_size", type=int, default=32, help="of the network, for data")
    parser.add_argument("--images", type=int, default=640, help="how many photographs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen)
        return
    with tempfile.TemporaryDirectory() as folder:
        chosen.folder = folder
        write_photographs(Path(folder) / "photos", chosen.images, chosen.source_pixels)
        rows = [
            row
            for workload in chosen.workloads.split(",")
            for model in chosen.models
            for row in measure(chosen, workload, model)
        ]
    print(environment(chosen))
    print("\n| workload | network | loop | images/s | times bare | times Lightning |")
    print("|---|---|---|---:|---:|---:|")
    print("\n".join(rows))


def write_photographs(root: Path, images: int, side: int) -> None:
    """JPEG files in ten classes: noise over smooth shapes compresses about as photographs do."""
    import numpy as np
    from PIL import Image

    generator = np.random.default_rng(0)
    for number in range(images):
        folder = root / f"class{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        smooth = generator.integers(0, 256, (12, 12, 3), dtype=np.uint8)
        picture = Image.fromarray(smooth).resize((side, side), Image.Resampling.BICUBIC)
        noise = generator.normal(0, 8, (side, side, 1))
        pixels = (np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)


def measure(chosen: argparse.Namespace, workload: str, model: str) -> Iterator[str]:
    """The table's lines of one network under one workload."""
    loops = LOOPS[workload]
    rates: dict[str, list[float]] = {loop: [] for loop in loops}
    for number in range(chosen.rounds):
        for loop in loops if number % 2 == 0 else reversed(loops):
            rates[loop].append(timed(chosen, workload, model, loop))
            print(f"{workload} {model} {loop}: {rates[loop][-1]:.2f} steps/s", file=sys.stderr)
    for loop in loops:
        images = statistics.median(rates[loop]) * BATCH
        ratios = [ratio(rates[loop], rates[other]) for other in ("bare", "lightning")]
        yield f"| {workload} | {model} | {loop} | {images:.1f} | {' | '.join(ratios)} |"


def ratio(ours: list[float], theirs: list[float]) -> str:
    """Paired by round: median, least and largest."""
    values = [one / other for one, other in zip(ours, theirs, strict=True)]
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def timed(chosen: argparse.Namespace, workload: str, model: str, loop: str) -> float:
    """Steps a second of one loop, in a process of its own."""
    options = {
        "child": f"{workload}:{loop}",
        "folder": chosen.folder,
        "seconds": chosen.seconds,
        "image_size": chosen.image_size,
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    ended = subprocess.run(
        [sys.executable, __file__, f"--models={model}", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    if ended.returncode:
        raise SystemExit(f"{workload} {model} {loop} failed:\n{ended.stderr[-2000:]}")
    rate: float = json.loads(ended.stdout.splitlines()[-1])["steps_per_second"]
    return rate


def environment(chosen: argparse.Namespace) -> str:
    import lightning
    import torch

    from src import machine

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else machine.cpu_model()
    return (
        f"{device}, {machine.usable_cores()} cores; torch {torch.__version__}, lightning "
        f"{lightning.__version__}; batches of {BATCH}; data: {chosen.images} JPEG files of "
        f"{chosen.source_pixels} pixels for an input of {chosen.image_size}"
    )


def child(chosen: argparse.Namespace) -> None:
    """Time one loop and print its rate as JSON."""
    workload, _, loop = chosen.child.partition(":")
    meter = Meter(chosen.seconds)
    data = make_data(workload, Path(chosen.folder), chosen.image_size, cached="cached" in loop)
    run: dict[str, Callable[..., None]] = {"bare": bare, "lightning": lightning_defaults}
    try:
        run.get(loop, ours)(make_model(chosen.models[0], data), data, workload, meter)
    except Done:
        print(json.dumps(meter.result))


def make_data(workload: str, folder: Path, image_size: int, *, cached: bool) -> Any:
    from src.data.digits import Digits
    from src.data.image_folder import ImageFolder

    if workload == "compute":
        return Digits(image_size=64, batch_size=BATCH, num_workers=0)
    options: dict[str, Any] = {"cache": "memory", "fast_decode": True} if cached else {}
    return ImageFolder(
        str(folder / "photos"), image_size=image_size, batch_size=BATCH, verify=False, **options
    )


def make_model(name: str, data: Any) -> Any:
    import torch
    import yaml

    from src import models

    torch.manual_seed(0)
    kind = next(
        kind
        for kind in (getattr(models, each) for each in models.__all__)
        if kind.__module__.endswith(f".{name}")
    )
    preset = yaml.safe_load(Path(f"configs/model/{name}.yaml").read_text(encoding="utf-8"))
    return kind(data.class_names, **preset["model"]["init_args"])


def plain_loader(data: Any, workload: str) -> Any:
    """What one writes without this project: pictures to normalised tensors, one by one."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    if workload == "compute":
        dataset = data.dataset("train", augment=True)
    else:
        transform = v2.Compose([data.augmentation(), data.preprocessing.to_tensor()])
        dataset = ImageFolder(str(data.root), transform)
    return DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=data.num_workers,
        persistent_workers=data.num_workers > 0,
    )


def bare(model: Any, data: Any, workload: str, meter: Meter) -> None:
    import torch

    from src.precision import choose_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loader = plain_loader(data, workload)
    network = model.network.to(device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    low = choose_precision("auto", model) == "bf16-mixed"
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    torch.set_flush_denormal(True)
    while True:
        for images, labels in loader:
            moved = images.to(device).contiguous(memory_format=torch.channels_last)
            with torch.autocast(device.type, torch.bfloat16, enabled=low):
                loss = criterion(network(moved), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            meter.step()


def lightning_defaults(model: Any, data: Any, workload: str, meter: Meter) -> None:
    import torch
    from lightning.pytorch import LightningModule, Trainer

    network = model.network.to(memory_format=torch.contiguous_format)

    class Plain(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return torch.nn.functional.cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=1e-3)

        def on_train_batch_end(self, *_: Any) -> None:
            meter.step()

    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(default_root_dir=folder, max_epochs=1000)
        trainer.fit(Plain(), plain_loader(data, workload))


def ours(model: Any, data: Any, workload: str, meter: Meter) -> None:
    import torch
    from lightning.pytorch import Callback, Trainer
    from lightning.pytorch.loggers import TensorBoardLogger

    from src.callbacks.finetune import ClassWeights
    from src.callbacks.profiler import ProfilerCallback
    from src.callbacks.progress import EpochLines
    from src.callbacks.skipped import SkippedImages
    from src.callbacks.throughput import Throughput
    from src.precision import choose_precision

    class Steps(Callback):
        def on_train_batch_end(self, *_: Any) -> None:
            meter.step()

    torch.set_flush_denormal(True)
    profiler = ProfilerCallback(enabled=False)  # scripts/benchmark_profiling measures what it costs
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            max_epochs=1000,
            gradient_clip_val=1.0,
            log_every_n_steps=5,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            precision=choose_precision("auto", model),
            logger=TensorBoardLogger(folder, default_hp_metric=False),
            callbacks=[ClassWeights(), EpochLines(), SkippedImages(), Throughput(), Steps()],
            profiler=profiler.profiler,
        )
        trainer.fit(model, datamodule=data)


if __name__ == "__main__":
    main()
