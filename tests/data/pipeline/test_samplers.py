"""Samplers: a training order by seed and epoch only, and each image once in an evaluation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from src.data.pipeline.dataset import TransformedDataset
from src.data.pipeline.samplers import (
    Draw,
    EvaluationBatchSampler,
    TrainingSampler,
    positions_of_process,
)
from src.errors import UsageError


def positions(order: TrainingSampler) -> list[int]:
    return [draw.position for draw in order]


def test_each_epoch_has_an_order_of_its_own_that_depends_on_nothing_else() -> None:
    order, again = TrainingSampler(50, seed=7), TrainingSampler(50, seed=7)
    first = list(order)
    assert sorted(draw.position for draw in first) == list(range(50))
    assert len({draw.seed for draw in first}) == 50
    order.set_epoch(1)
    assert positions(order) != [draw.position for draw in first]
    again.set_epoch(1)
    torch.rand(3)
    assert list(again) == list(order)
    assert positions(TrainingSampler(50, seed=8)) != [draw.position for draw in first]


def test_an_epoch_goes_on_after_what_was_seen_and_keeps_its_length() -> None:
    whole, rest = TrainingSampler(50, seed=7), TrainingSampler(50, seed=7)
    whole.set_epoch(3)
    rest.resume_at(epoch=3, seen=20)
    rest.set_epoch(3)  # as Lightning does when it begins
    assert list(rest) == list(whole)[20:]
    assert len(rest) == 50
    rest.set_epoch(4)
    assert len(list(rest)) == 50


@pytest.mark.parametrize("weights", [None, np.arange(1.0, 51.0)])
def test_processes_take_turns_in_the_order_of_one(weights: np.ndarray | None) -> None:
    whole = list(TrainingSampler(50, 7, weights=weights))
    shares = [list(TrainingSampler(50, 7, rank, 3, weights)) for rank in range(3)]
    assert [len(share) for share in shares] == [16, 16, 16]
    assert [draw for turn in zip(*shares, strict=True) for draw in turn] == whole[:48]
    middle = TrainingSampler(50, 7, 1, 3, weights)
    middle.resume_at(epoch=0, seen=30)
    assert list(middle) == shares[1][10:]


def test_a_weight_says_how_often_an_image_is_drawn() -> None:
    weights = np.ones(1000)
    weights[:500] = 3
    drawn = np.array(positions(TrainingSampler(1000, 7, weights=weights)))
    assert (drawn < 500).mean() == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("count", [7, 64, 65, 129])
def test_every_image_is_evaluated_once_in_as_many_batches_by_each(
    count: int, processes: int
) -> None:
    shares = [list(EvaluationBatchSampler(count, 4, rank, processes)) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1
    assert max(len(batch) for share in shares for batch in share) <= 4
    assert min(len(batch) for share in shares for batch in share) >= 1
    seen = [position for share in shares for batch in share for position in batch]
    assert sorted(seen) == list(range(count))
    assert sorted(seen) == sorted(
        position
        for rank in range(processes)
        for position in positions_of_process(count, rank, processes)
    )


def test_fewer_images_than_processes_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"data.batch_size: expected .* 3 processes"):
        EvaluationBatchSampler(2, 4, 0, 3)


class _Pictures:
    targets = np.zeros(4, dtype=np.int64)

    def image(self, index: int) -> torch.Tensor:
        return torch.zeros(1, 4, 4)

    def name(self, index: int) -> str:
        return str(index)


def test_the_seed_of_a_draw_decides_its_augmentation_only() -> None:
    images = TransformedDataset(_Pictures(), np.arange(4), v2.Lambda(torch.rand_like))
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    once = images[Draw(1, seed=11)][0]
    assert torch.equal(torch.rand(2), expected)
    assert torch.equal(images[Draw(1, seed=11)][0], once)
    assert not torch.equal(images[Draw(1, seed=12)][0], once)
