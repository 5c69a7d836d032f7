"""The loops that scripts/benchmark_training.py compares, each in a process of its own.

A process says on standard output when it is ready, trains its first epoch, and then as many blocks
as it is asked for on standard input, each a whole number of epochs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parent.parent
BATCH = 32
COMPUTE_PIXELS = 64  # the digits
COMPUTE_STEPS = 16  # an epoch of them
SETTLE = 1  # steps of a block before its time starts

DATA_OPTIONS: dict[str, dict[str, Any]] = {
    "ours": {},
    "ours, fast_decode": {"fast_decode": True},
    "ours, cache=memory, fast_decode": {"cache": "memory", "fast_decode": True},
    "ours, cache=disk, fast_decode": {"cache": "disk", "fast_decode": True},
}
# What each setting is instead of what a run chooses by itself.
SETTINGS: dict[str, dict[str, Any]] = {
    "as chosen": {},
    "precision 32-true": {"precision": "32-true"},
    "precision bf16-mixed": {"precision": "bf16-mixed"},
    "channels_last off": {"channels_last": False},
    "fused optimizer off": {"fused": False},
    "torch.compile on": {"compile": True},
    "denormals kept": {"denormals": True},
}


class Finished(Exception):  # noqa: N818  # not an error: the way out of a Trainer
    """No further block is wanted."""


class Turns:
    """Counts the steps of a loop, and holds it between blocks.

    A block is a whole number of epochs, wherever it starts, so that each has its share of what
    happens between two epochs.
    """

    def __init__(self, epoch_steps: int, commands: IO[str], answers: IO[str]) -> None:
        self._epoch_steps = epoch_steps
        self._commands = commands
        self._answers = answers
        self._seconds = 0.0
        self._steps = 0
        self._started = 0.0
        self._first = True

    def begin(self) -> None:
        """Everything is imported and built; the first epoch starts when it is wanted."""
        self._wait()
        self._started = time.perf_counter()

    def step(self) -> None:
        self._steps += 1
        if self._first:
            if self._steps == self._epoch_steps:
                self._first = False
                self._say(self._steps)
        elif self._steps == SETTLE:
            self._started = _now()
        elif (self._steps - SETTLE) % self._epoch_steps == 0 and (
            time.perf_counter() - self._started >= self._seconds
        ):
            self._say(self._steps - SETTLE)

    def _say(self, steps: int) -> None:
        self._answer({"steps": steps, "seconds": _now() - self._started})
        self._wait()

    def _answer(self, values: dict[str, float]) -> None:
        self._answers.write(json.dumps(values) + "\n")
        self._answers.flush()

    def _wait(self) -> None:
        if not self._started:
            self._answer({})
        line = self._commands.readline()
        if not line:
            raise Finished
        self._seconds = float(line)
        self._steps = 0


def _now() -> float:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--workload", required=True, choices=("compute", "data", "settings"))
    parser.add_argument("--loop", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--image_size", type=int, required=True)
    chosen = parser.parse_args()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what Lightning and the callbacks print
    settings = SETTINGS[chosen.loop] if chosen.workload == "settings" else {}
    data = make_data(chosen)
    model = make_model(chosen.model, data, settings)
    turns = Turns(steps_of(data), sys.stdin, answers)
    loops: dict[str, Callable[..., None]] = {"bare": bare, "lightning": lightning_defaults}
    try:
        loops.get(chosen.loop, ours)(model, data, turns, settings)
    except Finished:
        answers.close()
        os._exit(0)  # without waiting for workers in the middle of a batch


def make_data(chosen: argparse.Namespace) -> Any:
    from src.data.datasets.digits import Digits
    from src.data.datasets.image_folder import ImageFolder

    class FewDigits(Digits):
        def load(self) -> Any:
            images, positions = (parts := super().load())["train"]
            return {**parts, "train": (images, positions[: COMPUTE_STEPS * BATCH])}

    if chosen.workload != "data":
        return FewDigits(image_size=COMPUTE_PIXELS, batch_size=BATCH, num_workers=0)
    options = DATA_OPTIONS.get(chosen.loop, {})
    if options.get("cache") == "disk":
        options = {**options, "cache_dir": str(chosen.folder / "cache")}
    root = str(chosen.folder / "photos")
    return ImageFolder(root, image_size=chosen.image_size, batch_size=BATCH, **options)


def make_model(name: str, data: Any, settings: dict[str, Any]) -> Any:
    import torch
    import yaml

    from src import models

    torch.manual_seed(0)
    kinds = (getattr(models, each) for each in models.__all__)
    kind = next(kind for kind in kinds if kind.__module__.endswith(f".{name}"))
    preset = yaml.safe_load(
        (ROOT / "configs" / "model" / f"{name}.yaml").read_text(encoding="utf-8")
    )
    changed = {key: settings[key] for key in ("channels_last", "compile") if key in settings}
    return kind(data.class_names, **{**preset["model"]["init_args"], **changed})


def steps_of(data: Any) -> int:
    """Steps of an epoch, the last and smaller batch left out."""
    return int(data.count("train")) // BATCH


def plain_loader(data: Any) -> Any:
    """What one writes without this project: pictures to normalised tensors, one by one."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    from src.data.datasets.digits import Digits

    if isinstance(data, Digits):
        dataset = data.dataset("train", augment=True)
    else:
        augmentation = data.source.augmentation(data.preprocessing)
        transform = v2.Compose([augmentation, data.preprocessing.to_tensor()])
        dataset = ImageFolder(str(data.source.folder / "train"), transform)
    return DataLoader(
        dataset,
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=data.num_workers,
        persistent_workers=data.num_workers > 0,
    )


