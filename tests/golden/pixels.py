"""The golden pixels: picture files, and what every program must make of them.

``make_pixels.py`` makes the file.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from src.run.facts import PreprocessingFacts
from src.run.reading import convert

PATH = Path(__file__).with_name("pixels.npz")
ROWS_MAY_BE_FIRST = int(PIL.__version__.partition(".")[0]) >= 13


class Golden:
    """The content of ``pixels.npz``."""

    def __init__(self, path: Path = PATH) -> None:
        with np.load(path) as file:
            self._arrays: dict[str, NDArray[Any]] = dict(file)

    @cached_property
    def rules(self) -> list[dict[str, Any]]:
        """The preprocessing of each answer, as in an exported file's metadata."""
        rules: list[dict[str, Any]] = json.loads(self._arrays["rules"].tobytes())
        return rules

    def facts(self, rule: int) -> PreprocessingFacts:
        """Return the preprocessing of an answer as a record."""
        return convert(self.rules[rule], PreprocessingFacts)

    @cached_property
    def names(self) -> list[str]:
        """The pictures' files."""
        names: list[str] = json.loads(self._arrays["names"].tobytes())
        return names

    @cached_property
    def refused(self) -> dict[str, bytes]:
        """Files whose pixels have no known range, by name."""
        return {
            name.removeprefix("refused/"): array.tobytes()
            for name, array in self._arrays.items()
            if name.startswith("refused/")
        }

    def file(self, name: str) -> bytes:
        """A picture's file."""
        return self._arrays[f"file/{name}"].tobytes()

    def rgb(self, name: str) -> NDArray[np.uint8]:
        """A picture upright in RGB, (H, W, 3)."""
        return self._arrays[f"rgb/{name}"]

    def levels(self, rule: int, name: str) -> NDArray[np.uint8]:
        """A picture resized and cut by a rule, (S, S, 3)."""
        return self._arrays[f"levels/{rule}"][self.names.index(name)]

    def input(self, rule: int, name: str) -> NDArray[np.float32]:
        """The network's input by a rule, (3, S, S)."""
        levels = self.levels(rule, name)
        return np.stack([self._arrays["values"][rule][levels[..., c], c] for c in range(3)])

    def comparable(self, rule: int) -> list[str]:
        """The pictures that the installed Pillow resizes as the one that made the file.

        Before version 13 it resized no picture's rows first, and so rounded some otherwise.
        """
        first = self._arrays["rows_first"][rule]
        return [
            name
            for name, rows_first in zip(self.names, first, strict=True)
            if ROWS_MAY_BE_FIRST or not rows_first
        ]

    def write(self, folder: Path) -> dict[str, Path]:
        """Write the pictures' files, and give each name's path."""
        folder.mkdir(exist_ok=True)
        paths = {name: folder / name for name in self.names}
        for name, path in paths.items():
            path.write_bytes(self.file(name))
        return paths


GOLDEN = Golden()
IDS = [f"{rule['resize']}-{rule['interpolation']}-{rule['image_size']}" for rule in GOLDEN.rules]
