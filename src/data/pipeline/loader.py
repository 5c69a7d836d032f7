"""DataLoaders, and the signal handlers of their worker processes."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from src.data.pipeline.dataset import TransformedDataset
from src.data.pipeline.samplers import EvaluationBatchSampler

_GRACE_SECONDS = 30


def loader(
    dataset: TransformedDataset, workers: int, **options: Any
) -> DataLoader[tuple[Tensor, int]]:
    """Return a DataLoader of a data set.

    Args:
        dataset: the data set.
        workers: number of processes that load images; 0 to load them in this process.
        options: further arguments of the DataLoader.
    """
    return DataLoader(
        dataset,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=outlast_signals,
        pin_memory=torch.cuda.is_available(),
        **options,
    )


def evaluation_loader(
    dataset: TransformedDataset, workers: int, batch_size: int, rank: int, processes: int
) -> DataLoader[tuple[Tensor, int]]:
    """Return a DataLoader that yields each image to exactly one of the processes."""
    if processes == 1:
        return loader(dataset, workers, batch_size=batch_size)
    batches = EvaluationBatchSampler(len(dataset), batch_size, rank, processes)
    return loader(dataset, workers, batch_sampler=batches)


def outlast_signals(_: int) -> None:
    """Make a worker process ignore SIGINT, and end some time after SIGTERM.

    A terminal sends Ctrl-C, and a cluster SIGTERM, to all processes of a command. The training
    process finishes its step first, and needs its workers until then.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_soon)


def _end_soon(_: int, __: FrameType | None) -> None:
    # The default action of SIGALRM ends the process.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_GRACE_SECONDS)
