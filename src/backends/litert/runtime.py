"""LiteRT: an interpreter as a runtime. It runs in the environment of LiteRT."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile
from src.run.file_input import NORMALISED, Batch
from src.run.row import Settings


class LitertRuntime:
    """A LiteRT file, called with one image after the other: that is its shape.

    Args:
        path: the ``.tflite`` file.
        threads: of XNNPACK, whose kernels compute it.
    """

    def __init__(self, path: Path, threads: int) -> None:
        module = importlib.import_module("ai_edge_litert.interpreter")
        self._interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self.settings: Settings = {
            "runtime": f"ai-edge-litert {importlib.metadata.version('ai-edge-litert')}",
            "device": "cpu",
            "input": str(NORMALISED),
            # No number of threads: it reports none.
            "images_per_call": 1,
        }

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        return np.concatenate([self._logits(image) for image in images])

    def _logits(self, image: Batch) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(image)[None])
        self._interpreter.invoke()
        logits: NDArray[np.float32] = self._interpreter.get_tensor(self._output)  # a copy
        return logits

    def synchronize(self) -> None:
        """Do nothing: ``invoke`` returns when the logits are there."""

    def device_seconds(self, images: Batch) -> float | None:
        return None

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Return an empty profile: the Python package reports none."""
        return Profile()


def open_file(path: Path, threads: int) -> LitertRuntime:
    """Open a file; see :mod:`src.quantization.other_environment`."""
    return LitertRuntime(path, threads)
