"""Check before the first step that the disk has room for what a training writes."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim import Optimizer

from src import formats
from src.callbacks.export import enabled_export
from src.callbacks.profiler import ProfilerCallback
from src.errors import UsageError
from src.run.folder import Run
from src.system.console import open_console

_MEGABYTE = 1e6
_SHARE_OF_FP32 = {"int8": 0.25, "fp16": 0.5, "bf16": 0.5}  # of a file's weights, by its precision


class DiskSpace(Callback):
    """Refuses a training whose checkpoints do not fit on the disk; warns where exports may not.

    A checkpoint holds the weights, their moving average if there is one, and the state of the
    optimizer. A new one is written beside the one that it replaces.
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        folder = trainer.log_dir  # a collective call: rank 0 broadcasts it to all processes
        if folder is None or trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        run = Run(Path(folder))
        # All processes go by the disk of rank 0, which the others may not see.
        is_writer = trainer.is_global_zero
        found = (_free_bytes(run.folder), _files_to_write(trainer, run)) if is_writer else (None, 0)
        free, files = trainer.strategy.broadcast(found)
        if free is None:
            return
        each = checkpoint_bytes(trainer, pl_module)
        checkpoints = each * files
        if free < checkpoints:
            raise UsageError(
                "trainer.default_root_dir",
                expected=f"{_shown(checkpoints)} of free disk space, for checkpoints of "
                f"{_shown(each)} each",
                found=f"{_shown(free)} in {folder}",
                remedy="make room, or name a folder on another disk",
            )
        exports, traces = _export_bytes(trainer, pl_module), _trace_bytes(trainer)
        if trainer.is_global_zero and free < checkpoints + exports + traces:
            line = (
                f"the disk may become full: {_shown(free)} are free in {folder}; checkpoints take "
                f"{_shown(checkpoints)}, exports about {_shown(exports)}, traces up to "
                f"{_shown(traces)}"
            )
            open_console().print(line, soft_wrap=True, markup=False)


def checkpoint_bytes(trainer: Trainer, module: LightningModule) -> int:
    """Return the size of a checkpoint of this training, at least."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    averages = sum(isinstance(callback, WeightAveraging) for callback in callbacks)
    weights = _bytes_of([*module.parameters(), *module.buffers()])
    return weights * (1 + averages) + sum(map(_state_bytes, trainer.optimizers))


def _state_bytes(optimizer: Optimizer) -> int:
    """Return the size of an optimizer's state after its first step.

    Those of torch that have ``betas``, Adam's family, keep two numbers for each weight, and
    momentum is one. Of others nothing is known. A weight that is frozen has no state yet.
    """
    options: dict[str, Any] = optimizer.defaults
    has_betas = "betas" in options and type(optimizer).__module__.startswith("torch.optim.")
    numbers = 2 if has_betas else int(bool(options.get("momentum")))
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return numbers * _bytes_of(weight for weight in weights if weight.requires_grad)


def _files_to_write(trainer: Trainer, run: Run) -> int:
    """Return how many checkpoints more than now the disk holds at the moment of the most, at least.

    With ``max_steps`` a training may end before it replaces one.
    """
    files = [run.last_checkpoint, *([run.best_checkpoint] if trainer.enable_validation else [])]
    missing = sum(not file.is_file() for file in files)
    may_replace = missing < len(files) or trainer.max_epochs != 1
    return missing + (may_replace and trainer.max_steps < 0)


def _export_bytes(trainer: Trainer, module: LightningModule) -> int:
    export = enabled_export(trainer)
    names = export.options.formats if export else []
    shares = [_SHARE_OF_FP32.get(formats.get(name).precision, 1.0) for name in names]
    return round(sum(shares) * _bytes_of(module.parameters()))


def _trace_bytes(trainer: Trainer) -> int:
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    profilers = (each for each in callbacks if isinstance(each, ProfilerCallback) and each.enabled)
    return sum(each.options.max_trace_bytes for each in profilers)


def _bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _free_bytes(folder: Path) -> int | None:
    """Return the free space of a folder's disk; None where the system does not know its size."""
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    return usage.free if usage.total else None


def _shown(size: float) -> str:
    return f"{size / _MEGABYTE:.0f} MB"
