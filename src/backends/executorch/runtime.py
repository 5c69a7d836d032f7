"""ExecuTorch: a program with XNNPACK's kernels as a runtime, in ExecuTorch's environment."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile
from src.run.file_input import NORMALISED, Batch
from src.run.row import Settings

FILE = "model.pte"
# A program plans its memory for the largest batch. Evaluation and prediction give at most 64.
MOST_IMAGES = 64


class ExecutorchRuntime:
    """An ExecuTorch program that takes up to ``MOST_IMAGES`` images a call, or one image.

    Args:
        path: the ``.pte`` file.
        threads: threads of XNNPACK.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self._torch = importlib.import_module("torch")
        bindings = importlib.import_module("executorch.extension.pybindings.portable_lib")
        # The pool belongs to the process. Nothing has computed in it yet.
        bindings._unsafe_reset_threadpool(threads)  # noqa: SLF001  # there is no other way
        runtime = importlib.import_module("executorch.runtime").Runtime.get()
        self._program = runtime.load_program(str(path))
        self._method = self._program.load_method("forward")
        # The first size of the input is the largest batch; it is 1 in a program for one image.
        self._most_images = int(self._method.metadata.input_tensor_meta(0).sizes()[0])
        self.settings: Settings = {
            "runtime": f"executorch {importlib.metadata.version('executorch')}",
            "device": "cpu",
            "input": str(NORMALISED),
            "threads": bindings._threadpool_get_thread_count(),  # noqa: SLF001  # as above
            "backend": "XNNPACK",
            "images_per_call": self._most_images,
        }

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        most = self._most_images
        parts = [self._logits(images[at : at + most]) for at in range(0, len(images), most)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _logits(self, images: Batch) -> NDArray[np.float32]:
        # The method reads the images where they are, and they may be read-only.
        batch = self._torch.from_numpy(np.require(images, np.float32, ["C", "W"]))
        logits = self._method.execute([batch])[0].numpy()
        return cast("NDArray[np.float32]", logits.copy())

    def synchronize(self) -> None:
        """Do nothing: ``execute`` returns when the logits are there."""

    def device_seconds(self, images: Batch) -> float | None:
        return None

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Return an empty profile: the package's runtime is built without its profiler."""
        return Profile()


def open_file(path: Path, threads: int) -> ExecutorchRuntime:
    """Open a program; see :mod:`src.quantization.other_environment`."""
    return ExecutorchRuntime(path, threads)
