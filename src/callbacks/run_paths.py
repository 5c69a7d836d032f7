"""Paths in the state of callbacks, kept relative to the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

_MARK = "run:"  # in front of a path that is relative to the run


class RunPaths(Callback):
    """Lets a run be renamed, copied or mounted elsewhere, whichever callbacks it was trained with.

    A ``ModelCheckpoint`` of the user's own keeps absolute paths, and forgets its best score where
    these have changed.

    Args:
        folder: the run's; None in a process that writes no checkpoint.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._folder is not None and "callbacks" in checkpoint:
            checkpoint["callbacks"] = _mapped(checkpoint["callbacks"], self._relative)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # Of the run that the checkpoint lies in, which need not be the one that goes on.
        folder = Path(str(trainer.ckpt_path)).absolute().parent.parent
        checkpoint["callbacks"] = _mapped(
            checkpoint["callbacks"], lambda text: _absolute(text, folder)
        )

    def _relative(self, text: str) -> str:
        path = Path(text)
        if self._folder is None or not path.is_relative_to(self._folder):
            return text
        return f"{_MARK}{path.relative_to(self._folder).as_posix()}"


def _absolute(text: str, folder: Path) -> str:
    relative = PurePosixPath(text.removeprefix(_MARK))
    if not text.startswith(_MARK) or relative.is_absolute() or ".." in relative.parts:
        return text
    return str(folder / relative)


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """The same value with ``change`` done to each text and path in it, keys included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Path):
        return Path(change(str(value)))
    if isinstance(value, dict):
        return {_mapped(key, change): _mapped(each, change) for key, each in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(_mapped(each, change) for each in value)
    return value
