"""MNN: a module as a runtime. It runs in the environment of MNN."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile
from src.run.file_input import NORMALISED, Batch
from src.run.row import Settings

FILE = "model.mnn"
INPUT, OUTPUT = "images", "logits"
# In high precision an ARM processor computes in fp32, too; its default would be fp16.
_PRECISION = "high"


class MnnRuntime:
    """An MNN module with a dynamic batch.

    Args:
        path: the ``.mnn`` file.
        threads: intra-op threads.
    """

    def __init__(self, path: Path, threads: int) -> None:
        mnn, nn = importlib.import_module("MNN"), importlib.import_module("MNN.nn")
        self._expr = importlib.import_module("MNN.expr")
        setting = {"backend": "CPU", "precision": _PRECISION, "numThread": threads}
        self._manager = nn.create_runtime_manager((setting,))
        self._module = nn.load_module_from_file(
            str(path), [INPUT], [OUTPUT], runtime_manager=self._manager
        )
        if self._module is None:
            raise ValueError("it is no file of MNN")
        self.settings: Settings = {
            "runtime": f"MNN {mnn.version()}",
            "device": "cpu",
            "input": str(NORMALISED),
            # No number of threads: it reports none.
            "precision": _PRECISION,
        }

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        expr = self._expr
        batch = expr.const(np.ascontiguousarray(images), list(images.shape), expr.NCHW, expr.float)
        [logits] = self._module.forward([batch])
        return np.array(logits.read(), dtype=np.float32)  # a copy: the next call overwrites it

    def synchronize(self) -> None:
        """Do nothing: ``read`` returns when the logits are there."""

    def device_seconds(self, images: Batch) -> float | None:
        return None

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Return an empty profile: the Python package reports none."""
        return Profile()
