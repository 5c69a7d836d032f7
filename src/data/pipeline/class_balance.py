"""Weights for imbalanced classes, in the loss or in the sampler."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# weights: an image of a rare class counts more in the loss.
# sampler: an image of a rare class is drawn more often; an epoch has the same number of images.
ClassBalance = Literal["none", "weights", "sampler"]


def class_weights(targets: NDArray[np.int64], classes: int) -> Tensor:
    """Return a weight per class, (K,) float32, inverse to its number of images.

    The mean over all images is 1.
    scikit-learn's "balanced" weights (King & Zeng, 2001). A class without images gets 0.

    Args:
        targets: labels, (N,).
        classes: number of classes, K.
    """
    counts = np.bincount(targets, minlength=classes)  # (K,)
    weights = np.divide(
        len(targets), classes * counts, out=np.zeros(classes), where=counts > 0, dtype=np.float64
    )
    return torch.from_numpy(weights.astype(np.float32))


def sampling_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Return a sampling weight per image, (N,), with which all classes are equally frequent."""
    weights: NDArray[np.float64] = class_weights(targets, classes).double().numpy()[targets]
    return weights
