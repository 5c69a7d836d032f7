"""Recognition of folders that Lightship has written, by the beginnings of their files.

The names of these files are common: metadata of downloaded images may be called ``search.json``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path

_RECORD = re.compile(rb'\A\s*\{\s*"schema_version"\s*:\s*\d+\s*,\s*"command"\s*:')
_CONFIGURATION = re.compile(rb"(?m)^\s*class_path:\s*[\"']?src\.")
_COMMAND = re.compile(rb"\bsrc\.train\b")
# Files of a training, a search and a forecast, and of these files the ones that show it.
_KINDS: tuple[tuple[frozenset[str], dict[str, re.Pattern[bytes]]], ...] = (
    (frozenset({"config.yaml", "checkpoints"}), {"config.yaml": _CONFIGURATION}),
    (
        frozenset({"config.yaml", "command.txt"}),
        {"config.yaml": _CONFIGURATION, "command.txt": _COMMAND},
    ),
    (frozenset({"search.json"}), {"search.json": _RECORD}),
    (frozenset({"forecast.json"}), {"forecast.json": _RECORD}),
)
NAMES: frozenset[str] = frozenset().union(*(files for files, _ in _KINDS))
_READ = 1 << 16  # bytes of a file


def has_written(folder: str, names: Collection[str]) -> bool:
    """Return True if Lightship has written a folder.

    Args:
        folder: path of the folder.
        names: those of :data:`NAMES` that are in it.
    """
    return any(
        mark.search(_beginning(Path(folder, name)))
        for files, marks in _KINDS
        if files <= set(names)
        for name, mark in marks.items()
    )


def _beginning(path: Path) -> bytes:
    """Return the first bytes of a file; none if it is no file or may not be read."""
    if not path.is_file() or not os.access(path, os.R_OK):  # opening a pipe would block
        return b""
    with path.open("rb") as file:
        return file.read(_READ)
