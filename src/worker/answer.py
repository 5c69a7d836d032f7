"""The check of an exported file's output, used wherever an output is read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Shapes: n images, K classes.
Logits = NDArray[np.float32]  # (n, K)


class UnusableAnswer(Exception):  # noqa: N818  # the caller turns it into the error that the user sees
    """An output that is not usable as logits.

    Args:
        message: description of the problem.
        images: positions of the images whose logits are not finite; empty if the output as a whole
            is unusable.
    """

    def __init__(self, message: str, images: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.images = images

    @classmethod
    def not_finite(cls, images: tuple[int, ...]) -> UnusableAnswer:
        """Return the exception for ``images`` whose logits contain NaN or infinity."""
        return cls(f"logits of {len(images)} images are not finite", images)


def logits_of(answer: object, images: int, classes: int | None = None) -> Logits:
    """Return a runtime's output as logits (n, K) in float32, all of them finite.

    Args:
        answer: the output of the runtime.
        images: n.
        classes: K; None to accept any number.

    Raises:
        UnusableAnswer: the output is not floating-point, has another shape or is not finite.
    """
    values = np.asarray(answer)
    if values.dtype.kind != "f":
        raise UnusableAnswer(f"an answer of {values.dtype} instead of floating-point logits")
    if values.ndim != 2 or values.shape != (images, classes or values.shape[1]):  # noqa: PLR2004
        expected = [images, "any number" if classes is None else classes]
        raise UnusableAnswer(
            f"logits of shape {list(values.shape)} instead of [{', '.join(map(str, expected))}]"
        )
    with np.errstate(over="ignore"):  # overflow gives infinity, which is refused below
        logits = np.ascontiguousarray(values, dtype=np.float32)
    not_finite = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(not_finite):
        raise UnusableAnswer.not_finite(tuple(not_finite.tolist()))
    return logits
