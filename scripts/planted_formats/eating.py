"""A runtime that eats memory until it is stopped."""

import numpy as np
from src.formats._broken import loader

from src.formats.onnx_fp32 import devices, precision, requires, runs_with, tolerance

__all__ = ["devices", "load", "precision", "requires", "runs_with", "tolerance"]


def _eat() -> None:
    hoard = []
    while True:
        hoard.append(np.ones(10_000_000))


load = loader(_eat)
