"""Profile of a training: Lightning's actions and hooks call the recorder."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import Profiler

from src.callbacks.export import data_of
from src.profiling.options import ProfilingOptions
from src.profiling.plan import Window, training_windows, window_at
from src.profiling.recorder import Recorder
from src.profiling.regions import region_of
from src.report.stage import report_profile
from src.run.folder import Run
from src.run.training_profile import Context
from src.system import machine
from src.system.console import open_console


class RegionProfiler(Profiler):
    """Profiler that passes the named parts of a step to an open recorder and does no more."""

    def __init__(self) -> None:
        super().__init__()
        self.recorder: Recorder | None = None

    @property
    def recording(self) -> bool:
        """True while a window is open."""
        return self.recorder is not None and self.recorder.recording

    def start(self, action_name: str) -> None:
        if self.recording and (region := region_of(action_name)):
            self.recorder.enter(region)  # type: ignore[union-attr]  # not None while recording

    def stop(self, action_name: str) -> None:
        if self.recording and (region := region_of(action_name)):
            self.recorder.leave(region)  # type: ignore[union-attr]


class ProfilerCallback(Callback):
    """Records a few steps of training and of validation; ends before the export.

    Args:
        enabled: False records nothing.
        options: fields of :class:`ProfilingOptions`.
    """

    def __init__(self, enabled: bool = True, **options: Any) -> None:
        self.enabled = enabled
        self.options = ProfilingOptions(**options)
        self.profiler = RegionProfiler()
        self._first_epoch: int | None = None  # the first one that this process begins
        self._windows: list[Window] = []
        self._validation_windows = 0  # still to record in this epoch

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = trainer.log_dir  # a collective call: rank 0 broadcasts it to all processes
        if not self.enabled or folder is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        self._first_epoch = None
        self.profiler.recorder = Recorder(
            Run(Path(folder)).profile,
            trainer.global_rank,
            trainer.world_size,
            self.options,
            _context(trainer, pl_module),
        )

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.profiler.recorder is None:
            return
        if self._first_epoch is None:  # known now: a checkpoint is restored after on_fit_start
            self._first_epoch = trainer.current_epoch
        steps = _steps(trainer.num_training_batches)
        self._windows = training_windows(
            trainer.current_epoch - self._first_epoch, self._epochs(trainer), steps, self.options
        )
        self._validation_windows = min(1, len(self._windows))
        self._open_due_window(trainer, 0)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        recorder = self.profiler.recorder
        if recorder is None:
            return
        if recorder.recording:
            recorder.step()
            self._log_window(trainer)
        if not recorder.recording:
            self._open_due_window(trainer, batch_idx + 1)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        recorder = self.profiler.recorder
        if recorder is None or trainer.sanity_checking:
            return
        self._close(trainer)  # a training window must not contain a validation
        window = window_at(0, _steps(sum(trainer.num_val_batches)), self.options)
        if self._validation_windows and window is not None:
            self._validation_windows -= 1
            recorder.open(window, "val", trainer.current_epoch, 0, trainer.global_step)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if self.profiler.recording:
            self.profiler.recorder.step()  # type: ignore[union-attr]
            self._log_window(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._close(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        recorder = self.profiler.recorder
        if recorder is None:
            return
        self._close(trainer)
        recorder.save()
        self.profiler.recorder = None
        folder = trainer.log_dir  # a collective call
        if trainer.is_global_zero and folder is not None:
            report_profile(recorder.training_profile, Path(folder), open_console())

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        if self.profiler.recorder is not None:
            self.profiler.recorder.close()
            self.profiler.recorder.save()
            self.profiler.recorder = None

    def _open_due_window(self, trainer: Trainer, step: int) -> None:
        """Start the next training window if it begins at ``step`` of this epoch."""
        if self._windows and self._windows[0].first == step:
            recorder = self.profiler.recorder
            window = self._windows.pop(0)
            if recorder is not None:
                now = trainer.global_step
                recorder.steps_per_update = trainer.accumulate_grad_batches
                recorder.open(window, "train", trainer.current_epoch, now, now)

    def _close(self, trainer: Trainer) -> None:
        if self.profiler.recording:
            self.profiler.recorder.close()  # type: ignore[union-attr]
            self._log_window(trainer)

    def _log_window(self, trainer: Trainer) -> None:
        """Log seconds by region of the window that was just closed, as scalars."""
        recorder = self.profiler.recorder
        if recorder is None or recorder.recording or not recorder.windows:
            return
        window = recorder.windows[-1]
        if not trainer.is_global_zero:
            return
        seconds = {
            f"profile/{window.stage}/{name.replace(' ', '_')}_seconds": value
            for name, value in window.regions.items()
        }
        for logger in trainer.loggers:
            logger.log_metrics(seconds, window.global_step)

    def _epochs(self, trainer: Trainer) -> int:
        """Return the number of epochs that this process trains; 1 if there is no limit."""
        steps = trainer.estimated_stepping_batches  # of the optimizer, by max_epochs and max_steps
        batches = _steps(trainer.num_training_batches)
        if batches and math.isfinite(steps):
            last = math.ceil(steps / math.ceil(batches / trainer.accumulate_grad_batches))
        else:
            last = max(trainer.max_epochs or 1, 1)
        return max(1, last - (self._first_epoch or 0))


def _steps(batches: float) -> int:
    """Return the batches of an epoch as a finite number, for iterable data sets without an end."""
    return int(min(batches, 10**9))


def _context(trainer: Trainer, model: LightningModule) -> Context:
    data = data_of(trainer)
    return Context(
        batch_size=data.batch_size,
        num_workers=data.num_workers,
        device=trainer.strategy.root_device.type,
        precision=str(trainer.precision),
        # For a network that does not say, the report may suggest bf16.
        faster_in_bfloat16=getattr(model, "faster_in_bfloat16", True) and machine.has_bfloat16(),
        log_every_n_steps=trainer.log_every_n_steps,  # type: ignore[attr-defined]
    )
