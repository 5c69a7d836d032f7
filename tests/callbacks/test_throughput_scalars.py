"""Throughput as scalars of every logger, also in epochs of few batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import Logger

from src.callbacks.throughput import ThroughputScalars
from tests.support.tiny_classifier import TinyNet, loader, trainer


class Recording(Logger):
    """Logger that keeps the steps at which a throughput was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []

    @property
    def name(self) -> str:
        return "recording"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        pass

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        if "throughput/images_per_second" in metrics:
            self.steps.append(int(step or 0))


@pytest.mark.filterwarnings("ignore:The number of training batches")
def test_every_logger_gets_the_throughput_of_epochs_shorter_than_the_interval(
    tmp_path: Path,
) -> None:
    loggers = [Recording(), Recording()]
    fit = trainer(
        tmp_path,
        max_epochs=5,
        logger=loggers,
        log_every_n_steps=5,
        callbacks=[ThroughputScalars()],
    )
    fit.fit(TinyNet(), loader(), loader())  # three batches an epoch
    assert [logger.steps for logger in loggers] == [[5, 10, 15]] * 2
