"""Training throughput as scalars, with or without a profiler."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.profiler import RegionProfiler
from src.profiling.throughput import ThroughputMeter
from src.system import machine


class ThroughputScalars(Callback):
    """Logs images a second, seconds a step, the share of waiting for data, and peak memory.

    Logs the mean of each ``trainer.log_every_n_steps`` steps. Images a second are those of one
    process times the number of processes. Profiled steps and validation are left out.
    """

    def __init__(self) -> None:
        self._meter = ThroughputMeter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._meter.pause()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._meter.pause()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._meter.start_step()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        profiler = trainer.profiler  # type: ignore[attr-defined]
        recording = isinstance(profiler, RegionProfiler) and profiler.recording
        self._meter.end_step(len(batch[1]), counts=not recording)
        interval = trainer.log_every_n_steps  # type: ignore[attr-defined]
        # Counted over the epochs: those of a small data set are shorter than the interval.
        if (trainer.fit_loop.total_batch_idx + 1) % interval or not trainer.loggers:
            return
        throughput = self._meter.take()
        if throughput is None:
            return
        figures = {
            "throughput/images_per_second": throughput.images_per_second * trainer.world_size,
            "throughput/step_seconds": throughput.step_seconds,
            "throughput/data_share": throughput.data_share,
            "throughput/peak_rss_bytes": float(machine.peak_rss_bytes()),
        }
        if pl_module.device.type == "cuda":
            figures["throughput/peak_device_bytes"] = torch.cuda.max_memory_allocated()
        for logger in trainer.loggers:
            logger.log_metrics(figures, trainer.global_step)
