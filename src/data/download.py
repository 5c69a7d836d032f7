"""Downloads by torchvision, with one-line errors."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Callable, Mapping
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

from src.errors import UsageError, describe

Source = TypeVar("Source")


def downloaded(fetch: Callable[[], Source], root: Path, files: Mapping[str, str]) -> Source:
    """Return the result of ``fetch``, which downloads and unpacks missing files.

    Args:
        fetch: calls a class of torchvision with ``download=True``.
        root: folder of the files.
        files: URLs of the archives by file name, for the error message.

    Raises:
        UsageError: the files are missing and cannot be downloaded, or they are damaged.
    """
    try:
        return fetch()
    except (
        OSError,
        RuntimeError,
        ValueError,
        EOFError,
        HTTPException,
        tarfile.TarError,
        zlib.error,
    ) as error:
        raise UsageError(
            "data.root",
            expected=f"{', '.join(files)} in {root}, or a network to download it",
            found=describe(error),
            remedy=f"put there what is at {', '.join(files.values())}, and remove what is damaged",
        ) from error
