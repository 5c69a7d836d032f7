"""Stratified splits by a seed, and the common names of splits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from src.errors import UsageError
from src.system.ranges import Range

Split = Literal["train", "val", "test"]
EVALUATION_SPLITS: tuple[Split, ...] = ("val", "test")
SPLITS: tuple[Split, ...] = ("train", *EVALUATION_SPLITS)

# Common names of the splits, in lower case.
_WORDS: dict[str, Split] = {
    **dict.fromkeys(("train", "training", "trainset", "traindata", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "validset", "valset"), "val"),
    **dict.fromkeys(("dev", "devel", "development", "devset"), "val"),
    **dict.fromkeys(("test", "testing", "testset", "testdata", "tst", "holdout"), "test"),
}
# Names of the test split if there is a validation split, else of the validation split.
_EVALUATION = frozenset({"eval", "evaluation", "evalset"})
# Other words in the names of splits.
_FILLING = frozenset(
    "data dataset dir folder image images img imgs photo photos picture pictures set split".split()  # noqa: SIM905
)
_NAMED = 5  # classes in a message
_ASCII = re.compile(r"[\w .()+-]+", re.ASCII)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")

HeldOutShare = Annotated[
    float,
    Range("a share between 0 and 0.5", "set for example {argument}=0.1", above=0, below=0.5),
]
"""Share of the images that go to the validation or the test split."""


class Labelled(Protocol):
    """Object that has a label for every position."""

    targets: NDArray[np.int64]  # (N,)


Images = TypeVar("Images", bound=Labelled)
Parts = dict[Split, tuple[Images, NDArray[np.int64]]]


def splits_named(names: Iterable[str]) -> dict[str, Split]:
    """Return the names that are names of splits, such as ``Valid``, ``test2017``, ``training_set``.

    Longer names, such as ``seg_train`` and ``seg_test``, count if they differ in the split only.
    """
    words = {name: parts for name in names if (parts := _split_word(name)) is not None}
    plain = [name for name, (_, rest) in words.items() if not rest]
    families: dict[tuple[str, ...], list[str]] = {}
    for name, (_, rest) in words.items():
        families.setdefault(rest, []).append(name)
    for rest, family in families.items():
        kinds = {_WORDS.get(words[name][0], "val") for name in family}
        if rest and "train" in kinds and len(kinds) > 1:
            plain += family
    named = {name: split for name in plain if (split := _WORDS.get(words[name][0]))}
    taken = set(named.values())
    evaluation: Split = "test" if "val" in taken and "test" not in taken else "val"
    return {name: named.get(name, evaluation) for name in plain}


def _split_word(name: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the split's word in a name, and the other words; None unless there is exactly one."""
    if not _ASCII.fullmatch(name):
        return None
    words = [word.lower() for word in _WORD.findall(name)]
    splits = [word for word in words if word in _WORDS or word in _EVALUATION]
    if len(splits) != 1:
        return None
    rest = tuple(word for word in words if word not in _FILLING and word != splits[0])
    return splits[0], rest


def named(labels: Sequence[int], class_names: Sequence[str] | None) -> str:
    """Return the names of classes for a message: of the first few, and the number of others.

    Args:
        labels: the classes.
        class_names: in label order; None if they are not known.
    """
    names = [class_names[label] if class_names else f"class {label}" for label in labels[:_NAMED]]
    names += [f"{len(labels) - _NAMED} more classes"] if len(labels) > _NAMED else []
    return ", ".join(names)


