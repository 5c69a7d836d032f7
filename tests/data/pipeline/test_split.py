"""Splits by a seed: every class in every part, and the draws that earlier runs had."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from src.data.pipeline.split import SPLITS, fill_in, hold_out, three_ways
from src.errors import UsageError


def targets_of(*counts: int) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.RandomState(0).permutation(labels)


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
@pytest.mark.parametrize(
    ("counts", "val", "test"),
    [
        ((1000, 3), 0.1, 0.2),
        ((100, *[3] * 99), 0.1, 0.2),
        ((5000, 4, 3, 7, 3), 0.01, 0.01),
        ((10_000, 60), 0.001, 0.001),
        ((3, 3), 0.1, 0.2),
        ((60, 3, 3), 0.4, 0.4),
        ((500, *[3] * 20), 0.49, 0.49),
    ],
)
def test_every_class_is_in_every_split(
    counts: tuple[int, ...], val: float, test: float, seed: int
) -> None:
    targets = targets_of(*counts)
    parts = three_ways(targets, val, test, seed)
    for split in SPLITS:
        assert np.bincount(targets[parts[split]], minlength=len(counts)).min() >= 1
        assert (np.diff(parts[split]) > 0).all()
    assert sorted(np.concatenate(list(parts.values()))) == list(range(len(targets)))
    again = three_ways(targets, val, test, seed)
    assert all(np.array_equal(parts[split], again[split]) for split in SPLITS)


@pytest.mark.parametrize("counts", [(20, 20), (178, 182, 177), (1000, 30, 40), (7, 7, 7)])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_draw_with_every_class_is_that_of_scikit_learn(
    counts: tuple[int, ...], share: float
) -> None:
    targets = targets_of(*counts)
    indices = np.arange(len(targets))
    size = max(math.ceil(share * len(targets)), len(counts))
    kept, held_out = train_test_split(
        indices, test_size=size, train_size=len(indices) - size, random_state=0, stratify=targets
    )
    assert set(targets[kept]) == set(targets[held_out]) == set(targets)
    drawn = hold_out(indices, targets, share, 0)
    assert np.array_equal(drawn[0], np.sort(kept))
    assert np.array_equal(drawn[1], np.sort(held_out))


def test_an_older_training_drew_its_splits_without_a_move() -> None:
    targets = targets_of(500, 3, 3, 3)
    halves = train_test_split(
        np.arange(509), test_size=102, train_size=407, random_state=0, stratify=targets
    )
    rest, test = (np.sort(part) for part in halves)
    halves = train_test_split(
        rest, test_size=51, train_size=356, random_state=0, stratify=targets[rest]
    )
    drawn = three_ways(targets, 0.1, 0.2, 0, every_class=False)
    for split, part in {"train": halves[0], "val": halves[1], "test": test}.items():
        assert np.array_equal(drawn[split], np.sort(part))
    assert not np.array_equal(drawn["val"], three_ways(targets, 0.1, 0.2, 0)["val"])


def test_a_class_of_two_images_is_trained_and_validated() -> None:
    targets = targets_of(1000, 2)
    parts = three_ways(targets, 0.1, 0.2, 0)
    assert [int((targets[parts[split]] == 1).sum()) for split in SPLITS] == [1, 1, 0]


def test_a_class_of_one_image_is_refused() -> None:
    with pytest.raises(UsageError, match="too few of bird"):
        three_ways(targets_of(100, 1), 0.1, 0.2, 0, ["cat", "bird"])


def test_the_validation_share_of_a_training_split_alone_is_of_the_rest() -> None:
    images = SimpleNamespace(targets=targets_of(500, 500))
    alone = fill_in({"train": (images, np.arange(1000))}, images, 0.1, 0.2, 0)
    assert [len(alone[split][1]) for split in SPLITS] == [720, 80, 200]
    whole = fill_in({}, images, 0.1, 0.2, 0)
    assert [len(whole[split][1]) for split in SPLITS] == [700, 100, 200]
