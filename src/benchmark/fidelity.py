"""Is it the same network: logits against logits, labels against labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Shapes: n images, K classes.
Logits = NDArray[np.float32]  # (n, K)
Labels = NDArray[np.int64]  # (n,)


def what_is_wrong(logits: Logits, reference: Logits, tolerance: float | None) -> str | None:
    """Why ``logits`` can't come from the network that gave ``reference``, or None if they can.

    Args:
        tolerance: the largest difference that the format's arithmetic explains, as a share of
            the largest reference logit. None for a quantized format, of which only shape and
            finiteness can be demanded.
    """
    if logits.shape != reference.shape:
        return f"logits of shape {list(logits.shape)} instead of {list(reference.shape)}"
    if not np.isfinite(logits).all():
        return f"logits of {int((~np.isfinite(logits)).any(axis=1).sum())} images are not finite"
    if tolerance is None:
        return None
    allowed = tolerance * float(np.abs(reference).max())
    difference = float(np.abs(logits - reference).max())
    if difference > allowed:
        return (
            f"logits differ by {difference:.3g} from the baseline's; at most {allowed:.3g} is due"
        )
    # Two logits this near may swap within the tolerance; all other images keep their class.
    decided = _margin(reference) > 2 * allowed
    flipped = (logits.argmax(axis=1) != reference.argmax(axis=1)) & decided
    if flipped.any():
        return f"another top-1 than the baseline for {int(flipped.sum())} of {len(logits)} images"
    return None


def _margin(logits: Logits) -> NDArray[np.float32]:
    """How far the largest logit of each image is above the next: (n,)."""
    top = np.partition(logits, -2, axis=1)
    return top[:, -1] - top[:, -2]
