"""An ExecuTorch program in ExecuTorch, on the CPU. Its Python package needs PyTorch."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from executorch.extension.pybindings import portable_lib
from executorch.runtime import Runtime as Programs

if TYPE_CHECKING or __package__:  # a part of a package
    from .predict_opening import metadata_beside
else:  # in the folder of a model
    from predict_opening import metadata_beside

Array = np.ndarray[Any, np.dtype[Any]]


class Runtime:
    """The opened file: see ``runtime_onnxruntime.py``.

    Args:
        path: the ``.pte`` file.
        threads: of one operator, in the whole process; None leaves it to the runtime.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        if threads is not None:
            # The pool belongs to the process. There is no public way to set its size.
            portable_lib._unsafe_reset_threadpool(threads)  # noqa: SLF001
            torch.set_num_threads(threads)
        self._program = Programs.get().load_program(str(path))
        self._method = self._program.load_method("forward")
        if self._method is None:
            raise ValueError("the program has no method forward")
        # The first size of the input is the largest batch; it is 1 in a program for one image.
        self._most_images = int(self._method.metadata.input_tensor_meta(0).sizes()[0])
        self.metadata = metadata_beside(path)
        self._lock = threading.Lock()  # a method computes one batch at a time

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it."""
        most = self._most_images
        parts = [self._logits(images[at : at + most]) for at in range(0, len(images), most)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _logits(self, images: Array) -> Array:
        # The method reads the images where they are, and they may be read-only.
        batch = torch.from_numpy(np.require(images, np.float32, ["C", "W"]))
        with self._lock:
            [logits] = self._method.execute([batch])
            return np.array(logits.numpy(), dtype=np.float32)  # the next call overwrites it
