"""ncnn: a network as a runtime. It runs in the environment of ncnn."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.backends.base import Profile
from src.backends.ncnn.names import INPUT, OUTPUT, PARAMETERS, WEIGHTS
from src.run.file_input import NORMALISED, Batch
from src.run.row import Settings

# Each of them would compute or store in 16 bits.
NARROW = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")


class NcnnRuntime:
    """An ncnn network, called with one image after the other: ncnn has no batches.

    Args:
        folder: of the files of layers and of weights.
        threads: intra-op threads.

    Raises:
        ValueError: ncnn cannot read the files.
    """

    def __init__(self, folder: Path, threads: int) -> None:
        ncnn = importlib.import_module("ncnn")
        self._mat = ncnn.Mat
        self._net = ncnn.Net()
        options = self._net.opt
        options.use_vulkan_compute = False
        options.num_threads = threads
        for name in NARROW:
            setattr(options, name, False)
        if self._net.load_param(str(folder / PARAMETERS)):
            raise ValueError(f"ncnn cannot read {PARAMETERS}")
        if self._net.load_model(str(folder / WEIGHTS)):
            raise ValueError(f"ncnn cannot read {WEIGHTS}")
        self.settings: Settings = {
            "runtime": f"ncnn {ncnn.__version__}",
            "device": "cpu",
            "input": str(NORMALISED),
            "threads": options.num_threads,
            "images_per_call": 1,
        }

    def __call__(self, images: Batch) -> NDArray[np.float32]:
        return np.stack([self._logits(image) for image in images])

    def _logits(self, image: Batch) -> NDArray[np.float32]:
        extractor = self._net.create_extractor()
        extractor.input(INPUT, self._mat(np.ascontiguousarray(image)))
        code, logits = extractor.extract(OUTPUT)
        if code:
            raise ValueError(f"ncnn gave no logits, code {code}")
        return np.array(logits, dtype=np.float32)

    def synchronize(self) -> None:
        """Do nothing: ``extract`` returns when the logits are there."""

    def device_seconds(self, images: Batch) -> float | None:
        return None

    def profile(self, images: Batch, trace: Path | None = None) -> Profile:
        """Return an empty profile: the Python package reports none."""
        return Profile()
