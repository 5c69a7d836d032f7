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

from src.data.dataset import Dataset
from src.data.image_names import ImageNames, plain, shown
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import SPLITS, Parts, Split
from src.data.unseen_images import Files, Names, seen_by, unseen
from src.errors import UsageError, one_line
from src.run import class_names
from src.run.split_record import SplitRecord

_LEAST_PRESENT = 0.5  # share of a split's images; below it, these are other images
_REMEDY = "put the folder back as it was, or train again"


def record_of(parts: Parts[LabelledImages], folder: Path, classes: Sequence[str]) -> SplitRecord:
    """Return the record of splits that have been drawn.

    Args:
        parts: the images of each split, and their positions.
        folder: folder of the data set, to which the names are relative.
        classes: the class names in label order.
    """
    splits = _names_by_split(parts, ImageNames(folder))
    return SplitRecord(list(classes), {split: splits[split] for split in SPLITS})


@dataclass
class PinnedSplits:
    """The recorded splits, to apply to the data set as it is now.

    Args:
        record: the splits of the training.
        strict: refuse other classes and other images; if False, use them as they are.
        evaluated: the split of an evaluation, which takes all images of another data set that were
            not trained on; None for a training, which draws splits.
        trained_in: folder that the recorded names are relative to, if the images may be in another.
        notes: lines for the user about the differences, once the splits are applied.
        is_applied: False if the images are others, which have splits of their own.
    """

    record: SplitRecord
    strict: bool = True
    evaluated: Split | None = None
    trained_in: Path | None = None
    notes: list[str] = field(default_factory=list)
    is_applied: bool = field(init=False, default=True)
    _parts: Parts[LabelledImages] | None = field(init=False, default=None, repr=False)

    def applied(self, source: Dataset, split_seed: int) -> Parts[LabelledImages]:
        """Return the recorded splits, without images that were added since.

        They are found once: a data set lists its images once, and a million names take seconds.

        Args:
            source: the data set as it is now.
            split_seed: seed of the splits that are drawn now.

        Raises:
            UsageError: the classes are others, more than half of a split's images are missing, or
                an evaluation has no image that was not trained on.
        """
        folder = source.own_folder
        if folder is None:
            return source.load(split_seed)  # its images cannot change
        if self._parts is None:
            if self.strict:
                class_names.require_same(self.record.class_names, source.class_names)
            names = ImageNames(folder, self.trained_in)
            find = self._of_training if self.evaluated is None else self._of_evaluation
            self._parts = find(source, split_seed, names, names.recorded(self.record.splits))
        return dict(self._parts)

    def _of_training(
        self, source: Dataset, split_seed: int, names: ImageNames, recorded: Names
    ) -> Parts[LabelledImages]:
        parts = source.load(split_seed)
        now = _names_by_split(parts, names)
        if now == recorded:
            return parts
        files = _files(parts, names)
        split = _lacking(recorded, files)
        if split is None:
            self._describe(recorded, files, now)
            return _selected(recorded, files)
        if self.strict:
            raise UsageError(
                "data",
                expected=f"the {len(recorded[split])} {split} images of the training in "
                f"{names.folder}",
                found=f"{_present(recorded[split], files)} of them",
                remedy=_REMEDY,
            )
        self.is_applied = False
        note = f"{names.folder} does not hold the images of the training: its splits are new"
        seen = seen_by(recorded, "test")
        if repeated := sum(plain(name) in seen for name in now["test"]):
            note += (
                f", and {repeated} of its {len(now['test'])} test images were among those that "
                "the checkpoint was trained or validated on"
            )
        self.notes = [one_line(note)]
        return parts

    def _of_evaluation(
        self, source: Dataset, split_seed: int, names: ImageNames, recorded: Names
    ) -> Parts[LabelledImages]:
        own = source.named_splits() or source.load(split_seed)
        files = _files(own, names)
        split = self.evaluated or "test"
        if _lacking(recorded, files) is not None:
            self.is_applied = False
            source.every_class = source.is_new_training = True  # by the rules of a new data set
            own = source.named_splits() or own
            parts, line = unseen(_names_by_split(own, names), files, names, recorded, split)
            self.notes = [line]
            return parts
        try:
            drawn = source.load(split_seed)
        except UsageError:  # too few images are left to draw splits, which are not needed
            drawn = own
        self._describe(recorded, files, _names_by_split(drawn, names))
        parts = _selected(recorded, files)
        if not names.by_files:
            count = len(parts[split][1])
            line = "its images are taken for those of the training by their names"
            self.notes.append(one_line(f"{names.folder}: {line}: {count} of {len(files)} count"))
        return parts

    def _describe(self, recorded: Names, files: Files, now: Names) -> None:
        difference = _difference(recorded, files, now)
        self.notes = [f"the splits are those of the training: {difference}"] if difference else []


