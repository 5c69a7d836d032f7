"""The user's own images: a CSV file with a path and a label in each line."""

from __future__ import annotations

import csv
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.data.classes import require_classes
from src.data.dataset import Photographs
from src.data.dataset_module import DatasetModule
from src.data.folder_walk import require_inside
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import SPLITS, HeldOutShare, Parts, Split, fill_in, splits_named
from src.errors import UsageError, describe
from src.system.paths import user_path


class _Line(NamedTuple):
    path: str
    label: str
    split: str  # empty if the file has no such column
    number: int  # of the line in the file


@dataclass(eq=False)
class CSVDataset(Photographs):
    """Images that a CSV file lists, with their labels and, if it has the column, their splits.

    Class names are the labels, sorted; they are sorted as numbers if all are whole numbers. If no
    image is in ``val`` or ``test``, the split is drawn from ``train`` by ``split_seed``,
    stratified. Without a column for the split, all three are drawn.

    Args:
        file: CSV file in UTF-8; the first line has the names of the columns.
        root: folder that paths are relative to and may not lead out of; by default the folder of
            the CSV file.
        path_column: column with the path of an image.
        label_column: column with its class.
        split_column: column with ``train``, ``val`` or ``test``, or another common name of these,
            such as ``Validation``; the file need not have it.
        val_share: share of the images for validation, if the file has no such split; if it has
            ``train`` alone, of the images that are left after the test split.
        test_share: share of the images for testing, if the file has no such split.
        verify: decode every image before training, to find broken ones early; by default only if
            there are 10,000 images or fewer.
    """

    file: str
    root: str | None = None
    path_column: str = "path"
    label_column: str = "label"
    split_column: str = "split"
    val_share: HeldOutShare = 0.1
    test_share: HeldOutShare = 0.2
    verify: bool | None = None
    path: Path = field(init=False)  # of the CSV file
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.path = user_path(self.file, "data.file")
        self.folder = self.path.parent if self.root is None else user_path(self.root, "data.root")

    @property
    def own_folder(self) -> Path:
        return self.folder

    @functools.cached_property
    def class_names(self) -> list[str]:
        names = {line.label for line in self._lines}
        numbers = all(name.isdecimal() for name in names)
        return require_classes(
            f"data.{self.label_column}",
            sorted(names, key=(lambda name: (int(name), name)) if numbers else None),
        )

    def prepare(self) -> None:
        """Check all lines of the file, and that each names an existing file in the root.

        Raises:
            UsageError: a file is missing or outside of the root, or a line is incomplete.
        """
        self._splits()
        _ = self._images

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        images = self._images
        named = np.array(self._splits(), dtype=object)
        existing: Parts[LabelledImages] = {
            split: (images, indices)
            for split in SPLITS
            if len(indices := np.flatnonzero(named == split))
        }
        if existing and "train" not in existing:
            raise self._wrong("images whose split is train", "none")
        return fill_in(
            existing,
            images,
            self.val_share,
            self.test_share,
            split_seed,
            self.class_names,
            every_class=self.every_class,
        )

    @functools.cached_property
    def _lines(self) -> list[_Line]:
        try:
            with self.path.open(newline="", encoding="utf-8-sig") as file:
                return list(self._read(csv.DictReader(file, strict=True)))
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise self._wrong("a CSV file in UTF-8", describe(error)) from error

    def _read(self, reader: csv.DictReader[str]) -> Iterator[_Line]:
        names = list(reader.fieldnames or [])
        for column in (self.path_column, self.label_column):
            if column not in names:
                raise self._wrong(
                    f"the columns {self.path_column} and {self.label_column}",
                    ", ".join(names) or "an empty file",
                )
        has_split = self.split_column in names
        for row in reader:
            line = _Line(
                (row[self.path_column] or "").strip(),
                (row[self.label_column] or "").strip(),
                (row[self.split_column] or "").strip() if has_split else "",
                reader.line_num,
            )
            if not line.path or not line.label:
                raise self._wrong("a path and a label on every line", f"none on line {line.number}")
            if has_split and not line.split:
                raise self._wrong("a split on every line", f"nothing on line {line.number}")
            yield line

    def _splits(self) -> list[Split | None]:
        """Return the split of each line."""
        named = splits_named(sorted({line.split for line in self._lines}))
        for line in self._lines:
            if line.split and line.split not in named:
                raise self._wrong(
                    f"one of {', '.join(SPLITS)} as split",
                    f"{line.split} on line {line.number}",
                )
        return [named.get(line.split) for line in self._lines]

    @functools.cached_property
    def _images(self) -> ImageFiles:
        lines = self._lines
        labels = {name: label for label, name in enumerate(self.class_names)}
        paths = [os.path.join(self.folder, line.path) for line in lines]  # noqa: PTH118  # there may be 100,000
        folders: set[str] = set()
        for path in paths:
            # Two system calls per file check that it exists and is no link: 2 microseconds.
            folder = os.path.dirname(path)  # noqa: PTH120
            if folder not in folders:
                require_inside(folder, self.folder, "data.file")
                folders.add(folder)
            if os.path.islink(path):  # noqa: PTH114
                require_inside(path, self.folder, "data.file")
            elif not os.path.isfile(path):  # noqa: PTH113
                raise self._wrong("paths of files", f"{path}, which is none")
        return ImageFiles(paths, [labels[line.label] for line in lines])

    def _wrong(self, expected: str, found: str) -> UsageError:
        return UsageError(
            f"data.file {self.path}",
            expected=expected,
            found=found,
            remedy="mend the file, or set data.file, data.root, data.path_column or the like",
        )


class CSVFile(DatasetModule, dataset=CSVDataset):
    pass
