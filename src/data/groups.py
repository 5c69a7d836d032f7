"""Splits that are drawn so that images which belong together are in one split."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import EVALUATION_SPLITS, Parts, Split, fill_in, named
from src.errors import UsageError

_LAID_OUT = "write the splits into the column that data.split_column names"


def connected(names: Sequence[str], groups: Sequence[str]) -> list[int]:
    """Return a number for each line, the same for lines of one image and for lines of one group.

    Lines that are connected by others have the same number too: two groups of one image are one.

    Args:
        names: the name of each line's image, (N,).
        groups: the group of each line, (N,); empty for none.
    """
    parents = list(range(len(names)))

    def root(line: int) -> int:
        while parents[line] != line:
            parents[line] = parents[parents[line]]
            line = parents[line]
        return line

    first: dict[Hashable, int] = {}
    for line, (name, group) in enumerate(zip(names, groups, strict=True)):
        # A group may be called as an image is.
        for key in (name, (group,)) if group else (name,):
            one, other = sorted((root(line), root(first.setdefault(key, line))))
            parents[other] = one
    return [root(line) for line in range(len(names))]


def fill_in_together(
    existing: Parts[ImageFiles],
    images: ImageFiles,
    groups: Sequence[Hashable],
    val: float,
    test: float,
    seed: int,
    class_names: Sequence[str],
    *,
    unit: str,
) -> Parts[ImageFiles]:
    """Return all three splits, as :func:`src.data.pipeline.split.fill_in` does, by whole groups.

    The shares count groups. The draw is stratified by the class of a group that the fewest groups
    have. Each split that is drawn has every class.

    Args:
        existing: the splits that the data set has: none, or ``train`` and maybe others.
        images: all images.
        groups: the group of each image, (N,).
        val: share for validation, if there is no such split.
        test: share for testing, if there is no such split.
        seed: seed of the split.
        class_names: in label order, for the error message.
        unit: the groups in the words of the user, for the error message.

    Raises:
        UsageError: a class has too few groups, or no split has it in each part.
    """
    pool = existing["train"][1] if existing else np.arange(len(images.paths))
    numbers: dict[Hashable, int] = {}
    owners = np.array([numbers.setdefault(groups[at], len(numbers)) for at in pool.tolist()])
    _, firsts = np.unique(owners, return_index=True)  # the first image of each group
    pairs = np.unique(np.stack([owners, images.targets[pool]], axis=1), axis=0)
    needed = 1 + sum(split not in existing for split in EVALUATION_SPLITS)
    strata = _strata(pairs, needed, class_names, unit)
    wholes = ImageFiles([images.paths[at] for at in pool[firsts].tolist()], strata)
    drawn = fill_in(
        {"train": (wholes, np.arange(len(strata))), **_without_train(existing)} if existing else {},
        wholes,
        val,
        test,
        seed,
        class_names,
    )
    chosen = {split: part for split, (source, part) in drawn.items() if source is wholes}
    parts = dict(existing)
    for split, part in _with_every_class(chosen, pairs, seed, class_names, unit).items():
        parts[split] = (images, np.sort(pool[np.isin(owners, part)]))
    return parts


def _without_train(existing: Parts[ImageFiles]) -> Parts[ImageFiles]:
    return {split: part for split, part in existing.items() if split != "train"}


def _strata(
    pairs: NDArray[np.int64], needed: int, class_names: Sequence[str], unit: str
) -> NDArray[np.int64]:
    """Return the class by which each group is drawn, (G,): the one that the fewest groups have.

    Args:
        pairs: a group and one of its classes in each row, sorted, (P, 2).
        needed: number of groups of each class without which it cannot be in each split.
        class_names: in label order.
        unit: the groups in the words of the user.
    """
    counts = np.bincount(pairs[:, 1])
    scarce = np.flatnonzero((counts > 0) & (counts < needed)).tolist()
    if scarce or not len(pairs):
        raise UsageError(
            "data",
            expected=f"at least {needed} {unit} of every class to split them",
            found=f"too few of {named(scarce, class_names)}" if scarce else "no images",
            remedy=f"add images, or {_LAID_OUT}",
        )
    by_count = pairs[np.lexsort((pairs[:, 1], counts[pairs[:, 1]], pairs[:, 0]))]
    _, rarest = np.unique(by_count[:, 0], return_index=True)
    strata: NDArray[np.int64] = by_count[rarest, 1]
    # Most groups of a class may be drawn by a rarer one. The few others are drawn with the largest.
    sizes = np.bincount(strata)
    strata[sizes[strata] < needed] = sizes.argmax()
    return strata


def _with_every_class(
    parts: dict[Split, NDArray[np.int64]],
    pairs: NDArray[np.int64],
    seed: int,
    class_names: Sequence[str],
    unit: str,
) -> dict[Split, NDArray[np.int64]]:
    """Move a group for each class that a part lacks, if no other part loses a class by that.

    Args:
        parts: the groups of each split that was drawn.
        pairs: see :func:`_strata`.
        seed: of the draw.
        class_names: in label order.
        unit: the groups in the words of the user.

    Returns:
        the parts, unchanged if each has every class.
    """
    places = np.zeros(pairs[-1, 0] + 1, dtype=np.int64)  # the part of each group, (G,)
    for place, part in enumerate(parts.values()):
        places[part] = place
    counts = np.zeros((len(parts), pairs[:, 1].max() + 1), dtype=np.int64)
    np.add.at(counts, (places[pairs[:, 0]], pairs[:, 1]), 1)
    lacking = np.argwhere((counts == 0) & (counts.sum(axis=0) > 0))
    if not len(lacking):
        return parts
    # Unlike those of default_rng, numpy keeps these numbers in all its versions.
    random = np.random.RandomState(seed)
    for place, label in lacking.tolist():
        if counts[place, label]:
            continue  # a group with several classes was moved
        movable = [
            (group, classes)
            for group in pairs[pairs[:, 1] == label, 0].tolist()
            for classes in [pairs[slice(*np.searchsorted(pairs[:, 0], [group, group + 1])), 1]]
            if (counts[places[group], classes] > 1).all()
        ]
        if not movable:
            raise UsageError(
                "data",
                expected=f"{unit} that can be split with every class in each split",
                found=f"none of {class_names[label]} in {[*parts][place]}",
                remedy=f"set another data.split_seed, add images, or {_LAID_OUT}",
            )
        group, classes = movable[random.randint(len(movable))]
        counts[places[group], classes] -= 1
        counts[place, classes] += 1
        places[group] = place
    return {split: np.flatnonzero(places == place) for place, split in enumerate(parts)}