def bare(model: Any, data: Any, turns: Turns, settings: dict[str, Any]) -> None:
    """A loop as one writes it, with the precision, memory format and optimizer that ours has."""
    import torch

    from src.models.precision import choose_precision

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = model.network.to(device).train()
    low = choose_precision("auto", model) == "bf16-mixed"
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    torch.set_flush_denormal(True)
    turns.begin()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    loader = plain_loader(data)
    for images, labels in forever(loader):
        moved = images.to(device).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=low):
            loss = criterion(network(moved), labels.to(device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        turns.step()


def forever(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def lightning_defaults(model: Any, data: Any, turns: Turns, settings: dict[str, Any]) -> None:
    """A LightningModule of five lines and a Trainer whose defaults are kept."""
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
            turns.step()

    with tempfile.TemporaryDirectory() as folder:
        turns.begin()
        trainer = Trainer(default_root_dir=folder, max_epochs=100_000)
        trainer.fit(Plain(), plain_loader(data))


def ours(model: Any, data: Any, turns: Turns, settings: dict[str, Any]) -> None:
    """The LightningModule, data module and callbacks of a run."""
    import torch
    from lightning.pytorch import Callback, Trainer
    from lightning.pytorch.loggers import TensorBoardLogger

    from src.callbacks.finetune import ClassWeights
    from src.callbacks.profiler import ProfilerCallback
    from src.callbacks.progress import EpochLines
    from src.callbacks.skipped import SkippedImages
    from src.callbacks.throughput import ThroughputScalars
    from src.models.precision import choose_precision

    class Steps(Callback):
        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            for group in trainer.optimizers[0].param_groups:
                group["fused"] = settings.get("fused", group["fused"])

        def on_train_batch_end(self, *_: Any) -> None:
            turns.step()

    torch.set_flush_denormal("denormals" not in settings)
    profiler = ProfilerCallback(
        enabled=False
    )  # scripts/benchmark_profiling.py measures what it costs
    with tempfile.TemporaryDirectory() as folder:
        turns.begin()
        trainer = Trainer(
            max_epochs=100_000,
            gradient_clip_val=1.0,
            log_every_n_steps=5,
            limit_val_batches=0,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            precision=settings.get("precision") or choose_precision("auto", model),
            logger=TensorBoardLogger(folder, default_hp_metric=False),
            callbacks=[ClassWeights(), EpochLines(), SkippedImages(), ThroughputScalars(), Steps()],
            profiler=profiler.profiler,
        )
        trainer.fit(model, datamodule=data)


if __name__ == "__main__":
    main()
