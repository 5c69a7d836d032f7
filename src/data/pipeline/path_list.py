"""Paths in two arrays, which processes share."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import overload

import numpy as np


class PathList(Sequence[str]):
    """Paths that cannot be changed, held as bytes with the end of each.

    A process that loads images is a copy of the training's, and both share memory until one writes
    to it. Python counts references inside of each string, so a process that reads the strings of a
    list has all of them anew in the end (https://github.com/pytorch/pytorch/issues/13246).

    Args:
        paths: the paths.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        encoded = [os.fsencode(path) for path in paths]
        self._bytes = b"".join(encoded)
        self._ends = np.fromiter(accumulate(map(len, encoded)), np.int64, len(encoded))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Return a path, or the list of those of a slice.

        Raises:
            IndexError: there is no such path.
        """
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start = int(self._ends[place - 1]) if place else 0
        return os.fsdecode(self._bytes[start : int(self._ends[place])])
