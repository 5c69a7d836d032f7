"""The quantization error of a tensor as a share of its signal: the inverse of the SQNR.

SQNR is the signal to quantization noise ratio: Nagel et al., A White Paper on Neural Network
Quantization, 2021, https://arxiv.org/abs/2106.08295.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def energies(value: Array, rounded: Array, axis: int) -> tuple[Array, Array]:
    """Return the energy of the signal and of the noise in each channel, (C,) each.

    Args:
        value: the tensor in float.
        rounded: the same tensor, quantized and dequantized.
        axis: axis of the channels.
    """
    other_axes = tuple(set(range(value.ndim)) - {axis})
    return (value**2).sum(axis=other_axes), ((value - rounded) ** 2).sum(axis=other_axes)


def noise_share(signal: Array, noise: Array) -> float:
    """Return the mean over channels of noise / signal, each at most 1.

    A channel without signal counts as 0. The mean of the channels' shares differs from the
    share of the whole tensor, which ``qdq_loss_debug`` of ONNX Runtime takes: there a single
    channel with large values hides that all others are rounded to 0.

    Args:
        signal: energy of each channel, (C,).
        noise: energy of each channel, (C,).
    """
    shares = np.divide(noise, signal, out=np.zeros_like(noise), where=signal > 0)
    return float(np.minimum(shares, 1).mean())
