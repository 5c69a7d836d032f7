"""The user's own images: a CSV file with a path and a label in each line."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np

from src.data import csv_notes
from src.data.classes import require_classes
from src.data.csv_columns import Columns, absent, wrong
from src.data.csv_lines import CSVLine, CSVLines, read_lines
from src.data.csv_paths import CSVPaths
from src.data.dataset import Photographs
from src.data.dataset_module import DatasetModule
from src.data.folder_walk import require_inside
from src.data.groups import connected, fill_in_together
from src.data.image_names import ImageNames
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import SPLITS, HeldOutShare, Parts, Split, fill_in, splits_named
from src.errors import UsageError
from src.system.paths import user_path

_ELSEWHERE = (
    "set data.root to a folder that holds all images, where relative paths begin, or copy the "
    "files there"
)

_Read = TypeVar("_Read")


@dataclass(eq=False)
class CSVDataset(Photographs):
    """Images that a CSV file lists, with their labels and, if it has the column, their splits.

    Class names are the labels, sorted; they are sorted as numbers if all are whole numbers. If no
    image is in ``val`` or ``test``, the split is drawn from ``train`` by ``split_seed``,
    stratified. Without a column for the split, all three are drawn. All lines of an image are drawn
    into the same split.

    Args:
        file: CSV file in UTF-8 or UTF-16; the first line has the names of the columns. Commas,
            semicolons, tabs or vertical bars separate them.
        root: folder that paths are relative to and may not lead out of; by default the folder of
            the CSV file.
        path_column: column with the path of an image.
        label_column: column with its class; or several columns, one for each class, of which one
            has a 1 and the others a 0 on every line (one-hot).
        split_column: column with ``train``, ``val`` or ``test``, or another common name of these,
            such as ``Validation``; null to draw the splits. The file need not have the column
            ``split``, which counts in this spelling only.
        group_column: column of what several images show, such as a patient or a place; a split
            that is drawn gets all images of a group or none. By default each image is its own.
        val_share: share of the images for validation, if the file has no such split; if it has
            ``train`` alone, of the images that are left after the test split.
        test_share: share of the images for testing, if the file has no such split.
        verify: decode every image before training, to find broken ones early; by default only if
            there are 10,000 images or fewer.
    """

    file: str
    root: str | None = None
    path_column: str = "path"
    label_column: list[str] | str = "label"
    split_column: str | None = "split"
    group_column: str | None = None
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
            "data.label_column",
            sorted(names, key=(lambda name: (int(name), name)) if numbers else None),
            remedy="name the column with the labels by data.label_column",
        )

    @property
    def notes(self) -> list[str]:
        return csv_notes.notes(
            self._read,
            self._names,
            self._by_rules_of_its_time(self._splits),
            self.split_column,
            self.group_column,
            self.class_names,
        )

    def prepare(self) -> None:
        """Check all lines of the file, and that each names an existing file in the root.

        Raises:
            UsageError: a file is missing or outside of the root, or a line is incomplete.
        """
        self._by_rules_of_its_time(self._splits)
        _ = self._images

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        _ = self._images
        return self._by_rules_of_its_time(functools.partial(self._drawn, split_seed))

    def named_splits(self) -> Parts[LabelledImages]:
        named = self._by_rules_of_its_time(self._named)
        return {**named} if named else {"train": (self._images, np.arange(len(self._lines)))}

    def _by_rules_of_its_time(self, read: Callable[[bool], _Read]) -> _Read:
        """Read the splits by the present rules, or by those that the training had.

        A training of an earlier version may have begun with splits that are refused now. Its
        record replaces those that are drawn here.

        Args:
            read: takes ``as_before``, see :meth:`_drawn`.
        """
        if not self.every_class:
            return read(True)
        try:
            return read(False)
        except UsageError:
            if self.is_new_training:
                raise
            return read(True)

    def _drawn(self, split_seed: int, as_before: bool) -> Parts[LabelledImages]:
        """Return the splits.

        Args:
            split_seed: seed of the splits that the file does not define.
            as_before: draw each line alone, and read only a column of splits that has exactly the
                name of the option, as earlier versions did.
        """
        images = self._images
        existing = self._named(as_before)
        if existing and "train" not in existing:
            raise wrong(self.path, "images whose split is train", "none")
        shares = self.val_share, self.test_share
        if not as_before and self._has_groups:
            together = fill_in_together(
                existing,
                images,
                connected(self._names, [line.group for line in self._lines]),
                *shares,
                split_seed,
                self.class_names,
                unit="groups of data.group_column" if self.group_column else "different images",
            )
            return {**together}
        return fill_in(
            {**existing},
            images,
            *shares,
            split_seed,
            self.class_names,
            every_class=self.every_class,
        )

    @functools.cached_property
    def _read(self) -> CSVLines:
        labels = self.label_column
        columns = Columns(
            self.path_column,
            [labels] if isinstance(labels, str) else labels,
            self.split_column,
            self.group_column,
        )
        return read_lines(self.path, columns)

    @property
    def _lines(self) -> list[CSVLine]:
        return self._read.lines

    @property
    def _has_groups(self) -> bool:
        """True if some images belong together: lines of one group, or of one image."""
        return self.group_column is not None or len(set(self._names)) < len(self._names)

    def _named(self, as_before: bool) -> Parts[ImageFiles]:
        """Return the splits that the file names."""
        named = np.array(self._splits(as_before), dtype=object)
        return {
            split: (self._images, indices)
            for split in SPLITS
            if len(indices := np.flatnonzero(named == split))
        }

    def _splits(self, as_before: bool) -> list[Split | None]:
        """Return the split that the file gives each line.

        Args:
            as_before: see :meth:`_drawn`.
        """
        kind = self._read.split
        if kind == "absent" and not as_before:
            otherwise = "set data.split_column=null to draw the splits"
            raise absent(self.path, str(self.split_column), self._read.columns, otherwise)
        if kind in {"absent", "none"} or (kind == "alike" and as_before):
            return [None] * len(self._lines)
        named = splits_named(sorted({line.split for line in self._lines}))
        for line in self._lines:
            if not line.split:
                raise wrong(self.path, "a split on every line", f"nothing on line {line.number}")
            if line.split not in named:
                raise wrong(
                    self.path,
                    f"one of {', '.join(SPLITS)} as split",
                    f"{line.split} on line {line.number}",
                )
        return [named.get(line.split) for line in self._lines]

    @functools.cached_property
    def _images(self) -> ImageFiles:
        labels = {name: label for label, name in enumerate(self.class_names)}
        files = CSVPaths(self.folder)
        paths = [files.find(line.path) for line in self._lines]
        folders: set[str] = set()
        missing: list[int] = []
        for position, path in enumerate(paths):
            if "\0" in path:
                missing.append(position)  # no file has such a name
                continue
            # Two system calls per file check that it exists and is no link: 2 microseconds.
            folder = os.path.dirname(path)  # noqa: PTH120
            if folder not in folders:
                require_inside(folder, self.folder, "data.file", _ELSEWHERE)
                folders.add(folder)
            if os.path.islink(path):  # noqa: PTH114
                require_inside(path, self.folder, "data.file", _ELSEWHERE)
            if not os.path.isfile(path):  # noqa: PTH113
                missing.append(position)
        if missing:
            line, more = self._lines[missing[0]], len(missing) - 1
            path = paths[missing[0]]
            found = f"{path}, which is no file, on line {line.number}"
            raise wrong(
                self.path,
                "paths of files",
                f"{found} and {more} more lines" if more else found,
                csv_notes.remedy_for_missing(path, self.path_column),
            )
        return ImageFiles(paths, [labels[line.label] for line in self._lines])

    @functools.cached_property
    def _names(self) -> list[str]:
        """The name of each line's image, the same for each line of an image."""
        return ImageNames(self.folder).repeating(self._images.paths)


class CSVFile(DatasetModule, dataset=CSVDataset):
    pass
