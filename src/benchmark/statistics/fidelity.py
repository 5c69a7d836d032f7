"""Checks that a file is the trained network: logits and labels against the baseline's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from src.worker.answer import Logits, UnusableAnswer, logits_of

# Shapes: n images, K classes.
Labels = NDArray[np.int64]  # (n,)


def what_is_wrong(logits: Logits, reference: Logits, tolerance: float | None) -> str | None:
    """Return why ``logits`` can't be of the network that gave ``reference``, or None if they can.

    Args:
        tolerance: the largest difference that the format's arithmetic explains, as a share of
            the largest reference logit. None for a quantized format, of which only shape and
            finiteness can be demanded.
    """
    try:
        reference = logits_of(reference, *reference.shape)
    except UnusableAnswer as problem:
        return f"nothing to compare with: of the baseline, {problem}"
    try:
        logits = logits_of(logits, *reference.shape)
    except UnusableAnswer as problem:
        return str(problem)
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
    """Return the largest logit of each image less the next one: (n,)."""
    top = np.partition(logits, -2, axis=1)
    return top[:, -1] - top[:, -2]
