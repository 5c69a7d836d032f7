"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from src import unfinished


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` in one step that either happens or does not."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` in one step that either happens or does not."""
    with whole_file(path) as file:
        file.write(content)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON; NaN and infinity are refused, for they are not JSON."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which takes the place of ``path`` when the block ends well.

    Where it does not, ``path`` stays as it was.

    Raises:
        OSError: with ``path`` as its file, where the system names none.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=unfinished.prefix(path))
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w+b") as file, unfinished.held(temporary):
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # of the two errors the first one tells
            temporary.unlink()
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``path`` when the block ends well.

    Where it does not, ``path`` stays as it was. At no moment is there neither, where the
    system can exchange two names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=unfinished.prefix(path)))
    try:
        with unfinished.held(fresh):
            yield fresh
            fresh.chmod(0o755)
            for file in fresh.rglob("*"):
                _to_disk(file)
            if path.exists():
                _exchange(fresh, path)
            else:
                fresh.replace(path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)  # what was replaced, or what was not finished


def _to_disk(path: Path) -> None:
    """Wait until a file is on the disk: a name may be there before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders of the same file system change their places in one step."""
    try:
        _rename_exchange(one, other)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
        # Not this system or file system: two steps, between which nothing bears the name.
        aside = one.with_name(f"{one.name}.aside")
        other.replace(aside)
        try:
            one.replace(other)
        except BaseException:
            aside.replace(other)
            raise
        aside.replace(one)


_RENAME_EXCHANGE = 2  # https://man7.org/linux/man-pages/man2/renameat2.2.html
_AT_FDCWD = -100
_NO_EXCHANGE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM)


def _rename_exchange(one: Path, other: Path) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))


def sha256_of(values: NDArray[np.float32]) -> str:
    """The SHA-256 of an array's values, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
