"""A zip file that is the same, byte for byte, whenever it is made of the same files."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from src.system import atomic_files

_WHEN = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_MODE = 0o644 << 16


def write(path: Path, contents: Mapping[str, bytes]) -> None:
    """Write ``contents``, by name, sorted, in one folder that is called like the file."""
    with atomic_files.whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(f"{path.stem}/{name}", _WHEN)
            entry.external_attr = _MODE
            entry.create_system = 3  # Unix, wherever it is made
            # Weights hardly shrink, and what deflates them differs from machine to machine.
            entry.compress_type = zipfile.ZIP_STORED
            archive.writestr(entry, contents[name])
