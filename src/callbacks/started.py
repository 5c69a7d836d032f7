"""Detection of a command's first lasting work: a later error is rarely caused by an option."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback


class StartDetector(Callback):
    """Sets ``is_started`` after the first batch of training, test or prediction."""

    def __init__(self) -> None:
        self.is_started = False

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self.is_started = True

    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        self.is_started = True

    def on_predict_batch_end(self, *_: Any, **__: Any) -> None:
        self.is_started = True
