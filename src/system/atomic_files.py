"""Atomic writes: files and folders are written under a temporary name beside their final place.

A rename then puts them there in one step, so that a reader never sees half of one.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from src.system import partial_files


def write_text(path: Path, text: str) -> None:
    r"""Write ``text`` to ``path`` atomically, in UTF-8.

    What UTF-8 cannot encode, as a byte of a file's name that is not UTF-8, becomes ``\udcff``.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with whole_file(path) as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON atomically.

    Raises:
        ValueError: ``value`` holds NaN or infinity, which JSON does not have.
    """
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file to write. It replaces ``path`` when the block ends without an exception.

    After an exception ``path`` is as it was.

    Raises:
        OSError: its ``filename`` is ``path`` where the system names no file or the temporary one.
    """
    temporary = None
    try:
        with partial_files.new_file(path) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            _fsync(file.fileno())
            temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):  # the first error is the one to report
                temporary.unlink()
        if isinstance(error, OSError) and partial_files.concerns_partial_file(error):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def whole_folder(path: Path, replaced: Collection[str] | None = None) -> Iterator[Path]:
    """Yield a folder to fill. It replaces ``path`` when the block ends without an exception.

    After an exception ``path`` is as it was. Where the system can exchange two names, ``path``
    exists at every moment.

    Args:
        path: the folder's final path. If it is a link, the link is replaced and not followed.
        replaced: the files of an earlier folder that may be lost, relative to it. Its other files
            belong to somebody else and are moved into the new folder. None for all files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_files.new_folder(path) as fresh:
        yield fresh
        for file in fresh.rglob("*"):
            _sync(file)
        if replaced is not None and not path.is_symlink():
            _keep_foreign_files(path, fresh, replaced)
        if path.exists() or path.is_symlink():
            _exchange(fresh, path)  # new_folder removes the earlier folder, now named ``fresh``
        else:
            fresh.replace(path)


def remove_written(folder: Path, names: Iterable[str]) -> None:
    """Remove the named files from ``folder``, and then every folder that is empty."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    subfolders = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for subfolder in [*sorted(subfolders, reverse=True), folder]:
        with contextlib.suppress(OSError):  # it is not empty
            subfolder.rmdir()


def _keep_foreign_files(earlier: Path, fresh: Path, replaced: Collection[str]) -> None:
    """Hard-link, or else copy, the files of ``earlier`` that are not replaced into ``fresh``."""
    for path in earlier.rglob("*"):
        name = path.relative_to(earlier)
        target = fresh / name
        is_folder = path.is_dir() and not path.is_symlink()
        if is_folder or str(name) in replaced or os.path.lexists(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target, follow_symlinks=False)
        except OSError:  # this file system has no hard links
            shutil.copy2(path, target, follow_symlinks=False)


def _sync(path: Path) -> None:
    """Wait until a file or folder is on the disk: a rename may get there before the content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _fsync(descriptor)
    finally:
        os.close(descriptor)


def _fsync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


# Errors of a file system that cannot sync folders, or nothing at all.
# https://man7.org/linux/man-pages/man2/fsync.2.html
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def _exchange(first: Path, second: Path) -> None:
    """Exchange the names of two folders of the same file system, in one step where possible."""
    try:
        _rename_exchange(first, second)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        # Not supported here. Between these renames there is nothing at ``second``. If the second
        # one fails or is not reached, new_folder puts the earlier folder back, or else, after a
        # kill, partial_files.remove.
        aside = partial_files.aside_of(first)
        second.replace(aside)
        first.replace(second)
        aside.replace(first)


_RENAME_EXCHANGE = 2  # https://man7.org/linux/man-pages/man2/renameat2.2.html
_RENAME_SWAP = 2  # of renamex_np: https://www.manpagez.com/man/2/renamex_np/
_AT_FDCWD = -100
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def _rename_exchange(first: Path, second: Path) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    paths = os.fsencode(first), os.fsencode(second)
    if (renameat2 := getattr(library, "renameat2", None)) is not None:
        failed = renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE)
    elif (renamex_np := getattr(library, "renamex_np", None)) is not None:  # macOS
        failed = renamex_np(paths[0], paths[1], _RENAME_SWAP)
    else:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if failed:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(first), None, str(second))


def sha256_of(values: NDArray[np.float32]) -> str:
    """Return the SHA-256 of an array's values, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
