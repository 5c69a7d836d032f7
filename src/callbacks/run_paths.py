"""Paths in callback states, stored relative to the run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from src.run.folder import containing

_PREFIX = "run:"  # marks a path relative to the run


class RunPaths(Callback):
    """Makes callback states independent of the place of the run, for the user's callbacks too.

    A ``ModelCheckpoint`` that a user adds stores absolute paths, and drops its best score when
    these have changed.

    Args:
        folder: the run's folder; None in a process that writes no checkpoint.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self._folder is not None and "callbacks" in checkpoint:
            checkpoint["callbacks"] = _map_texts(checkpoint["callbacks"], self._relative)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        # The checkpoint may lie in another run than the one that is trained now.
        path = Path(str(trainer.ckpt_path)).absolute()
        run = containing(path)
        folder = path.parent.parent if run is None else run.folder
        checkpoint["callbacks"] = _map_texts(
            checkpoint["callbacks"], lambda text: _absolute(text, folder)
        )

    def _relative(self, text: str) -> str:
        path = Path(text)
        if self._folder is None or not path.is_relative_to(self._folder):
            return text
        return f"{_PREFIX}{path.relative_to(self._folder).as_posix()}"


def _absolute(text: str, folder: Path) -> str:
    relative = PurePosixPath(text.removeprefix(_PREFIX))
    if not text.startswith(_PREFIX) or relative.is_absolute() or ".." in relative.parts:
        return text
    return str(folder / relative)


def _map_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Return a copy with ``change`` applied to each text and path in it, keys included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Path):
        return Path(change(str(value)))
    if isinstance(value, dict):
        return {_map_texts(key, change): _map_texts(item, change) for key, item in value.items()}
    if type(value) in {list, tuple}:
        return type(value)(_map_texts(item, change) for item in value)
    return value
