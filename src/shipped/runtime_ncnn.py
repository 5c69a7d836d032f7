"""A network of ncnn in ncnn, on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import ncnn
import numpy as np

if TYPE_CHECKING or __package__:  # a part of a package
    from .predict_opening import metadata_beside
else:  # in the folder of a model
    from predict_opening import metadata_beside

Array = np.ndarray[Any, np.dtype[Any]]

INPUT, OUTPUT = "in0", "out0"
# Each of them would compute or store in 16 bits.
NARROW = ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage")


class Runtime:
    """The opened file: see ``runtime_onnxruntime.py``. ncnn has no batches: images go one by one.

    Args:
        path: the ``.param`` file of the layers, beside which the ``.bin`` file of the weights lies.
        threads: of one operator; None leaves it to the runtime.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        self._net = ncnn.Net()
        options = self._net.opt
        options.use_vulkan_compute = False
        for name in NARROW:
            setattr(options, name, False)
        if threads is not None:
            options.num_threads = threads
        if self._net.load_param(str(path)):
            raise ValueError("ncnn cannot read the layers")
        if self._net.load_model(str(path.with_suffix(".bin"))):
            raise ValueError(f"ncnn cannot read the weights, {path.stem}.bin")
        self.metadata = metadata_beside(path)

    def __call__(self, images: Array) -> Array:
        """Return the answer for a batch as the file takes it."""
        return np.stack([self._logits(image) for image in images])

    def _logits(self, image: Array) -> Array:
        extractor = self._net.create_extractor()
        extractor.input(INPUT, ncnn.Mat(np.ascontiguousarray(image)))
        code, logits = extractor.extract(OUTPUT)
        if code:
            raise ValueError(f"ncnn gave no logits, code {code}")
        return np.array(logits, dtype=np.float32)
