"""The splits of a run: recorded when its training starts, and used by every later command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.data.images import ImageDataModule
from src.data.pinned_splits import PinnedSplits, record_of
from src.data.pipeline.split import SPLITS, Split
from src.data.restore import data_of, moved
from src.errors import UsageError
from src.run import split_record, started_in
from src.run.folder import Run, containing
from src.run.split_record import SplitRecord


def adopt(
    data: ImageDataModule, ckpt_path: str | None, trained: Run | None, evaluated: Split = "test"
) -> None:
    """Let the data use the splits of the training that a checkpoint is of, if they are recorded.

    A run goes on with the same classes and images only. A new run and an evaluation may have
    others. Of another data set an evaluation takes the split that it names, or else all images,
    without those of the training.

    Args:
        data: not loaded yet.
        ckpt_path: path of the checkpoint; None if there is none.
        trained: the run that the command trains; None for an evaluation.
        evaluated: the split of an evaluation.

    Raises:
        UsageError: the run goes on, and its classes or most of its images are others now; or an
            evaluation has no image that was not trained on.
    """
    origin = containing(Path(ckpt_path)) if ckpt_path else None
    if origin is None:
        return
    record = split_record.read(origin)
    data.source.every_class = record is not None
    data.source.is_new_training = False
    if record is None and trained is None and data.source.own_folder is not None:
        record = _drawn_again(origin)
        if record is None and _is_other(data, origin):
            record = SplitRecord([], {split: [] for split in SPLITS})
            data.source.every_class = True
    if record is None:
        return
    if trained is None:
        folder = _folder_of(origin)
        data.pinned = PinnedSplits(record, strict=False, evaluated=evaluated, trained_in=folder)
        data.load()
        return
    is_same_run = origin == trained
    folder = None if is_same_run else _folder_of(origin)
    data.pinned = PinnedSplits(record, strict=is_same_run, trained_in=folder)
    data.load()  # the callbacks print its notes before the first step
    if not data.pinned.is_applied:
        data.source.is_new_training = True
        data.pinned = PinnedSplits(record, strict=False, trained_in=folder)
        data.load()


def adopt_to_evaluate(data: ImageDataModule, subcommand: str, config: Any) -> None:
    """Do the same for an evaluation.

    Args:
        data: not loaded yet.
        subcommand: validate, test or predict.
        config: the configuration of all subcommands.

    Raises:
        UsageError: there is no image that was not trained on.
    """
    evaluated: Split = "val" if subcommand == "validate" else "test"
    adopt(data, config[subcommand].ckpt_path, None, evaluated)


def _folder_of(run: Run) -> Path | None:
    """Return the folder of the images of a training, None if it is not known.

    Recorded names are relative to it.
    """
    try:
        options = run.read_config()["data"]["init_args"]
        if isinstance(root := options.get("root"), str):
            return started_in.find(run, root)
        if isinstance(file := options.get("file"), str):
            return started_in.find(run, file).parent
    except (UsageError, KeyError, TypeError, AttributeError):  # the command that needs it says so
        pass
    return None


def _drawn_again(run: Run) -> SplitRecord | None:
    """Return the splits of an older run, which recorded none, if its folder is as it was.

    Return None for images that cannot change, and where they are no longer to be found.
    """
    try:
        data = data_of(run)
        folder = data.source.own_folder
        return record_of(data.load(), folder, data.class_names) if folder else None
    except UsageError:  # those of the present data set are drawn, as they always were
        return None


def _is_other(data: ImageDataModule, origin: Run) -> bool:
    """Return True if a run was trained on another data set than this one."""
    try:
        trained = moved(str(origin.read_config()["data"]["class_path"]))
    except (UsageError, KeyError, TypeError):  # the command that needs it says so
        return False
    return trained != f"{type(data).__module__}.{type(data).__qualname__}"


def store(data: ImageDataModule, run: Run) -> None:
    """Record the splits of a training that begins, unless its images cannot change."""
    folder = data.source.own_folder
    # An older run that goes on began with splits that nobody knows.
    if folder is None or run.split_record.is_file() or run.last_checkpoint.is_file():
        return
    split_record.write(run, record_of(data.load(), folder, data.class_names))


def notes(data: ImageDataModule) -> list[str]:
    """Return lines about the differences between the data and a run's splits, once applied."""
    return data.pinned.notes if data.pinned else []
