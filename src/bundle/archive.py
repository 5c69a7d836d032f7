"""Reproducible zip files: the same contents give the same bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from src.system import atomic_files

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can store
_MODE = 0o644 << 16


def write(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write files in one folder, which has the name of the zip file.

    Args:
        path: of the zip file.
        contents: by file name.
    """
    with atomic_files.whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", _DATE)
            entry.external_attr = _MODE
            entry.create_system = 3  # Unix, on every machine
            # Not compressed: weights hardly shrink, and versions of zlib give different bytes.
            entry.compress_type = zipfile.ZIP_STORED
            archive.writestr(entry, contents[name])
