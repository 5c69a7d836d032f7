"""What evens out classes of uneven size: weights for the loss, or of the drawing."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# weights: an image of a rare class counts more in the loss.
# sampler: it is drawn more often; an epoch has as many images as before.
Balance = Literal["none", "weights", "sampler"]


def class_weights(targets: NDArray[np.int64], classes: int) -> Tensor:
    """A weight a class, (K,) float32: inverse to its number of images, 1 on average over images.

    scikit-learn's "balanced" weights (King & Zeng, 2001). A class without images gets 0.

    Args:
        targets: labels, (N,).
        classes: how many there are, K.
    """
    counts = np.bincount(targets, minlength=classes)  # (K,)
    weights = np.divide(
        len(targets), classes * counts, out=np.zeros(classes), where=counts > 0, dtype=np.float64
    )
    return torch.from_numpy(weights.astype(np.float32))


def drawing_weights(targets: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """How often each image is drawn, (N,), so that each class is as often as another."""
    weights: NDArray[np.float64] = class_weights(targets, classes).double().numpy()[targets]
    return weights
