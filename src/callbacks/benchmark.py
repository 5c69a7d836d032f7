"""Measurement, load test and report at the end of a fit, after the export."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from src.benchmark.options import BenchmarkOptions
from src.benchmark.suite import measure_unless_done
from src.callbacks.export import data_of, enabled_export, finished_checkpoint, run_of, tell_exports
from src.serve_test.measurement_end import finish_measurement
from src.system.console import StageDisplay, open_console
from src.system.project_commands import typed


class BenchmarkCallback(Callback):
    """Measures the exported files, on rank 0 only.

    Args:
        enabled: False skips measurement and report. What was exported is told in words instead.
        pages: False leaves out the report: the table, the pages, their charts and the texts for
            TensorBoard. ``python -m src.report RUN`` makes them later.
        options: fields of :class:`BenchmarkOptions`.
    """

    def __init__(self, enabled: bool = True, pages: bool = True, **options: Any) -> None:
        self.enabled = enabled
        self.pages = pages
        self.options = BenchmarkOptions(**options)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        checkpoint = finished_checkpoint(trainer)
        if not trainer.is_global_zero or checkpoint is None:
            return
        run = run_of(checkpoint)
        if not self.enabled:
            if enabled_export(trainer):
                tell_exports(run)
                command = f"{typed('src.benchmark')} {run.quoted}"
                open_console().print(f"to measure them: {command}", soft_wrap=True, markup=False)
            return
        # torch's caching allocator holds the training's GPU memory, which the workers need now.
        torch.cuda.empty_cache()
        for logger in trainer.loggers:
            logger.save()  # the report reads the training curves from its event file
        console = open_console()
        with StageDisplay(console) as report:
            results = measure_unless_done(run, data_of(trainer), self.options, report)
        finish_measurement(run, results, self.options, console, pages=self.pages)
