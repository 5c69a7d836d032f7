"""The one check of what an exported file answers, for whatever it was asked."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Shapes: n images, K classes.
Logits = NDArray[np.float32]  # (n, K)


class UnusableAnswer(Exception):  # noqa: N818  # a finding; whoever asked makes an error of it
    """An answer that says nothing of its images.

    Args:
        message: what is wrong with it.
        images: positions of the images whose logits are not finite; empty where it is something
            that is wrong with the answer as a whole.
    """

    def __init__(self, message: str, images: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.images = images

    @classmethod
    def not_finite(cls, images: tuple[int, ...]) -> UnusableAnswer:
        """The logits of ``images`` have a NaN or an infinity among them."""
        return cls(f"logits of {len(images)} images are not finite", images)


def logits_of(answer: object, images: int, classes: int | None = None) -> Logits:
    """An answer as logits (n, K) in float32, all of them finite.

    Args:
        answer: as the runtime gave it.
        images: n.
        classes: K; None where only the file knows.

    Raises:
        UnusableAnswer: it is something else.
    """
    values = np.asarray(answer)
    if values.dtype.kind != "f":
        raise UnusableAnswer(f"an answer of {values.dtype} instead of floating-point logits")
    if values.ndim != 2 or values.shape != (images, classes or values.shape[1]):  # noqa: PLR2004
        due = [images, "any number" if classes is None else classes]
        raise UnusableAnswer(
            f"logits of shape {list(values.shape)} instead of [{', '.join(map(str, due))}]"
        )
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is said below
        logits = np.ascontiguousarray(values, dtype=np.float32)
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        raise UnusableAnswer.not_finite(tuple(bad.tolist()))
    return logits
