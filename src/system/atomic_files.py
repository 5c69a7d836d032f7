"""Files that appear whole or not at all: written beside their place, then renamed into it."""

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
    r"""Write ``text`` to ``path`` in one step that either happens or does not.

    In UTF-8; what UTF-8 has no form for, as a byte in a file's name, stands there as ``\udcff``.
    """
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


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
        OSError: with ``path`` as its file, where the system names none or the one being written.
    """
    temporary = None
    try:
        with partial_files.new_file(path) as file:
            temporary = Path(file.name)
            yield file
            file.flush()
            _to_disk(file.fileno())
            temporary.replace(path)
    except BaseException as error:
        if temporary is not None:
            with contextlib.suppress(OSError):  # of the two errors the first one tells
                temporary.unlink()
        if isinstance(error, OSError) and partial_files.is_meant(error):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def whole_folder(path: Path, replaced: Collection[str] | None = None) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``path`` when the block ends well.

    Where it does not, ``path`` stays as it was. At no moment is there neither, where the
    system can exchange two names.

    Args:
        path: of the folder; a link that has its place is replaced, not what it leads to.
        replaced: the files that an earlier folder may lose, relative to it; what else is in it is
            somebody's own and goes over into the new one. None for all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial_files.new_folder(path) as fresh:
        yield fresh
        for file in fresh.rglob("*"):
            _sync(file)
        if replaced is not None and not path.is_symlink():
            _keep_others(path, fresh, replaced)
        if path.exists() or path.is_symlink():
            _exchange(fresh, path)  # what was replaced goes with the other name
        else:
            fresh.replace(path)


def remove_written(folder: Path, names: Iterable[str]) -> None:
    """Remove those files from ``folder``, and it as well if nothing else is in it."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
    below = [path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink()]
    for each in [*sorted(below, reverse=True), folder]:
        with contextlib.suppress(OSError):  # something else is in it
            each.rmdir()


def _keep_others(earlier: Path, fresh: Path, replaced: Collection[str]) -> None:
    """Give ``fresh`` those files of ``earlier`` that are not replaced, as links where it can."""
    for path in earlier.rglob("*"):
        name = path.relative_to(earlier)
        target = fresh / name
        is_folder = path.is_dir() and not path.is_symlink()
        if is_folder or str(name) in replaced or os.path.lexists(target):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target, follow_symlinks=False)
        except OSError:  # this file system has no links
            shutil.copy2(path, target, follow_symlinks=False)


def _sync(path: Path) -> None:
    """Wait until a file is on the disk: a name may be there before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _to_disk(descriptor)
    finally:
        os.close(descriptor)


def _to_disk(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


# What a file system says that cannot sync this: a folder, or anything.
# https://man7.org/linux/man-pages/man2/fsync.2.html
_NO_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


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
