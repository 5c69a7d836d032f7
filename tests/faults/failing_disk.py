"""A disk that fails at a chosen write call: full from then on, or once with an input/output error.

Every way that Python code has to change what is on a disk goes through here, for paths below one
folder: opening a file to write, each write that reaches the system, syncing, renaming, exchanging,
making a folder. A library that writes in C is not seen.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.system import atomic_files

# What a full disk still does: it gives things other names.
RENAMES = {"replace", "rename", "exchange"}


class FailingDisk:
    """Counts the write calls below ``folder``, and lets the one with number ``at`` fail."""

    def __init__(self, folder: Path, number: int, at: int | None) -> None:
        self.folder = str(folder.resolve())
        self.number = number
        self.at = at
        self.calls: list[str] = []
        self.failed = False

    def call(self, kind: str, path: Any) -> None:
        if not isinstance(path, int) and not _absolute(path).startswith(self.folder):
            return
        if isinstance(path, int) and not _path_of(path).startswith(self.folder):
            return
        self.calls.append(kind)
        position = len(self.calls) - 1
        if self.at is None or position < self.at:
            return
        is_full = self.number == errno.ENOSPC
        if position == self.at or (is_full and kind not in RENAMES):
            if is_full and kind in RENAMES:
                return  # a full disk lets this pass; the next one fails
            self.failed = True
            raise OSError(self.number, os.strerror(self.number))


def _absolute(path: Any) -> str:
    return os.path.abspath(os.fsdecode(path))  # noqa: PTH100


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return ""


@contextlib.contextmanager
def failing_disk(
    folder: Path, number: int = errno.ENOSPC, at: int | None = None
) -> Iterator[FailingDisk]:
    """Within this block the disk fails at write call ``at``; without ``at`` calls are counted."""
    disk = FailingDisk(folder, number, at)
    with pytest.MonkeyPatch.context() as patch:
        _plant(disk, patch)
        yield disk


def _plant(disk: FailingDisk, patch: pytest.MonkeyPatch) -> None:
    class Raw(io.FileIO):
        def write(self, content: Any, /) -> int:
            disk.call("write", self.fileno())
            return super().write(content)

    original = io.open

    def opened(file: Any, mode: str = "r", buffering: int = -1, *rest: Any, **more: Any) -> Any:
        if not set(mode) & set("wax+"):
            return original(file, mode, buffering, *rest, **more)
        if not isinstance(file, int):
            disk.call("open", os.fspath(file))
        raw = Raw(
            file,
            mode.replace("b", "").replace("t", ""),
            more.get("closefd", True),
            more.get("opener"),
        )
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        binary = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if "b" in mode:
            return binary
        named = dict(zip(("encoding", "errors", "newline"), rest, strict=False))
        named |= {name: more[name] for name in ("encoding", "errors", "newline") if name in more}
        return io.TextIOWrapper(binary, **named)

    patch.setattr(builtins, "open", opened)
    patch.setattr(io, "open", opened)
    for name in ("fsync", "replace", "rename", "mkdir"):
        patch.setattr(os, name, _watched(disk, name, getattr(os, name)))
    exchange = atomic_files._rename_exchange
    patch.setattr(atomic_files, "_rename_exchange", _watched(disk, "exchange", exchange))
    make = os.open

    def made(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            disk.call("open", path)
        return make(path, flags, *rest, **more)

    patch.setattr(os, "open", made)


def _watched(disk: FailingDisk, kind: str, original: Any) -> Any:
    def watched(path: Any, *rest: Any, **more: Any) -> Any:
        # A rename is where it leads to, which is what is to be kept.
        disk.call(kind, rest[0] if kind in RENAMES else path)
        return original(path, *rest, **more)

    return watched
