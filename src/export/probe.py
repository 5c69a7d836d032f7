"""A few inputs with the logits that the trained network itself gives for them.

They travel with the exports, so that any exported file can be checked, on any machine, against
what was trained and not only against another exported file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from src.formats.base import ExportSource

IMAGES = 8


def write(path: Path, source: ExportSource) -> None:
    """Write the first calibration images and the source network's logits for them."""
    images = source.calibration[:IMAGES]  # (8, 3, H, W)
    with torch.inference_mode():
        logits = source.network(images)  # (8, K)
    np.savez(path, images=images.numpy(), logits=logits.numpy())


def read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Images (n, 3, H, W) and logits (n, K)."""
    with np.load(path, allow_pickle=False) as content:
        return content["images"], content["logits"]
