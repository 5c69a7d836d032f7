"""Paths of images in a CSV file, as other systems and tools write them."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from pathlib import Path

from src.data.pipeline.image_kind import ending_of, endings


class CSVPaths:
    """Finds the files that the paths of a CSV file mean.

    Args:
        folder: relative paths begin there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._by_stem: dict[str, dict[str, list[str]]] = {}  # by folder

    def find(self, written: str) -> str:
        """Return the path of an image; where no such file exists, the path as it is written.

        A path of Windows has backslashes. Copies from macOS may have decomposed letters. Tables of
        competitions name images without their endings.

        Args:
            written: the path in the file.
        """
        path = os.path.join(self._folder, written)  # noqa: PTH118  # there may be 100,000
        if os.path.isfile(path):  # noqa: PTH113
            return path
        spellings = self._spellings(written)
        there = next(filter(os.path.lexists, spellings), None)
        if there is not None and not os.path.isdir(there):  # noqa: PTH112
            return there
        for spelled in spellings:
            found = self._with_ending(spelled)
            if len(found) == 1:
                return found[0]
        return there or spellings[1 if "\\" in written else 0]

    def _with_ending(self, path: str) -> list[str]:
        """Return the images that have a path's name and an ending behind it, sorted."""
        folder, name = os.path.split(path)
        if "\0" in path or not name:
            return []
        if folder not in self._by_stem:
            self._by_stem[folder] = _by_stem(folder)
        names = self._by_stem[folder].get(name, [])
        return [os.path.join(folder, each) for each in names]  # noqa: PTH118

    def _spellings(self, written: str) -> list[str]:
        """Return the paths that a path may mean, the likeliest first."""
        spellings = [written]
        if "\\" in written:
            spellings.append(written.replace("\\", "/"))
        if not written.isascii():
            last = spellings[-1]
            spellings += [unicodedata.normalize(form, last) for form in ("NFC", "NFD")]
        return [os.path.join(self._folder, each) for each in spellings]  # noqa: PTH118


def _by_stem(folder: str) -> dict[str, list[str]]:
    """Return the names of a folder's images by their names without the ending."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208  # names are enough
    except OSError:
        return {}  # there is none, and the path is reported as missing
    stems: dict[str, list[str]] = defaultdict(list)
    for name in names:
        ending = ending_of(name)
        if ending in endings():
            stems[name[: -len(ending)]].append(name)
    return stems