def _names_by_split(parts: Parts[LabelledImages], names: ImageNames) -> dict[str, list[str]]:
    """Return the names of the images of each split, in their order."""
    by_source = {id(images): names.of(_paths(images)) for images, _ in parts.values()}
    return {
        split: [by_source[id(images)][index] for index in indices.tolist()]
        for split, (images, indices) in parts.items()
    }


def _paths(images: LabelledImages) -> Sequence[str]:
    if isinstance(images, ImageFiles):
        return images.paths  # there may be a million
    return [images.name(index) for index in range(len(images.targets))]


def _files(parts: Parts[LabelledImages], names: ImageNames) -> Files:
    """Return the path and the label of every image of the data set, by its name."""
    sources = {id(images): images for images, _ in parts.values()}
    files: dict[str, tuple[str, int]] = {}
    for images in sources.values():
        paths = _paths(images)
        files.update(
            zip(names.of(paths), zip(paths, images.targets.tolist(), strict=True), strict=True)
        )
    return files


def _present(names: Sequence[str], files: Files) -> int:
    return sum(name in files for name in names)


def _lacking(recorded: Names, files: Files) -> str | None:
    """Return the first split that has too few of its images to be that of the training."""
    for split, names in recorded.items():
        present = _present(names, files)
        if not present or present < _LEAST_PRESENT * len(names):
            return split
    return None


def _selected(recorded: Names, files: Files) -> Parts[LabelledImages]:
    """Return the recorded images that are there, in the order of the record."""
    names = [[name for name in recorded[split] if name in files] for split in SPLITS]
    found = [files[name] for part in names for name in part]
    images = ImageFiles([path for path, _ in found], (label for _, label in found))
    ends = np.cumsum([len(part) for part in names])[:-1]
    return {
        split: (images, positions)
        for split, positions in zip(SPLITS, np.split(np.arange(len(found)), ends), strict=True)
    }


def _difference(recorded: Names, files: Files, now: Names) -> str:
    """Describe the images that were added, are missing or would move; empty without any."""
    before = {*chain(*recorded.values())}
    added = [name for name in files if name not in before]
    missing = [name for name in chain(*recorded.values()) if name not in files]
    counts = (("newer images are left out", added), ("images are missing", missing))
    lines = [f"{len(names)} {text} ({_places(names)})" for text, names in counts if names]
    if lines:  # an image more can move many others, which says nothing
        return "; ".join(lines)
    moved = sum(len({*recorded[split]} - {*now.get(split, recorded[split])}) for split in SPLITS)
    return f"{moved} images would be in another one now" if moved else ""


def _places(names: Sequence[str]) -> str:
    """Name the folder with the most of these images, or the image if it is the only one."""
    if len(names) == 1:
        return one_line(shown(names[0]))
    folders = Counter(os.path.dirname(name) or "." for name in names)  # noqa: PTH120  # 1 million
    [(folder, count)] = folders.most_common(1)
    return f"{count} in {one_line(folder)}"
