"""``torch.compile(module)`` with its defaults, from the state dict."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from src.backends.torch.runtime import TorchRuntime
from src.formats import eager
from src.formats.eager import devices, export, precision, requires, runs_with, tolerance

__all__ = ["devices", "export", "load", "precision", "requires", "runs_with", "tolerance"]

devices = devices[:1]


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    runtime = eager.load(folder, device, threads)
    runtime._network.compile()  # noqa: SLF001  # what a user would hold himself
    # It compiles for a shape when it sees it, and once more, for any batch, when it changes.
    side = json.loads((folder / "network.json").read_text("utf-8"))["preprocessing"]["image_size"]
    for batch in (1, 2):
        runtime(np.zeros((batch, 3, side, side), np.float32))
    return runtime
