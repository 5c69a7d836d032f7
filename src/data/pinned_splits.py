"""Splits of an earlier training, by the names of its images.

A folder of images may change after a training. A split that is drawn again from another list moves
images of the old training set to the test split, so later commands use the recorded splits.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from src.data.image_names import ImageNames, shown
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import SPLITS, Parts
from src.errors import UsageError, one_line
from src.run import class_names
from src.run.split_record import SplitRecord

_LEAST_PRESENT = 0.5  # share of a split's images; below it, these are other images
_REMEDY = "put the folder back as it was, or train again"

Names = dict[str, list[str]]  # of the images of each split


def record_of(parts: Parts[LabelledImages], folder: Path, classes: Sequence[str]) -> SplitRecord:
    """Return the record of splits that have been drawn.

    Args:
        parts: the images of each split, and their positions.
        folder: folder of the data set, to which the names are relative.
        classes: the class names in label order.
    """
    names = {id(images): _names(images, folder) for images, _ in parts.values()}
    splits = {
        split: [names[id(images)][index] for index in indices.tolist()]
        for split, (images, indices) in parts.items()
    }
    return SplitRecord(list(classes), {split: splits[split] for split in SPLITS})


@dataclass
class PinnedSplits:
    """The recorded splits, to apply to the data set as it is now.

    Args:
        record: the splits of the training.
        strict: refuse other classes and other images; if False, use them as they are.
        takes_all: evaluate all images of another data set, not a part that is drawn.
        notes: lines for the user about the differences, once the splits are applied.
        is_applied: False if the images are others, which have splits of their own.
    """

    record: SplitRecord
    strict: bool = True
    takes_all: bool = False
    notes: list[str] = field(default_factory=list)
    is_applied: bool = field(init=False, default=True)
    _parts: Parts[LabelledImages] | None = field(init=False, default=None, repr=False)

    def applied(
        self, parts: Parts[LabelledImages], folder: Path | None, classes: Sequence[str]
    ) -> Parts[LabelledImages]:
        """Return the recorded splits, without images that were added since.

        They are found once: a data set lists its images once, and a million names take seconds.

        Args:
            parts: the splits as they are drawn now.
            folder: folder of the data set; None if its images cannot change.
            classes: the present class names in label order.

        Raises:
            UsageError: the classes are others, or more than half of a split's images are missing.
        """
        if folder is None:
            return parts
        if self._parts is None:
            self._parts = self._found(parts, folder, classes)
        return dict(self._parts)

    def _found(
        self, parts: Parts[LabelledImages], folder: Path, classes: Sequence[str]
    ) -> Parts[LabelledImages]:
        if self.strict:
            class_names.require_same(self.record.class_names, classes)
        recorded = ImageNames(folder).recorded(self.record.splits)
        now = record_of(parts, folder, classes).splits
        if now == recorded:
            return parts
        files = _files(parts, folder)
        for split, names in recorded.items():
            present = sum(name in files for name in names)
            if present and present >= _LEAST_PRESENT * len(names):
                continue
            if self.strict:
                raise UsageError(
                    "data",
                    expected=f"the {len(names)} {split} images of the training in {folder}",
                    found=f"{present} of them",
                    remedy=_REMEDY,
                )
            self.is_applied = False
            if self.takes_all and not any(each in files for each in chain(*recorded.values())):
                images, _ = parts["test"]
                everything = np.arange(len(images.targets))
                self.notes = [
                    one_line(f"{folder} has no image of the training: all {len(everything)} count")
                ]
                return {**parts, "val": (images, everything), "test": (images, everything)}
            self.notes = [
                one_line(f"{folder} does not hold the images of the training: its splits are new")
            ]
            return parts
        difference = _difference(recorded, now)
        self.notes = [f"the splits are those of the training: {difference}"] if difference else []
        return _selected(recorded, files)


def _names(images: LabelledImages, folder: Path) -> list[str]:
    return ImageNames(folder).of(_paths(images))


def _paths(images: LabelledImages) -> Sequence[str]:
    if isinstance(images, ImageFiles):
        return images.paths  # there may be a million
    return [images.name(index) for index in range(len(images.targets))]


def _files(parts: Parts[LabelledImages], folder: Path) -> dict[str, tuple[str, int]]:
    """Return the path and the label of every image of the data set, by its name."""
    sources = {id(images): images for images, _ in parts.values()}
    files: dict[str, tuple[str, int]] = {}
    for images in sources.values():
        places = zip(_paths(images), images.targets.tolist(), strict=True)
        files.update(zip(_names(images, folder), places, strict=True))
    return files


def _selected(recorded: Names, files: dict[str, tuple[str, int]]) -> Parts[LabelledImages]:
    """Return the recorded images that are there, in the order of the record."""
    names = [[name for name in recorded[split] if name in files] for split in SPLITS]
    found = [files[name] for part in names for name in part]
    images = ImageFiles([path for path, _ in found], (label for _, label in found))
    ends = np.cumsum([len(part) for part in names])[:-1]
    return {
        split: (images, positions)
        for split, positions in zip(SPLITS, np.split(np.arange(len(found)), ends), strict=True)
    }


def _difference(recorded: Names, now: Names) -> str:
    """Describe the images that were added, are missing or would move; empty without any."""
    before, after = ({*chain(*splits.values())} for splits in (recorded, now))
    added = [name for name in chain(*now.values()) if name not in before]
    missing = [name for name in chain(*recorded.values()) if name not in after]
    counts = (("newer images are left out", added), ("images are missing", missing))
    lines = [f"{len(names)} {text} ({_places(names)})" for text, names in counts if names]
    if lines:  # an image more can move many others, which says nothing
        return "; ".join(lines)
    moved = sum(len({*recorded[split]} - {*now[split]}) for split in SPLITS)
    return f"{moved} images would be in another one now" if moved else ""


def _places(names: Sequence[str]) -> str:
    """Name the folder with the most of these images, or the image if it is the only one."""
    if len(names) == 1:
        return one_line(shown(names[0]))
    folders = Counter(os.path.dirname(name) or "." for name in names)  # noqa: PTH120  # 1 million
    [(folder, count)] = folders.most_common(1)
    return f"{count} in {one_line(folder)}"
