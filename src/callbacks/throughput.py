"""How fast the training goes, as scalars, with or without a profiler."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.profiler import RegionProfiler
from src.profiling.throughput import PaceMeter
from src.system import machine


class Throughput(Callback):
    """Images a second, seconds a step, the share that waits for data, the peak of memory.

    Every ``trainer.log_every_n_steps`` steps, on average over these; over one process's images.
    Steps that were profiled, and validation, are left out. The learning rate is a scalar already.
    """

    def __init__(self) -> None:
        self._meter = PaceMeter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._meter.pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._meter.pause()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._meter.step_starts()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        profiler = trainer.profiler  # type: ignore[attr-defined]
        recording = isinstance(profiler, RegionProfiler) and profiler.recording
        self._meter.step_ends(len(batch[1]), counts=not recording)
        every = trainer.log_every_n_steps  # type: ignore[attr-defined]
        if (batch_idx + 1) % every or not trainer.logger:
            return
        pace = self._meter.take()
        if pace is None:
            return
        figures = {
            "throughput/images_per_second": pace.images_per_second * trainer.world_size,
            "throughput/step_seconds": pace.step_seconds,
            "throughput/data_share": pace.data_share,
            "throughput/peak_rss_bytes": float(machine.peak_rss_bytes()),
        }
        if pl_module.device.type == "cuda":
            figures["throughput/peak_device_bytes"] = torch.cuda.max_memory_allocated()
        trainer.logger.log_metrics(figures, trainer.global_step)
