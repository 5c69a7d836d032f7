"""Is it the same network: logits against logits, labels against labels."""

from __future__ import annotations

from typing import Any

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


def accuracy(logits: Logits, targets: Labels, baseline: Logits | None) -> dict[str, Any]:
    """Accuracy of one row, and what changed from the baseline on the same images.

    All are shares of 1, but for counts of images and logit differences.

    Args:
        baseline: the baseline's logits for the same images in the same order, or None where
            the baseline could not be measured.
    """
    classes = logits.shape[1]
    ranked = np.argsort(-logits, axis=1, kind="stable")[:, : min(5, classes)]  # (n, 5)
    right = ranked[:, 0] == targets
    result: dict[str, Any] = {
        "images": len(targets),
        "top1": float(right.mean()),
        "top5": float((ranked == targets[:, None]).any(axis=1).mean()),
    }
    if baseline is not None:
        before = baseline.argmax(axis=1)
        was_right = before == targets
        result |= {
            "delta_top1": float(right.mean() - was_right.mean()),
            "agreement": float((before == ranked[:, 0]).mean()),
            "lost": int((was_right & ~right).sum()),
            "gained": int((right & ~was_right).sum()),
            "max_abs_logit_diff": float(np.abs(logits - baseline).max()),
        }
    return result


def _margin(logits: Logits) -> NDArray[np.float32]:
    """How far the largest logit of each image is above the next: (n,)."""
    top = np.partition(logits, -2, axis=1)
    return top[:, -1] - top[:, -2]
