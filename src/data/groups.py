"""Splits that are drawn so that images which belong together are in one split."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import Parts, fill_in


def fill_in_together(
    existing: Parts[ImageFiles],
    images: ImageFiles,
    groups: Sequence[Hashable],
    val: float,
    test: float,
    seed: int,
    class_names: Sequence[str],
) -> Parts[ImageFiles]:
    """Return all three splits, as :func:`src.data.pipeline.split.fill_in` does, by whole groups.

    A group is drawn by its first image, so the shares count groups, and the label of that image is
    the one by which the draw is stratified.

    Args:
        existing: the splits that the data set has: none, or ``train`` and maybe others.
        images: all images.
        groups: the group of each image, (N,).
        val: share for validation, if there is no such split.
        test: share for testing, if there is no such split.
        seed: seed of the split.
        class_names: in label order, for the error message.
    """
    pool = existing["train"][1] if existing else np.arange(len(images.paths))
    first: dict[Hashable, int] = {}  # position of the first image of each group
    owners = np.array([first.setdefault(groups[at], at) for at in pool.tolist()])
    chosen = np.array(list(first.values()))
    firsts = ImageFiles([images.paths[at] for at in chosen], images.targets[chosen])
    drawn = fill_in(
        {"train": (firsts, np.arange(len(chosen))), **_without_train(existing)} if existing else {},
        firsts,
        val,
        test,
        seed,
        class_names,
    )
    parts = dict(existing)
    for split, (source, indices) in drawn.items():
        if source is firsts:
            parts[split] = (images, _of_groups(pool, owners, chosen[indices]))
    return parts


def _without_train(existing: Parts[ImageFiles]) -> Parts[ImageFiles]:
    return {split: part for split, part in existing.items() if split != "train"}


def _of_groups(
    pool: NDArray[np.int64], owners: NDArray[np.int64], firsts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the images of the groups whose first images are ``firsts``, in order."""
    return np.sort(pool[np.isin(owners, firsts)])
