"""Squeeze-excites one by one: their damage, the time that they save, and how many are dropped."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from src.twin import blocks
from src.twin.blocks import Timed


class WeightedSqueezeExcitation(SqueezeExcitation):
    """A squeeze-excite whose gate is nearly the same for all images.

    Args:
        strength: of what depends on the image.
    """

    def __init__(self, strength: float) -> None:
        super().__init__(4, 2)
        with torch.no_grad():
            self.fc2.weight.mul_(strength)
            self.fc2.bias.fill_(10.0)  # a gate of one, but for the strength


class PickySqueezeExcitation(SqueezeExcitation):
    """A squeeze-excite with half of the channels: nothing can stand in its place."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        scaled: Tensor = super().forward(input)
        return scaled[:, :2]


def network(*parts: nn.Module, channels: int = 4) -> nn.Sequential:
    torch.manual_seed(0)
    head = [nn.BatchNorm2d(channels), nn.Flatten(), nn.Linear(channels * 36, 3)]
    return nn.Sequential(nn.Conv2d(3, 4, 3), *parts, *head).eval()


IMAGES = torch.randn(20, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def no_reason(path: str, error: Exception) -> None:
    raise AssertionError(path) from error


def test_a_block_that_does_more_does_more_damage() -> None:
    made = network(
        WeightedSqueezeExcitation(1000.0),
        WeightedSqueezeExcitation(0.0),
        WeightedSqueezeExcitation(30.0),
    )
    before = {name: value.clone() for name, value in made.state_dict().items()}
    damage = blocks.damages(made, ["1", "2", "3"], IMAGES, no_reason)
    assert sorted(damage, key=lambda path: damage[path]) == ["2", "3", "1"]
    assert damage["2"] < 1e-4 < damage["1"]
    assert all(value.equal(before[name]) for name, value in made.state_dict().items())


def test_a_block_that_the_network_needs_is_left_out() -> None:
    reasons: dict[str, Exception] = {}
    made = network(WeightedSqueezeExcitation(1.0), PickySqueezeExcitation(4, 2), channels=2)
    damage = blocks.damages(made, ["1", "2"], IMAGES, reasons.__setitem__)
    assert damage.keys() == {"1"}
    assert reasons.keys() == {"2"}


def test_logits_that_do_not_vary_are_no_division_by_zero() -> None:
    made = network(WeightedSqueezeExcitation(1.0))
    head = made[-1]
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    assert blocks.damages(made, ["1"], IMAGES, no_reason) == {"1": 0.0}


@pytest.mark.parametrize(("seconds", "expected"), [(0.0, 64), (0.8, 64), (3.2, 18), (80.0, 8)])
def test_the_images_are_as_many_as_the_time_allows(
    seconds: float, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def reestimate(_: nn.Module, images: Tensor) -> None:
        seen.append(len(images))

    monkeypatch.setattr(blocks, "reestimate_statistics", reestimate)
    clock = itertools.count(0.0, seconds)
    paths = ["1", "2"]
    made = network(WeightedSqueezeExcitation(1.0), WeightedSqueezeExcitation(1.0))
    blocks.damages(made, paths, IMAGES.repeat(5, 1, 1, 1), no_reason, lambda: next(clock))
    assert seen == [expected] * 3  # as it is, and without each


def test_the_time_of_each_block_explains_that_of_the_files() -> None:
    sizes = {"a": 400, "b": 200, "c": 100, "d": 100}
    of_each = {path: 0.02 + 0.0001 * size for path, size in sizes.items()}
    files = [["a", "b"], ["c", "d"], ["a", "b", "c", "d"]]
    timed = [Timed(paths, sum(of_each[path] for path in paths)) for paths in files]
    assert blocks.saved(sizes, timed) == pytest.approx(of_each)


def test_a_file_that_is_slower_without_blocks_saves_nothing() -> None:
    assert blocks.saved({"a": 4, "b": 2}, [Timed(["a", "b"], -0.1)]) == {"a": 0.0, "b": 0.0}


def test_the_least_damage_for_the_time_comes_first() -> None:
    damage = {"slow": 0.2, "quick": 0.1, "useless": 0.0001, "free": 0.0}
    saved = {"slow": 0.1, "quick": 0.01, "useless": 0.0, "free": 0.001}
    order = blocks.in_order(damage, saved)
    assert [block.path for block in order] == ["free", "slow", "quick", "useless"]


@pytest.mark.parametrize("count", [1, 2, 3, 16, 17])
def test_as_many_blocks_are_dropped_as_can_be_learnt(count: int) -> None:
    for limit in range(count):
        asked: list[int] = []

        def is_learnable(dropped: int, limit: int = limit, asked: list[int] = asked) -> bool:
            asked.append(dropped)
            return dropped <= limit

        assert blocks.most(count, is_learnable) == limit
        assert len(asked) <= count.bit_length()
        assert all(0 < each < count for each in asked)


def test_the_search_for_the_number_of_blocks_ends_in_time() -> None:
    clock = itertools.count(0.0, 120.0)
    asked: list[int] = []

    def is_learnable(dropped: int) -> bool:
        asked.append(dropped)
        return dropped <= 9

    assert blocks.most(16, is_learnable, lambda: next(clock)) == 8
    assert asked == [8, 12]
