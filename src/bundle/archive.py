"""Reproducible zip files: the same contents give the same bytes."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from src.system import atomic_files

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can store
_MODE = 0o644 << 16
# https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file
_DEVICES = frozenset(
    {
        *("con", "prn", "aux", "nul"),
        *(f"{device}{number}" for device in ("com", "lpt") for number in range(1, 10)),
    }
)
_REFUSED = frozenset('<>:"/\\|?*')


def is_portable(name: str) -> bool:
    """Return True for the name of a folder that can be made on every system.

    Windows refuses the names of devices, some characters, and a dot or a space at the end.
    """
    is_device = name.partition(".")[0].rstrip().lower() in _DEVICES
    is_written_alike = bool(name) and name.isprintable() and name[-1] not in ". "
    return is_written_alike and not is_device and _REFUSED.isdisjoint(name)


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
