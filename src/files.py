"""Files that appear whole or not at all: written beside their place, then renamed into it."""

from __future__ import annotations

import contextlib
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
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of ``path`` when the block ends well.

    Where it does not, ``path`` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=path.parent, prefix=unfinished.prefix(path)))
    try:
        with unfinished.held(fresh):
            yield fresh
            fresh.chmod(0o755)
            if path.exists():
                replaced = Path(tempfile.mkdtemp(dir=path.parent, prefix=unfinished.prefix(path)))
                path.replace(replaced / path.name)
                fresh.replace(path)
                shutil.rmtree(replaced)
            else:
                fresh.replace(path)
    finally:
        if fresh.exists():
            shutil.rmtree(fresh)


def sha256_of(values: NDArray[np.float32]) -> str:
    """The SHA-256 of an array's values, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
