"""Files and folders that are being written, and those that a killed process left so."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

_MARK = ".unfinished-"  # in the name of each


def prefix(path: Path) -> str:
    """How the name begins under which ``path`` is written before it is whole."""
    return f".{path.name}{_MARK}"


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Tells others that this process is writing ``path``, a file or a folder.

    By a lock, which goes with the process however that ends.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove(folder: Path) -> list[Path]:
    """Remove what no process is writing any more, in ``folder`` and below; what that was."""
    removed = []
    for path in sorted(folder.rglob(f".*{_MARK}*")):
        if path.is_symlink() or not path.exists():
            continue  # none of ours, or in one that is removed by now
        descriptor = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed.append(path)
        finally:
            os.close(descriptor)
    return removed
