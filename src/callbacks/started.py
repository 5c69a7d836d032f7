"""Notices that the work has begun: an error that comes later is hardly about an option."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback


class Started(Callback):
    """Knows whether a batch was trained on, or one was answered."""

    def __init__(self) -> None:
        self.is_started = False

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        self.is_started = True

    def on_test_batch_end(self, *_: Any, **__: Any) -> None:
        self.is_started = True

    def on_predict_batch_end(self, *_: Any, **__: Any) -> None:
        self.is_started = True
