"""An MNN file in MNN, on the CPU."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from MNN import expr, nn

if TYPE_CHECKING or __package__:  # a part of a package
    from .predict_opening import metadata_beside
else:  # in the folder of a model
    from predict_opening import metadata_beside

Array = np.ndarray[Any, np.dtype[Any]]

INPUT, OUTPUT = "images", "logits"


class Runtime:
    """The opened file: see ``runtime_onnxruntime.py``.

    Args:
        path: the ``.mnn`` file.
        threads: of one operator; None leaves it to the runtime.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        # In high precision an ARM processor computes in fp32, too; its default would be fp16.
        setting: dict[str, Any] = {"backend": "CPU", "precision": "high"}
        if threads is not None:
            setting["numThread"] = threads
        self._manager = nn.create_runtime_manager((setting,))
        self._module = nn.load_module_from_file(
            str(path), [INPUT], [OUTPUT], runtime_manager=self._manager
        )
        if self._module is None:
            raise ValueError("it is no file of MNN")
        self.metadata = metadata_beside(path)
        self._lock = threading.Lock()  # a module computes one batch at a time

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it."""
        with self._lock:
            batch = expr.const(
                np.ascontiguousarray(images), list(images.shape), expr.NCHW, expr.float
            )
            [logits] = self._module.forward([batch])
            return np.array(logits.read(), dtype=np.float32)  # the next call overwrites it
