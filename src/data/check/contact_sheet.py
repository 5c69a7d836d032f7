"""Contact sheet: a few images of each class, resized as for the network."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from src.data.pipeline.split import Split
from src.data.preprocessing import Preprocessing

SIDE = 96  # pixels of an image
COLUMNS = 8
ROWS = 50  # classes; many viewers cannot show a larger sheet
_MARGIN = 4
_TEXT = 180  # width of the class names in pixels


class ContactSheet:
    """A row of images for each class, drawn from the training split by a fixed seed.

    Args:
        class_names: in label order; only the first 50 are shown.
        preprocessing: resizes the images.
    """

    def __init__(self, class_names: list[str], preprocessing: Preprocessing) -> None:
        self._names = class_names[:ROWS]
        self._resize = preprocessing.spatial()
        self._cells: dict[int, tuple[int, int]] = {}  # row and column by position
        cell = SIDE + _MARGIN
        size = (_TEXT + COLUMNS * cell, max(1, len(self._names)) * cell)
        self._sheet = Image.new("RGB", size, "white")
        pen = ImageDraw.Draw(self._sheet)
        for row, name in enumerate(self._names):
            pen.text((_MARGIN, row * cell + SIDE // 2), name[:28], fill="black")

    def choose(self, split: Split, labels: NDArray[np.int64]) -> None:
        """Choose the images that are shown, by the labels of a split, (N,)."""
        if split != "train":
            return
        generator = np.random.default_rng(0)
        for row in range(len(self._names)):
            positions = generator.permutation(np.flatnonzero(labels == row))[:COLUMNS]
            for column, position in enumerate(sorted(positions.tolist())):
                self._cells[position] = (row, column)

    def shown(self, split: Split, position: int, image: Image.Image) -> Image.Image | None:
        """Return an image in the size of the sheet's cells; None if it was not chosen."""
        if split != "train" or position not in self._cells:
            return None
        resized: Image.Image = self._resize(image)
        return resized.resize((SIDE, SIDE))

    def place(self, position: int, shown: Image.Image) -> None:
        """Draw the result of :meth:`shown` for the image at ``position``."""
        row, column = self._cells[position]
        cell = SIDE + _MARGIN
        self._sheet.paste(shown, (_TEXT + column * cell, row * cell))

    def png(self) -> bytes:
        """Return the sheet as the content of a PNG file."""
        content = io.BytesIO()
        self._sheet.save(content, "PNG")
        return content.getvalue()
