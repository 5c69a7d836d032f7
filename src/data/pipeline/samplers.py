"""Samplers: a training order that depends on seed and epoch only, and one pass for evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from src.errors import UsageError


class Draw(NamedTuple):
    """One item of a training epoch."""

    position: int  # of the image in its split
    seed: int  # of its augmentation


class TrainingSampler(Sampler[Draw]):
    """Stateless order of an epoch: it depends on the seed and the epoch only.

    A training that is resumed, also in the middle of an epoch, sees the same images as one that was
    not interrupted. Several processes take turns in the same order: a step of all of them sees the
    images and augmentations that one process with the whole batch would see.

    Args:
        count: number of images of the split.
        seed: seed of the training.
        rank: rank of this process.
        processes: number of training processes.
        weights: sampling weight of each image, (count,), to draw with replacement; by default
            each image is drawn once.
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

    def resume_at(self, epoch: int, seen: int) -> None:
        """Start in ``epoch``, after the first ``seen`` images of it, counted over all processes."""
        self._epoch, self._seen = epoch, seen

    def set_epoch(self, epoch: int) -> None:
        """Start an epoch; Lightning calls this."""
        if epoch != self._epoch:
            self.resume_at(epoch, 0)

    def __len__(self) -> int:
        """Return the number of images of a whole epoch in this process, also if it was resumed.

        It is the same for all processes, because their steps wait for each other. The remainder
        is left out; it consists of other images in each epoch.
        """
        return self._count // self._processes

    def __iter__(self) -> Iterator[Draw]:
        generator = np.random.default_rng([self._seed, self._epoch])
        if self._weights is None:
            order = generator.permutation(self._count)  # (count,)
        else:
            shares = self._weights / self._weights.sum()
            order = generator.choice(self._count, size=self._count, p=shares)
        seeds = generator.integers(
            0, 2**63 - 1, size=self._count
        )  # by the position in the epoch, not by the image
        first = self._seen // self._processes
        for turn in range(first, len(self)):
            index = turn * self._processes + self._rank
            yield Draw(int(order[index]), int(seeds[index]))


def positions_of_process(count: int, rank: int, processes: int) -> range:
    """Return the positions that a process evaluates. Each position belongs to one process."""
    return range(rank, count, processes)


class EvaluationBatchSampler(Sampler[list[int]]):
    """Batches of a process's share of a split. Every process has the same number of batches.

    DistributedSampler repeats images until all shares have the same size, and the repeated ones
    count twice in a metric. Here the sizes of the batches differ instead. The number of batches
    must be the same, because during a training the processes wait for each other at every batch.

    Args:
        count: number of images of the split.
        batch_size: largest number of images in a batch.
        rank: rank of this process.
        processes: number of processes that evaluate.

    Raises:
        UsageError: there are too few images for so many processes.
    """

    def __init__(self, count: int, batch_size: int, rank: int, processes: int) -> None:
        self._share = positions_of_process(count, rank, processes)
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
