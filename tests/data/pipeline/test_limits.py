"""A part of a split that is evaluated or overfitted has all classes, whatever the split's order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from src.data.pipeline.dataset import TransformedDataset
from src.data.pipeline.loader import evaluation_loader, training_loader
from src.data.pipeline.samplers import TrainingSampler

CLASSES, IMAGES = 4, 10  # images of each class, listed class by class


class SortedImages:
    targets = np.repeat(np.arange(CLASSES), IMAGES)

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (2, 2))

    def name(self, index: int) -> str:
        return str(index)


def loaded(rank: int = 0, processes: int = 1, **limits: Any) -> DataLoader[Any]:
    settings: dict[str, Any] = {"limit_val_batches": 1.0, "limit_test_batches": 1.0, **limits}
    function = settings.pop("function", TrainerFn.FITTING)
    training = SimpleNamespace(
        state=SimpleNamespace(fn=function), global_rank=rank, world_size=processes, **settings
    )
    dataset = TransformedDataset(SortedImages(), np.arange(CLASSES * IMAGES), v2.ToImage())
    return evaluation_loader(dataset, 0, 8, cast("Trainer", training))


def labels(batches: DataLoader[Any]) -> list[list[int]]:
    return [batch[1].tolist() for batch in batches]


@pytest.mark.parametrize("limit", [1, 2, 0.2, 0.5])
@pytest.mark.parametrize(
    ("function", "option"),
    [
        (TrainerFn.FITTING, "limit_val_batches"),
        (TrainerFn.VALIDATING, "limit_val_batches"),
        (TrainerFn.TESTING, "limit_test_batches"),
    ],
)
def test_the_first_batches_have_all_classes_where_a_part_is_evaluated(
    function: TrainerFn, option: str, limit: float
) -> None:
    batches = labels(loaded(function=function, **{option: limit}))
    assert np.bincount(batches[0], minlength=CLASSES).min() >= 1
    counts = np.bincount([label for batch in batches for label in batch])
    assert counts.tolist() == [IMAGES] * CLASSES  # each image once


def test_the_part_of_several_processes_has_all_classes() -> None:
    batches = [labels(loaded(rank, 2, limit_val_batches=1)) for rank in range(2)]
    first = [*batches[0][0], *batches[1][0]]
    assert np.bincount(first, minlength=CLASSES).min() >= 2
    assert sum(len(batch) for part in batches for batch in part) == CLASSES * IMAGES


@pytest.mark.parametrize(
    ("function", "limits"),
    [
        (TrainerFn.FITTING, {}),
        (TrainerFn.FITTING, {"limit_test_batches": 1}),
        (TrainerFn.TESTING, {"limit_val_batches": 1}),
    ],
)
def test_a_whole_split_keeps_its_order(function: TrainerFn, limits: dict[str, float]) -> None:
    batches = labels(loaded(function=function, **limits))
    assert [label for batch in batches for label in batch] == SortedImages.targets.tolist()


@pytest.mark.parametrize(("batches", "is_spread"), [(0.0, False), (1, True), (0.5, True)])
def test_overfitting_a_few_batches_has_all_classes(batches: float, is_spread: bool) -> None:
    dataset = TransformedDataset(SortedImages(), np.arange(CLASSES * IMAGES), v2.ToImage())
    training = SimpleNamespace(overfit_batches=batches)
    sampler = TrainingSampler(len(dataset), seed=0)
    loader = training_loader(dataset, 0, 8, sampler, cast("Trainer", training))
    # Lightning replaces the sampler by a sequential one.
    first = [loader.dataset[position][1] for position in range(8)]
    assert (len(set(first)) == CLASSES) is is_spread
    assert sorted(dataset.targets.tolist()) == SortedImages.targets.tolist()