def hold_out(
    indices: NDArray[np.int64],
    targets: NDArray[np.int64],
    share: float,
    seed: int,
    class_names: Sequence[str] | None = None,
    *,
    least_kept: int = 1,
    every_class: bool = True,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split ``indices`` into the kept ones and a stratified ``share`` of them, both sorted.

    At least one image per class is held out, even if that is a larger share, unless fewer than
    ``least_kept`` would be left.

    Args:
        indices: positions in the data set, (N,).
        targets: the class of every image of the data set, indexed by ``indices``.
        share: share to hold out, between 0 and 1.
        seed: the same seed gives the same split on every machine.
        class_names: in label order, for the error message.
        least_kept: images of each class that are kept, if it has as many: 2 if another part will be
            held out from them.
        every_class: move images of small classes so that these are in both parts; False to draw as
            trainings did that recorded no splits.

    Raises:
        UsageError: a class has too few images to be in both parts.
    """
    labels, counts = np.unique(targets[indices], return_counts=True)
    if not len(labels) or counts.min() < 2:  # noqa: PLR2004  # one in each part
        scarce = [int(label) for label in labels[counts < 2]]  # noqa: PLR2004
        raise UsageError(
            "data",
            expected="enough images of every class to split them",
            found=f"too few of {named(scarce, class_names)}" if scarce else "no images",
            remedy="add images, or lay out train/, val/ and test/ folders yourself",
        )
    size = max(math.ceil(share * len(indices)), len(labels))
    size = min(size, len(indices) - len(labels))
    kept, held_out = train_test_split(
        indices,
        test_size=size,
        train_size=len(indices) - size,
        random_state=seed,
        stratify=targets[indices],
    )
    if not every_class:
        return np.sort(kept), np.sort(held_out)
    # The draw is stratified as a whole: a class of few images can be missing in one part.
    kept, held_out = _with_every_class(kept, held_out, targets, seed, wanted=1, left=least_kept)
    for wanted in range(1, least_kept + 1):
        held_out, kept = _with_every_class(held_out, kept, targets, seed, wanted=wanted, left=1)
    return np.sort(kept), np.sort(held_out)


def _with_every_class(
    giving: NDArray[np.int64],
    taking: NDArray[np.int64],
    targets: NDArray[np.int64],
    seed: int,
    *,
    wanted: int,
    left: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Move one image of each class of which ``taking`` has too few.

    Args:
        giving: positions to draw from.
        taking: positions to add to.
        targets: the class of every image of the data set.
        seed: of the draw.
        wanted: number of images of a class from which on it gets none.
        left: number of images of a class that stay in ``giving``.

    Returns:
        ``giving`` and ``taking``, unchanged if there is no such class.
    """
    order = np.argsort(targets[giving], kind="stable")
    labels, starts, counts = np.unique(
        targets[giving][order], return_index=True, return_counts=True
    )
    had = np.bincount(targets[taking], minlength=int(targets.max()) + 1)[labels]
    chosen = (had < wanted) & (counts > left)
    if not chosen.any():
        return giving, taking
    # Unlike those of default_rng, numpy keeps these numbers in all its versions.
    drawn = np.random.RandomState(seed).randint(counts[chosen])
    moved = order[starts[chosen] + drawn]
    return np.delete(giving, moved), np.append(taking, giving[moved])


def three_ways(
    targets: NDArray[np.int64],
    val: float,
    test: float,
    seed: int,
    class_names: Sequence[str] | None = None,
    *,
    every_class: bool = True,
) -> dict[Split, NDArray[np.int64]]:
    """Split all positions of ``targets`` (N,) into stratified train, val and test parts."""
    everything = np.arange(len(targets))
    rest, test_part = hold_out(
        everything, targets, test, seed, class_names, least_kept=2, every_class=every_class
    )
    train_part, val_part = hold_out(
        rest, targets, val / (1 - test), seed, class_names, every_class=every_class
    )
    return {"train": train_part, "val": val_part, "test": test_part}


def fill_in(
    existing: Parts[Images],
    whole: Images,
    val: float,
    test: float,
    seed: int,
    class_names: Sequence[str] | None = None,
    *,
    every_class: bool = True,
) -> Parts[Images]:
    """Return all three splits: those of the data set, and stratified shares for the others.

    Args:
        existing: the splits that the data set has: none, or ``train`` and maybe others.
        whole: all images if there are no splits, else those of ``train``.
        val: share for validation, if the data set has no such split.
        test: share for testing, if the data set has no such split.
        seed: seed of the split.
        class_names: in label order, for the error message.
        every_class: see :func:`hold_out`.
    """
    if not existing:
        drawn = three_ways(whole.targets, val, test, seed, class_names, every_class=every_class)
        return {split: (whole, indices) for split, indices in drawn.items()}
    parts = dict(existing)
    training, rest = parts["train"]
    shares: dict[Split, float] = {"test": test, "val": val}
    for split, share in shares.items():
        if split not in parts:
            least = 2 if split == "test" and "val" not in parts else 1
            rest, held_out = hold_out(
                rest,
                training.targets,
                share,
                seed,
                class_names,
                least_kept=least,
                every_class=every_class,
            )
            parts[split] = (training, held_out)
    parts["train"] = (training, rest)
    return parts


def require_trained(parts: Parts[Images], class_names: Sequence[str]) -> None:
    """Refuse classes that no training image has: a network cannot learn them.

    Raises:
        UsageError: there is such a class.
    """
    counts = {
        split: np.bincount(images.targets[indices], minlength=len(class_names))
        for split, (images, indices) in parts.items()
    }
    for label in np.flatnonzero(counts["train"] == 0).tolist():
        raise UsageError(
            "data",
            expected="training images of every class",
            found=f"none of {class_names[label]}, but {counts['val'][label]} to validate and "
            f"{counts['test'][label]} to test",
            remedy="add some, or leave the class out",
        )
