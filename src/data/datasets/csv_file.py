"""The user's own images: a CSV file with a path and a label a line."""

from __future__ import annotations

import csv
import functools
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torchvision.transforms import v2

from src.data.classes import require_classes
from src.data.folder_walk import require_inside
from src.data.images import ImageDataModule
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import PictureFiles, require_readable
from src.data.pipeline.split import SPLITS, Parts, Split, fill_in, require_share, splits_named
from src.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ResizeRule
from src.errors import UsageError, describe
from src.system.paths import user_path


class _Line(NamedTuple):
    path: str
    label: str
    split: str  # "" where the file has no such column
    number: int  # of the line in the file


class CSVFile(ImageDataModule):
    """Images that a CSV file names, each with its label, and with its split where it has one.

    Class names are the labels, sorted, as numbers if all are whole numbers. Where no image is in
    ``val`` or ``test``, these are drawn from ``train`` by ``split_seed``, stratified; without a
    column for the split, all three are.

    Args:
        file: the CSV file, in UTF-8, with a line of the columns' names at its head.
        root: the folder that paths are relative to, and that they may not lead out of; that of
            the CSV file by default.
        path_column: the column with an image's path.
        label_column: the column with its class.
        split_column: the column with ``train``, ``val`` or ``test``, or what else people call
            them, as ``Validation``; it need not be there.
        val_share: part of the images to validate on where no split says so.
        test_share: part of the images to test on where no split says so.
        verify: decode every image before training starts, so that a broken one is named
            then and not in the middle of an epoch; by default where there are 10,000 images or
            fewer.
    """

    def __init__(
        self,
        file: str,
        root: str | None = None,
        path_column: str = "path",
        label_column: str = "label",
        split_column: str = "split",
        val_share: float = 0.1,
        test_share: float = 0.2,
        verify: bool | None = None,
        image_size: int = 224,
        batch_size: int = 32,
        num_workers: int | None = None,
        resize: ResizeRule = "crop",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(
            image_size, batch_size, num_workers, resize, mean, std, split_seed, **shared
        )
        self.file = user_path(file, "data.file")
        self.root = self.file.parent if root is None else user_path(root, "data.root")
        self.path_column = path_column
        self.label_column = label_column
        self.split_column = split_column
        self.val_share = require_share("data.val_share", val_share)
        self.test_share = require_share("data.test_share", test_share)
        self.verify = verify

    @functools.cached_property
    def class_names(self) -> list[str]:
        names = {line.label for line in self._lines}
        numbers = all(name.isdecimal() for name in names)
        return require_classes(
            f"data.{self.label_column}",
            sorted(names, key=(lambda name: (int(name), name)) if numbers else None),
        )

    def prepare_data(self) -> None:
        """Look at every image once, so that what is wrong is known before training.

        Raises:
            UsageError: a file is missing, leads out of the root or cannot be decoded.
        """
        self._splits()
        images = self._files(self._lines)
        if self.on_error == "raise":
            require_readable(images.paths, self.verify)

    def load(self) -> dict[Split, tuple[LabelledImages, NDArray[np.int64]]]:
        return dict(self._listed)

    def augmentation(self) -> v2.Transform:
        # The same as of a folder of images.
        return v2.Compose(
            [
                v2.RandomResizedCrop(self.preprocessing.image_size, scale=(0.35, 1.0)),
                v2.RandomHorizontalFlip(),
            ]
        )

    @functools.cached_property
    def _listed(self) -> Parts[PictureFiles]:
        images = self._files(self._lines)
        named = np.array(self._splits(), dtype=object)
        given: Parts[PictureFiles] = {
            split: (images, indices)
            for split in SPLITS
            if len(indices := np.flatnonzero(named == split))
        }
        if given and "train" not in given:
            raise self._wrong("images whose split is train", "none")
        return fill_in(
            given, images, self.val_share, self.test_share, self.split_seed, self.class_names
        )

    @functools.cached_property
    def _lines(self) -> list[_Line]:
        try:
            with self.file.open(newline="", encoding="utf-8-sig") as file:
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
                found = f"none on line {line.number}"
                raise self._wrong("a path and a label on every line", found)
            if has_split and not line.split:
                raise self._wrong("a split on every line", f"nothing on line {line.number}")
            yield line

    def _splits(self) -> list[Split | None]:
        """The split of each line."""
        named = splits_named(sorted({line.split for line in self._lines}))
        for line in self._lines:
            if line.split and line.split not in named:
                found = f"{line.split} on line {line.number}"
                raise self._wrong(f"one of {', '.join(SPLITS)} as split", found)
        return [named.get(line.split) for line in self._lines]

    def _files(self, lines: list[_Line]) -> PictureFiles:
        labels = {name: label for label, name in enumerate(self.class_names)}
        paths = [os.path.join(self.root, line.path) for line in lines]  # noqa: PTH118  # 100,000
        folders: set[str] = set()
        for path in paths:
            # A status each says that it is there and that it is no link: 2 microseconds.
            folder = os.path.dirname(path)  # noqa: PTH120
            if folder not in folders:
                require_inside(folder, self.root, "data.file")
                folders.add(folder)
            if os.path.islink(path):  # noqa: PTH114
                require_inside(path, self.root, "data.file")
            elif not os.path.isfile(path):  # noqa: PTH113
                raise self._wrong("paths of files", f"{path}, which is none")
        return PictureFiles(paths, [labels[line.label] for line in lines])

    def _wrong(self, expected: str, found: str) -> UsageError:
        return UsageError(
            f"data.file {self.file}",
            expected=expected,
            found=found,
            remedy="mend the file, or set data.file, data.root, data.path_column or the like",
        )
