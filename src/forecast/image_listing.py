"""A cheap hash of a folder of images, by which changed images are noticed."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from src.data.folder_walk import read_folder
from src.errors import UsageError


@functools.cache
def listing_hash(folder: str) -> str | None:
    """Return a hash of the names and sizes of the images in a folder and below.

    The images are not read, so one that is replaced by another one of the same size is not noticed.
    Folders that Lightship has written are left out. A folder is listed once in a process: it must
    not change while a command works.

    Args:
        folder: as on the command line.

    Returns:
        The hash; None for a folder that cannot be listed, as the training will report.
    """
    digest = hashlib.sha256()
    try:
        root = Path(folder).expanduser()
        for inner in sorted(read_folder(root).walk(), key=lambda inner: inner.path):
            for path in sorted(inner.images):
                image = Path(path)
                name = image.relative_to(root).as_posix()
                digest.update(f"{name!r} {image.stat().st_size}\n".encode(errors="surrogateescape"))
    except (OSError, RuntimeError, UsageError):
        return None
    return digest.hexdigest()
