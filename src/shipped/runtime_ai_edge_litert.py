"""A LiteRT (TensorFlow Lite) file in LiteRT, on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

if TYPE_CHECKING or __package__:  # a part of a package
    from .predict_opening import metadata_beside
else:  # in the folder of a model
    from predict_opening import metadata_beside

Array = np.ndarray[Any, np.dtype[Any]]


class Runtime:
    """The opened file: see ``runtime_onnxruntime.py``. It takes one image: images go one by one.

    Args:
        path: the ``.tflite`` file.
        threads: of one operator; None leaves it to the runtime.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]
        self._lock = threading.Lock()  # an interpreter computes one image at a time
        self.metadata = metadata_beside(path)

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it."""
        with self._lock:
            return np.concatenate([self._logits(image) for image in images])

    def _logits(self, image: Array) -> Array:
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(image)[None])
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))
