"""Squeeze-excite blocks, one by one: the damage of dropping each, and the time that it saves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from src.models.batch_norm_statistics import BATCH, reestimate_statistics
from src.twin.replacements import DROP, SQUEEZE, Replacement, replaced

_FEWEST_IMAGES, _MOST_IMAGES = 8, 64
_SECONDS = 30.0  # for the damage of all blocks, unless eight images take longer
_SEARCH_SECONDS = 300.0  # after which no step of the bisection begins
_MOST_DAMAGE = 1e12  # where the logits hardly vary
_PASSES = 2  # over the images, for each block: statistics of BatchNorm, logits


@dataclass(frozen=True)
class Block:
    """A block that may be dropped.

    Args:
        path: of its module.
        damage: mean squared change of the logits without it, a share of their variance.
        saved: share of the time of the network's plain int8 file.
    """

    path: str
    damage: float
    saved: float


@dataclass(frozen=True)
class Timed:
    """A file without some blocks.

    Args:
        dropped: paths of the blocks.
        saved: share of the time of the network's plain int8 file, below 0 if it is slower.
    """

    dropped: Sequence[str]
    saved: float


def damages(
    network: nn.Module,
    paths: Sequence[str],
    images: Tensor,
    leave_out: Callable[[str, Exception], None],
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, float]:
    """Return the damage of dropping each block alone: see :class:`Block`.

    BatchNorm's statistics are re-estimated on the images before and after. There are as many
    images, from 8 to 64, as all blocks together can be tried on in 30 seconds.

    Args:
        network: in eval mode.
        paths: of the blocks.
        images: training images, (n, 3, H, W).
        leave_out: called with a block that the network cannot do without, and the error.
        clock: seconds.
    """
    few = images[:_FEWEST_IMAGES]
    started = clock()
    _logits(network, few)
    of_an_image = (clock() - started) / len(few)
    affordable = int(_SECONDS / max(_PASSES * len(paths) * of_an_image, 1e-9))
    images = images[: min(max(affordable, _FEWEST_IMAGES), _MOST_IMAGES)]
    expected = _reestimated(replaced(network, (), images[:1]), images)
    variance = (expected - expected.mean(0)).square().mean().clamp_min(torch.finfo().tiny)
    found = {}
    for path in paths:
        try:
            without = replaced(network, [Replacement(SQUEEZE, DROP, (path,))], images[:1])
            logits = _reestimated(without, images)
        except Exception as error:  # of the code of any network with other parts
            leave_out(path, error)
            continue
        change = float((logits - expected).square().mean() / variance)
        found[path] = min(change, _MOST_DAMAGE) if math.isfinite(change) else _MOST_DAMAGE
    return found


def saved(sizes: Mapping[str, int], timed: Sequence[Timed]) -> dict[str, float]:
    """Return the time that each block saves: see :class:`Block`.

    A block reads its input twice, so its time is taken for a constant plus a share of the input's
    size, both by least squares from the files without some of the blocks.

    Args:
        sizes: elements of each block's input, for one image.
        timed: at least one.
    """
    from scipy.optimize import nnls

    largest = max(sizes.values())
    rows = [
        (sum(sizes[path] / largest for path in each.dropped), len(each.dropped)) for each in timed
    ]
    (by_size, constant), _ = nnls(rows, [max(each.saved, 0.0) for each in timed])
    return {
        path: min(float(by_size * size / largest + constant), 1.0) for path, size in sizes.items()
    }


def in_order(damage: Mapping[str, float], time_saved: Mapping[str, float]) -> list[Block]:
    """Return the blocks, the one with the least damage for the time that it saves first."""
    made = [Block(path, value, time_saved[path]) for path, value in damage.items()]
    tiny = 1e-12
    return sorted(made, key=lambda block: block.damage / max(block.saved, tiny))


def most(
    count: int, is_learnable: Callable[[int], bool], clock: Callable[[], float] = time.monotonic
) -> int:
    """Return how many blocks can be dropped, the first ones of an order, by bisection.

    Args:
        count: of blocks; all of them are too many, and none is not.
        is_learnable: whether a network without the first k can be learnt, for k from 1 to
            ``count`` - 1; it is asked at most log2(``count``) + 1 times. After five minutes it is
            not asked any more, and the most blocks that were learnt are the answer.
        clock: seconds.
    """
    low, high = 0, count
    end = clock() + _SEARCH_SECONDS
    while high - low > 1 and clock() < end:
        middle = (low + high) // 2
        low, high = (middle, high) if is_learnable(middle) else (low, middle)
    return low


def _reestimated(network: nn.Module, images: Tensor) -> Tensor:
    reestimate_statistics(network, images)
    return _logits(network, images)


def _logits(network: nn.Module, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return torch.cat([network(batch) for batch in torch.split(images, BATCH)])
