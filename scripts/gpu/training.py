"""Training speed and memory: a bare loop, Lightship's choice, and each setting beside it.

Batches are made beforehand and lie in pinned memory, so the loader is left out; its own speed is
measured apart. The variants take turns in one process, in an order that reverses. A block is timed
from one synchronisation to another after some steps that are not counted.

Writes, for each network: batch size, images a second of each block of each variant, and the peak
of the allocator in bytes; ``loader``: images a second that the default data loader delivers.
"""

from __future__ import annotations

import gc
import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from training_loops import make_model

from gpu import arguments
from src.callbacks.tf32 import Tf32
from src.data.datasets.digits import Digits
from src.system.machine import usable_cores

ROUNDS = 2
STEPS = 400  # in an epoch, more than any block has
BARE = "bare loop, bf16"
VARIANTS: dict[str, dict[str, Any]] = {
    "as chosen: bf16-mixed, channels-last, fused": {},
    BARE: {},
    "fp32 with TF32": {"precision": "32-true"},
    "contiguous memory format": {"channels_last": False},
    "optimizer not fused": {"fused": False},
    "torch.compile": {"compile": True},
}
UNCOMPILED = tuple(name for name, options in VARIANTS.items() if "compile" not in options)
COMPILED = "resnet34"  # the network that is also trained compiled


@dataclass
class Block:
    """Counts the steps of one block and ends it."""

    seconds: float
    skip: int
    _count: int = 0
    _started: float = 0.0
    rate: float = 0.0  # steps a second
    _synchronize: Callable[[], None] = field(default=lambda: None)

    def step(self) -> bool:
        """Count a step; True when the block is over."""
        self._count += 1
        if self._count == self.skip:
            self._synchronize()
            self._started = time.perf_counter()
        done = self._count - self.skip
        if done < 1 or time.perf_counter() - self._started < self.seconds:
            return False
        self._synchronize()
        self.rate = done / (time.perf_counter() - self._started)
        return True


class Resident(Digits):
    """The digits, with batches for training that are made beforehand."""

    def __init__(self, image_size: int, batch_size: int, device: str) -> None:
        super().__init__(image_size=image_size, batch_size=batch_size)
        shape = (batch_size, 3, image_size, image_size)
        generator = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        labels = torch.randint(0, 10, (batch_size,), generator=generator)
        pinned = [each.pin_memory() if device == "cuda" else each for each in (images, labels)]
        self._batch = (pinned[0], pinned[1])

    def train_dataloader(self) -> Any:
        return Repeated(self._batch)


class Repeated:
    """One batch, many times; a list would be taken for several loaders."""

    def __init__(self, batch: tuple[torch.Tensor, torch.Tensor]) -> None:
        self._batch = batch

    def __len__(self) -> int:
        return STEPS

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return itertools.repeat(self._batch, STEPS)


class Stop(Callback):
    """Ends a fit with its block."""

    def __init__(self, block: Block, fused: bool | None) -> None:
        self._block = block
        self._fused = fused

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["fused"] = group["fused"] if self._fused is None else self._fused

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        trainer.should_stop = trainer.should_stop or self._block.step()


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = arguments.parser(__doc__)
    chosen = parser.parse_args()
    small = chosen.device == "cpu"
    batch = 4 if small else 64
    models = [name for name in ("resnet34", "convnext_t") if name in chosen.models]
    found: dict[str, Any] = {"batch": batch, "image_size": chosen.image_size, "models": {}}
    data = Resident(chosen.image_size, batch, chosen.device)
    networks: dict[tuple[str, str], Any] = {}
    # What is compiled comes last: it takes most of a minute.
    plan = [
        (name, variant, turn)
        for name in models
        for turn in range(ROUNDS)
        for variant in (list(UNCOMPILED) if turn % 2 == 0 else list(UNCOMPILED)[::-1])
    ]
    if not small:
        plan += [(COMPILED, "torch.compile", turn) for turn in range(ROUNDS) if COMPILED in models]
    for name, variant, _ in plan:
        options = VARIANTS[variant]
        if (name, variant) not in networks:
            networks[name, variant] = make_model(name, data, options)
        network = networks[name, variant]
        block = Block(0.1, 1)
        if chosen.device == "cuda":
            block = Block(0.7, 10, _synchronize=torch.cuda.synchronize)
            torch.cuda.reset_peak_memory_stats()
        run = bare if variant == BARE else ours
        run(network, data, block, options, chosen.device)
        entry = (
            found["models"]
            .setdefault(name, {})
            .setdefault(variant, {"images_per_second": [], "peak_bytes": None})
        )
        entry["images_per_second"].append(block.rate * batch)
        if chosen.device == "cuda":
            entry["peak_bytes"] = torch.cuda.max_memory_allocated()
        network.cpu()
        gc.collect()
        torch.cuda.empty_cache()
        arguments.keep(chosen.out, found)
        print(f"{time.strftime('%H:%M:%S')} {name}: {variant}", flush=True)
    found["loader"] = loader_rate(chosen.image_size, batch, 0.2 if small else 2.0)
    arguments.keep(chosen.out, found)


def ours(model: Any, data: Any, block: Block, options: dict[str, Any], device: str) -> None:
    """Lightship's LightningModule under its Trainer settings."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            max_epochs=1,
            gradient_clip_val=1.0,
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            precision=options.get("precision") or "bf16-mixed",
            default_root_dir=folder,
            callbacks=[Tf32(), Stop(block, options.get("fused"))],
        )
        trainer.fit(model, datamodule=data)


def bare(model: Any, data: Any, block: Block, options: dict[str, Any], device: str) -> None:
    """A loop as one writes it, with what Lightship chooses."""
    network = model.network.to(device).train()
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)
    for images, labels in data.train_dataloader():
        moved = data.preprocessing.normalised(images.to(device, non_blocking=True))
        moved = moved.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device, torch.bfloat16):
            loss = criterion(network(moved), labels.to(device, non_blocking=True))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if block.step():
            return


def loader_rate(image_size: int, batch: int, seconds: float) -> float:
    """Images a second of the training loader with up to eight processes, once they have started."""
    data = Digits(image_size=image_size, batch_size=batch, num_workers=min(8, usable_cores()))
    batches = itertools.chain.from_iterable(data.train_dataloader() for _ in range(STEPS))
    next(batches)  # the processes have started
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += len(next(batches)[0])
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
