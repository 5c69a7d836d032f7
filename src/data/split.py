"""Splitting by a fixed seed, each class in proportion."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from src.errors import UsageError

Split = Literal["train", "val", "test"]


def hold_out(
    indices: NDArray[np.int64], targets: NDArray[np.int64], share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """``indices`` split in two, sorted: the kept ones and a stratified ``share`` of them.

    Args:
        indices: positions in the data set, (N,).
        targets: the class of every image of the data set, indexed by ``indices``.
        share: part to hold out, between 0 and 1.
        seed: the same seed gives the same split on every machine.

    Raises:
        UsageError: a class has too few images to be in both parts.
    """
    try:
        kept, held_out = train_test_split(
            indices, test_size=share, random_state=seed, stratify=targets[indices]
        )
    except ValueError as error:
        raise UsageError(
            "data",
            expected="enough images of every class to split them",
            found=str(error),
            remedy="add images, or lay out train/, val/ and test/ folders yourself",
        ) from error
    return np.sort(kept), np.sort(held_out)


def three_ways(
    targets: NDArray[np.int64], val: float, test: float, seed: int
) -> dict[Split, NDArray[np.int64]]:
    """All positions of ``targets`` (N,) as stratified train, val and test parts."""
    rest, test_part = hold_out(np.arange(len(targets)), targets, test, seed)
    train_part, val_part = hold_out(rest, targets, val / (1 - test), seed)
    return {"train": train_part, "val": val_part, "test": test_part}
