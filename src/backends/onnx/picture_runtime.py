"""An ONNX file with its preprocessing inside, in a session of ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from src.backends.onnx.embedding import PICTURE, PROBABILITIES
from src.backends.onnx.runtime import session_options
from src.run.row import Settings


class PictureRuntime:
    """A session that takes one image of any size.

    Args:
        path: the ONNX file.
        threads: intra-op.
    """

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime as ort

        self._session = ort.InferenceSession(
            path, session_options(threads), providers=["CPUExecutionProvider"]
        )
        self.settings: Settings = {
            "runtime": f"onnxruntime {ort.__version__}",
            "device": "cpu",
            "threads": self._session.get_session_options().intra_op_num_threads,
        }

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities (K,) of an image (H, W, 3)."""
        answer = self._session.run([PROBABILITIES], {PICTURE: image})[0]
        return cast("NDArray[np.float32]", answer)
