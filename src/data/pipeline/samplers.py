"""Which image comes when: in training by seed and epoch, in evaluation each image once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from src.errors import UsageError


class Draw(NamedTuple):
    """An image's turn in training."""

    position: int  # of the image in its split
    seed: int  # of its variation


class TrainingOrder(Sampler[Draw]):
    """The order of an epoch: a function of seed and epoch, and of nothing that ran before.

    So a training that goes on from a checkpoint, in the middle of an epoch as well, sees what it
    would have seen. Several processes take turns, so that a step of all of them sees the images
    that one process with a batch as large would see, varied alike.

    Args:
        count: images of the split.
        seed: of the training.
        rank: of this process.
        processes: that train.
        weights: how often each image is drawn, (count,), with replacement; by default each once.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        weights: NDArray[np.float64] | None = None,
    ) -> None:
        self._count = count
        self._seed = seed
        self._rank = rank
        self._processes = processes
        self._weights = weights
        self._epoch = 0
        self._seen = 0

    def go_on(self, epoch: int, seen: int) -> None:
        """Begin in ``epoch`` after the first ``seen`` images of it, over all processes."""
        self._epoch, self._seen = epoch, seen

    def set_epoch(self, epoch: int) -> None:
        """Lightning's hook, before each epoch."""
        if epoch != self._epoch:
            self.go_on(epoch, 0)

    def __len__(self) -> int:
        """Images of a whole epoch, of this process; what is seen already counts as well.

        The same for every process, whose steps wait for each other: where the images cannot be
        shared evenly, fewer than there are processes are left out, others in each epoch.
        """
        return self._count // self._processes

    def __iter__(self) -> Iterator[Draw]:
        generator = np.random.default_rng([self._seed, self._epoch])
        if self._weights is None:
            order = generator.permutation(self._count)  # (count,)
        else:
            shares = self._weights / self._weights.sum()
            order = generator.choice(self._count, size=self._count, p=shares)
        seeds = generator.integers(0, 2**63 - 1, size=self._count)  # by place, not by image
        first = self._seen // self._processes
        for turn in range(first, len(self)):
            place = turn * self._processes + self._rank
            yield Draw(int(order[place]), int(seeds[place]))


def own_share(count: int, rank: int, processes: int) -> range:
    """The positions that a process evaluates: each is one process's, none is repeated."""
    return range(rank, count, processes)


class EvaluationBatches(Sampler[list[int]]):
    """Batches of a process's share of a split, as many as every other process has.

    DistributedSampler repeats images until all shares are of one size, and then these count
    twice. Here the batches are of uneven sizes instead: in a training each of them waits for the
    other processes, so their number must be the same.

    Args:
        count: images of the split.
        batch_size: images of a batch, at most.
        rank: of this process.
        processes: that evaluate.

    Raises:
        UsageError: there are too few images for so many processes.
    """

    def __init__(self, count: int, batch_size: int, rank: int, processes: int) -> None:
        self._share = own_share(count, rank, processes)
        largest = -(-count // processes)
        self._batches = -(-largest // batch_size)
        if count // processes < self._batches:
            raise UsageError(
                "data.batch_size",
                expected=f"such that {processes} processes have as many batches each",
                found=f"{batch_size}, for {count} images of a split that is evaluated",
                remedy="set a larger one, or fewer processes with trainer.devices",
            )

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        for positions in np.array_split(np.asarray(self._share), self._batches):
            yield [int(position) for position in positions]
