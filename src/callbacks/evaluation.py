"""Table of the metrics of ``validate`` and ``test``."""

from __future__ import annotations

from lightning.pytorch import Callback, LightningModule, Trainer
from rich import box
from rich.table import Table

from src.system.console import open_console


class EvaluationTable(Callback):
    """Prints one row a metric; Lightning's table breaks names at 25 characters."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            _print(trainer)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        _print(trainer)


def _print(trainer: Trainer) -> None:
    if not trainer.is_global_zero:
        return
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("metric", no_wrap=True)
    table.add_column("value", no_wrap=True, justify="right")
    for name, value in trainer.callback_metrics.items():
        table.add_row(name, f"{float(value):.8g}")
    open_console().print(table)
