"""Table of the metrics of ``validate`` and ``test``."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from rich import box
from rich.table import Table

from src.data.images import ImageDataModule
from src.data.pipeline.split import Split
from src.models.metrics import MOST_CLASSES
from src.system.console import open_console


class EvaluationTable(Callback):
    """Prints one row a metric; Lightning's table breaks names at 25 characters."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            _print(trainer, "val", trainer.limit_val_batches)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _print(trainer, "test", trainer.limit_test_batches)


def _print(trainer: Trainer, split: Split, limit: float) -> None:
    if not trainer.is_global_zero:
        return
    data = getattr(trainer, "datamodule", None)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("metric", no_wrap=True)
    table.add_column("value", no_wrap=True, justify="right")
    if isinstance(data, ImageDataModule) and limit == 1.0 and isinstance(limit, float):
        table.add_row("images", f"{data.count(split)}")
    for name, value in trainer.callback_metrics.items():
        table.add_row(name, f"{float(value):.8g}")
    if split == "test" and isinstance(data, ImageDataModule):
        left_out = len(data.class_names) - MOST_CLASSES
        if left_out > 0:
            table.add_row(f"test/top1_of: {left_out} more classes", "no lower")
    open_console().print(table)
