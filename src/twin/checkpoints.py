"""The weights of a twin's training: found by their folder, and removed where damaged."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.errors import describe
from src.run.folder import Run
from src.system import atomic_files, os_errors, partial_files

_BEST, _LAST = "best.ckpt", "last.ckpt"
_PARTS = {"state_dict", "loops", "callbacks", "optimizer_states", "lr_schedulers"}
_SHOWN = 200  # characters of a library's message


def folder_of(run: Run, training: str) -> Path:
    """Return the folder of the checkpoints of a training, by the name of the training's folder."""
    return run.own("twin", training, "checkpoints")


def best_in(folder: Path) -> Path | None:
    """Return the best checkpoint; the last one if there is no best, None if there is neither."""
    return _first_in(folder, _BEST, _LAST)


def last_in(folder: Path) -> Path | None:
    """Return the last checkpoint; the best one if there is no last, None if there is neither."""
    return _first_in(folder, _LAST, _BEST)


def remove_damaged(folder: Path) -> list[str]:
    """Remove the checkpoints that cannot be read, and return a line about each.

    What a killed process left half written goes as well. The training goes on from the rest.

    Raises:
        OSError: a file cannot be read for a reason of the machine. It stays.
    """
    partial_files.remove(folder)
    lines = []
    for file in (folder / name for name in (_BEST, _LAST)):
        problem = _problem(file) if file.is_file() else None
        if problem is not None:
            file.unlink()
            lines.append(f"{file} is damaged and was removed: {problem[:_SHOWN]}")
    return lines


def begun_in(run: Run, training: str) -> Path:
    """Return the file of the weights that a training begins with."""
    return run.own("twin", training, "begun.pt")


def write_weights(network: nn.Module, file: Path) -> None:
    """Write the weights of a network."""
    content = io.BytesIO()
    torch.save(network.state_dict(), content)
    file.parent.mkdir(parents=True, exist_ok=True)
    atomic_files.write_bytes(file, content.getvalue())


def read_weights(file: Path) -> dict[str, Tensor] | None:
    """Return the weights of a file; None if there is none, or if it was damaged.

    A damaged one is removed, with a line.

    Raises:
        OSError: it cannot be read for a reason of the machine. It stays.
    """
    partial_files.remove(file.parent)
    if not file.is_file():
        return None
    content = _read(file)
    if isinstance(content, dict):
        return content
    file.unlink()
    problem = content if isinstance(content, str) else "it holds more than weights"
    print(f"{file} is damaged and was removed: {problem[:_SHOWN]}")
    return None


def _first_in(folder: Path, *names: str) -> Path | None:
    return next((file for name in names if (file := folder / name).is_file()), None)


def _problem(file: Path) -> str | None:
    """Return why a checkpoint cannot be read; None if it can."""
    content = _read(file)
    if isinstance(content, str):
        return content
    if not isinstance(content, dict) or not content.keys() >= _PARTS:
        return "parts of a checkpoint are missing in it"
    return None


def _read(file: Path) -> Any:
    """Return what a file of torch holds; why it cannot be read, if it cannot."""
    # Apart from the rest, which may raise the errors of a disk for a damaged file, too.
    stored = io.BytesIO(file.read_bytes())
    try:
        with zipfile.ZipFile(stored) as archive:
            if (part := archive.testzip()) is not None:  # torch.load looks at no checksum
                return f"the checksum of {part} is wrong"
        stored.seek(0)
        return torch.load(stored, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises whatever a damaged file leads it to
        if os_errors.is_out_of_memory(error):
            raise
        return describe(error).partition(". ")[0]  # then comes advice on other options
