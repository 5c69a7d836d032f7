"""Refuses to watch top-5 where there are five classes or fewer: it is 1 whatever is answered."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from src.callbacks.checkpoint import BestCheckpoint
from src.callbacks.finetune import Patience
from src.errors import UsageError
from src.models.classifier import Classifier

_TOP_5 = "val/top5"
_MOST = 5  # classes


class ConstantMetric(Callback):
    """Checks what checkpoints, early stopping and schedules watch, once the classes are known.

    The best checkpoint would be the last one, and early stopping would end a training that improves
    (https://github.com/ultralytics/ultralytics/issues/3763).
    """

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not isinstance(pl_module, Classifier) or len(pl_module.class_names) > _MOST:
            return
        callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
        watched = [
            *((_option(each), getattr(each, "monitor", None)) for each in callbacks),
            *(("lr_scheduler.monitor", each.monitor) for each in trainer.lr_scheduler_configs),
        ]
        for option, monitor in watched:
            if monitor == _TOP_5:
                raise UsageError(
                    option,
                    expected=f"another metric than {_TOP_5}, which is always 1 for "
                    f"{len(pl_module.class_names)} classes",
                    found=_TOP_5,
                    remedy=f"set {option}=val/top1",
                )


def _option(callback: Callback) -> str:
    is_own = isinstance(callback, BestCheckpoint | Patience)
    return "checkpoint.monitor" if is_own else "trainer.callbacks.monitor"
