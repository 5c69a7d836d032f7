"""Names of image files that do not depend on the place of their folder.

The name of an image is its path below the folder of the data set, with ``/`` on every system. It
does not depend on the working folder, on links that lead to the folder, or on the spelling of the
path: a CSV file may list absolute paths.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_NUMBER = re.compile(r"\n(\d+)$")  # of an image that is listed more than once


@dataclass
class ImageNames:
    """The names of images in a folder.

    Args:
        folder: folder of the data set.
        recorded_in: folder that recorded names are relative to, if it is known. Where it holds
            ``folder`` or is in it, names are those of the real files, so that an image has one
            name in both; else recorded names are taken to be relative to ``folder``.
    """

    folder: Path
    recorded_in: Path | None = None
    by_files: bool = field(init=False)  # False if recorded images are known by their names only
    _is_elsewhere: bool = field(init=False)  # the folder of the record is above or below
    _beginnings: tuple[str, ...] = field(init=False)  # of the images' paths, with a separator
    _real: str = field(init=False)
    _real_folders: dict[str, str] = field(init=False, default_factory=dict)  # relative to _real

    def __post_init__(self) -> None:
        self._real = os.path.realpath(self.folder)
        places = (os.fspath(self.folder), os.path.abspath(self.folder), self._real)  # noqa: PTH100
        self._beginnings = tuple(os.path.join(place, "") for place in places)  # noqa: PTH118
        self._is_elsewhere = self.by_files = False
        if self.recorded_in is not None and self.recorded_in.is_dir():
            former = os.path.realpath(self.recorded_in)
            self.by_files = former == self._real or _are_nested(former, self._real)
            self._is_elsewhere = self.by_files and former != self._real

    def of(self, paths: Iterable[str]) -> list[str]:
        """Return the name of each image.

        An image that is listed again has a line break and a number after its name.

        Args:
            paths: paths from the working folder.
        """
        return _numbered(self.repeating(paths))

    def repeating(self, paths: Iterable[str]) -> list[str]:
        """Return the name of each image; an image that is listed again has the same one.

        Args:
            paths: paths from the working folder.
        """
        name = self._file_name if self._is_elsewhere else self._name
        return [name(path) for path in paths]

    def recorded(self, splits: dict[str, list[str]]) -> dict[str, list[str]]:
        """Return recorded names in the spelling of :meth:`of`.

        Earlier versions recorded the absolute paths and other spellings of a CSV file.

        Args:
            splits: names by split.
        """
        is_other = any(_is_other_spelling(name) for names in splits.values() for name in names)
        if not is_other and not self._is_elsewhere:
            return splits
        names = iter(_numbered([self._recorded(name) for part in splits.values() for name in part]))
        return {split: [next(names) for _ in part] for split, part in splits.items()}

    def _recorded(self, name: str) -> str:
        if not _is_other_spelling(name) and not self._is_elsewhere:
            return name
        number = _NUMBER.search(name)
        folder = self.recorded_in if self._is_elsewhere and self.recorded_in else self.folder
        [found] = self.repeating([os.path.join(folder, plain(name))])  # noqa: PTH118
        return found + (number[0] if number else "")

    def _name(self, path: str) -> str:
        for beginning in self._beginnings:
            if path.startswith(beginning):
                name = _composed(_slashed(path[len(beginning) :]))
                if not _has_dots(name):
                    return name
                if ".." not in name.split("/"):
                    return os.path.normpath(name).lstrip("/")
                break  # after a link, .. leads elsewhere
        return self._real_name(path)

    def _file_name(self, path: str) -> str:
        """Return the name of a file that links to it share."""
        return self._real_name(os.path.realpath(path) if os.path.islink(path) else path)  # noqa: PTH114

    def _real_name(self, path: str) -> str:
        """Return the name of a file by the real path of its folder."""
        folder, file = os.path.split(path)
        if folder not in self._real_folders:
            real = os.path.realpath(folder)
            inside = real == self._real or real.startswith(self._beginnings[-1])
            self._real_folders[folder] = os.path.relpath(real, self._real) if inside else real
        name = os.path.normpath(os.path.join(self._real_folders[folder], file))  # noqa: PTH118
        return _composed(_slashed(name))


def plain(name: str) -> str:
    """Return the name of an image without the number of one that is listed again."""
    return _NUMBER.sub("", name)


def shown(name: str) -> str:
    """Return a name for a message, with the number of an image that is listed again."""
    return _NUMBER.sub(r" (\1)", name)


def _are_nested(one: str, other: str) -> bool:
    """Return True if one of two folders is in the other."""
    inner, outer = max(one, other, key=len), min(one, other, key=len)
    return inner.startswith(os.path.join(outer, ""))  # noqa: PTH118


def _numbered(names: Sequence[str]) -> list[str]:
    numbered = list(names)
    if len(set(names)) == len(names):
        return numbered
    counts: Counter[str] = Counter()  # a CSV file may list an image twice
    for position, name in enumerate(names):
        counts[name] += 1
        if counts[name] > 1:
            numbered[position] = f"{name}\n{counts[name]}"
    return numbered


def _is_other_spelling(name: str) -> bool:
    return _has_dots(name) or _composed(_slashed(name)) != name


def _has_dots(name: str) -> bool:
    """Return True for an absolute path, and for one that may have empty parts, ``.`` or ``..``."""
    return name.startswith((".", "/")) or "/." in name or "//" in name


def _composed(name: str) -> str:
    """Return a name with composed letters. Copies between systems may decompose them."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _slashed(path: str) -> str:
    return path if os.sep == "/" else path.replace(os.sep, "/")
