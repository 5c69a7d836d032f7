"""Fake disk that fails at a chosen write call: full from then on, or one input/output error.

It patches every way in which Python code changes a disk, for paths below one folder: opening a file
to write, each write that reaches the system, syncing, renaming, exchanging, making a folder. Writes
of C libraries are not intercepted.
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

# Calls that still succeed on a full disk.
RENAMES = {"replace", "rename", "exchange"}


class FailingDisk:
    """Counter of the write calls below ``folder``; call number ``at`` fails with ``number``."""

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
                return  # succeeds on a full disk; the next write fails
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
    """Let the disk fail at write call ``at`` within the block; None only counts the calls."""
    disk = FailingDisk(folder, number, at)
    with pytest.MonkeyPatch.context() as patch:
        _patch_calls(disk, patch)
        yield disk


def _patch_calls(disk: FailingDisk, patch: pytest.MonkeyPatch) -> None:
    class Raw(io.FileIO):
        def write(self, content: Any, /) -> int:
            disk.call("write", self.fileno())
            return super().write(content)

    original = io.open

    def patched_open(
        file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any
    ) -> Any:
        if not set(mode) & set("wax+"):
            return original(file, mode, buffering, *args, **options)
        if not isinstance(file, int):
            disk.call("open", os.fspath(file))
        raw = Raw(
            file,
            mode.replace("b", "").replace("t", ""),
            options.get("closefd", True),
            options.get("opener"),
        )
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        binary = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
        if "b" in mode:
            return binary
        text_options = dict(zip(("encoding", "errors", "newline"), args, strict=False))
        text_options |= {
            name: options[name] for name in ("encoding", "errors", "newline") if name in options
        }
        return io.TextIOWrapper(binary, **text_options)

    patch.setattr(builtins, "open", patched_open)
    patch.setattr(io, "open", patched_open)
    for name in ("fsync", "replace", "rename", "mkdir"):
        patch.setattr(os, name, _counting(disk, name, getattr(os, name)))
    exchange = atomic_files._rename_exchange
    patch.setattr(atomic_files, "_rename_exchange", _counting(disk, "exchange", exchange))
    original_os_open = os.open

    def patched_os_open(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & os.O_CREAT:
            disk.call("open", path)
        return original_os_open(path, flags, *args, **options)

    patch.setattr(os, "open", patched_os_open)


def _counting(disk: FailingDisk, kind: str, original: Any) -> Any:
    def counted(path: Any, *args: Any, **options: Any) -> Any:
        # A rename changes its target, so that path decides.
        disk.call(kind, args[0] if kind in RENAMES else path)
        return original(path, *args, **options)

    return counted
