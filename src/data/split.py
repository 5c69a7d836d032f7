"""Splitting by a fixed seed, each class in proportion."""

from __future__ import annotations

from typing import Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from src.errors import UsageError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

_LARGEST_SHARE = 0.5  # of the images that may go to one of val and test


class Labelled(Protocol):
    """Whatever has a label for each position."""

    targets: NDArray[np.int64]  # (N,)


Images = TypeVar("Images", bound=Labelled)
Parts = dict[Split, tuple[Images, NDArray[np.int64]]]


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


def fill_in(
    given: Parts[Images], whole: Images, val: float, test: float, seed: int
) -> Parts[Images]:
    """All three splits: those that are given, and for the others stratified shares.

    Args:
        given: the splits that the data set has, with ``train`` or with none.
        whole: what all are drawn from where none is given; else that of ``train``.
        val: the share that validates where no split is given for it.
        test: the share that tests where no split is given for it.
        seed: of the drawing.
    """
    if not given:
        parts = three_ways(whole.targets, val, test, seed)
        return {split: (whole, indices) for split, indices in parts.items()}
    found = dict(given)
    training, rest = found["train"]
    shares: dict[Split, float] = {"test": test, "val": val}
    for split, share in shares.items():
        if split not in found:
            rest, held_out = hold_out(rest, training.targets, share, seed)
            found[split] = (training, held_out)
    found["train"] = (training, rest)
    return found


def require_share(argument: str, value: float) -> float:
    """``value``, if that share of the images can be held out.

    Raises:
        UsageError: it is not between 0 and a half.
    """
    if not 0 < value < _LARGEST_SHARE:
        raise UsageError(
            argument,
            expected=f"a share between 0 and {_LARGEST_SHARE}",
            found=str(value),
            remedy=f"set for example {argument}=0.1",
        )
    return value
