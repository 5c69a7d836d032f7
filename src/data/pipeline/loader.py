"""DataLoaders, and the signal handlers of their worker processes."""

from __future__ import annotations

import os
import signal
import weakref
from multiprocessing import forkserver
from multiprocessing.util import Finalize
from types import FrameType
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader

from src.data.pipeline.dataset import TransformedDataset
from src.data.pipeline.samplers import EvaluationBatchSampler, TrainingSampler
from src.data.stratified import stratified

_GRACE_SECONDS = 30
_BEFORE_QUEUES_CLOSE = 11  # multiprocessing closes its queues with priority 10
_ending_at_exit: weakref.WeakSet[Any] = weakref.WeakSet()  # iterators with worker processes


class _Loader(DataLoader[tuple[Tensor, int]]):
    """DataLoader whose worker processes end before multiprocessing terminates them at exit.

    A command that was stopped holds its iterators until then, and SIGTERM ends a worker only after
    its time of grace: see :func:`outlast_signals`.
    """

    def __iter__(self) -> Any:
        iterator = super().__iter__()
        if self.num_workers and iterator not in _ending_at_exit:
            _ending_at_exit.add(iterator)
            Finalize(
                iterator,
                _end_workers,
                args=(weakref.ref(iterator),),
                exitpriority=_BEFORE_QUEUES_CLOSE,
            )
        return iterator


def loader(
    dataset: TransformedDataset, workers: int, **options: Any
) -> DataLoader[tuple[Tensor, int]]:
    """Return a DataLoader of a data set.

    Args:
        dataset: the data set.
        workers: number of processes that load images; 0 to load them in this process.
        options: further arguments of the DataLoader.
    """
    settings: dict[str, Any] = {
        "persistent_workers": workers > 0,
        "pin_memory": torch.cuda.is_available(),
        **options,
    }
    return _Loader(dataset, num_workers=workers, worker_init_fn=start_worker, **settings)


def training_loader(
    dataset: TransformedDataset,
    workers: int,
    batch_size: int,
    sampler: TrainingSampler,
    trainer: Trainer | None,
) -> DataLoader[tuple[Tensor, int]]:
    """Return a DataLoader of the images that a sampler draws.

    With ``trainer.overfit_batches`` Lightning takes the first images of the data set instead. They
    are then of all classes: see :func:`evaluation_loader`.
    """
    if trainer is not None and trainer.overfit_batches:  # type: ignore[attr-defined]
        dataset.indices = dataset.indices[stratified(dataset.targets)]
    return loader(
        dataset,
        workers,
        batch_size=batch_size,
        sampler=sampler,
        # A last batch of one image would break BatchNorm.
        drop_last=len(sampler) >= batch_size,
    )


def evaluation_loader(
    dataset: TransformedDataset, workers: int, batch_size: int, trainer: Trainer | None
) -> DataLoader[tuple[Tensor, int]]:
    """Return a DataLoader that yields each image to exactly one of the processes.

    Where the Trainer evaluates a part of the split, the part has all classes in proportion: a
    folder of images is listed class by class, and the first batches would be of one class.
    """
    if trainer is None:
        return loader(dataset, workers, batch_size=batch_size)
    is_test = trainer.state.fn == TrainerFn.TESTING
    limit = trainer.limit_test_batches if is_test else trainer.limit_val_batches
    if isinstance(limit, int) or limit < 1:  # 1.0 is all of it, 1 is a batch
        dataset.indices = dataset.indices[stratified(dataset.targets)]
    if trainer.world_size == 1:
        return loader(dataset, workers, batch_size=batch_size)
    ranks = trainer.global_rank, trainer.world_size
    batches = EvaluationBatchSampler(len(dataset), batch_size, *ranks)
    return loader(dataset, workers, batch_sampler=batches)


def _end_workers(reference: weakref.ref[Any]) -> None:
    iterator = reference()
    if iterator is not None:  # else it has ended them itself
        iterator._shutdown_workers()  # noqa: SLF001  # torch has no public equivalent


def start_worker(_: int) -> None:
    """Prepare a worker process for the end of the training, whichever way that ends."""
    outlast_signals()
    release_fork_server()


def release_fork_server() -> None:
    """Close this process's end of the pipe by which the fork server sees that a training lives.

    The server gives it to each process that it starts, and ends when all have closed it. A worker
    of a DataLoader ends when the server has, so after a SIGKILL of the training each would wait for
    the other forever, with the memory of both.
    """
    server: Any = forkserver._forkserver  # noqa: SLF001  # there is no public one
    pipe, server._forkserver_alive_fd = server._forkserver_alive_fd, None  # noqa: SLF001
    if pipe is not None:  # else another start method made this process
        os.close(pipe)


def outlast_signals() -> None:
    """Make a worker process ignore SIGINT and SIGHUP, and end some time after SIGTERM.

    A terminal sends Ctrl-C and, when it is lost, SIGHUP to all processes of a command, and a
    cluster SIGTERM. The training process finishes its step first, and needs its workers until then.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_soon)


def _end_soon(_: int, __: FrameType | None) -> None:
    # The default action of SIGALRM ends the process.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_GRACE_SECONDS)
