"""Survey of a data set: classes, sizes, unreadable files and repeated images.

Images are read one after the other. About two dozen bytes per image are kept in memory.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.data.check.contact_sheet import ContactSheet
from src.data.images import ImageDataModule
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_file import REMARK, UnreadableImageError
from src.data.pipeline.split import SPLITS, Split
from src.data.pipeline.threads import in_order
from src.errors import describe
from src.system import os_errors

_IMAGES_PER_REPORT = 256
DARK = 16  # of 255: the largest level of 12 bits in a file of 16
_DIGEST = np.dtype("S16")


@dataclass(frozen=True)
class Extent:
    """Smallest, median and largest width or height of the images, in pixels."""

    least: int
    median: int
    largest: int


@dataclass(frozen=True)
class SplitSurvey:
    """Counts and sizes of one split.

    Args:
        images: number of images.
        per_class: number of images of each class, in label order.
        width: width of the readable images; None if there are none.
        height: height of the readable images; None if there are none.
    """

    images: int
    per_class: list[int]
    width: Extent | None
    height: Extent | None


@dataclass(frozen=True)
class Copy:
    """An image whose pixels occur more than once in the data set."""

    split: Split
    name: str
    class_name: str


@dataclass(frozen=True)
class Survey:
    """Results of the survey.

    Args:
        dataset: name of the data set.
        class_names: in label order.
        notes: lines on files that were passed over.
        splits: counts and sizes by split.
        unreadable: error messages by the name of the image.
        leaks: groups of copies in more than one split.
        repeated: groups of copies within one split.
        contradictions: groups of copies in more than one class.
        dark: names of images without a level above ``DARK``.
        remarks: names of images by what training does not take of their files.
    """

    dataset: str
    class_names: list[str]
    notes: list[str]
    splits: dict[Split, SplitSurvey]
    unreadable: dict[str, str]
    leaks: list[list[Copy]] = field(default_factory=list)
    repeated: list[list[Copy]] = field(default_factory=list)
    contradictions: list[list[Copy]] = field(default_factory=list)
    dark: list[str] = field(default_factory=list)
    remarks: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class _Readings:
    """Sizes and digests of the images of one split, in its order."""

    images: LabelledImages
    indices: NDArray[np.int64]
    sizes: NDArray[np.int64] = field(init=False)  # (n, 2): width, height; 0 if unreadable
    digests: NDArray[np.bytes_] = field(init=False)  # (n,), hash of the pixels

    def __post_init__(self) -> None:
        self.sizes = np.zeros((len(self.indices), 2), dtype=np.int64)
        self.digests = np.zeros(len(self.indices), dtype=_DIGEST)

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.images.targets[self.indices]

    @property
    def readable(self) -> NDArray[np.bool_]:
        return self.sizes[:, 0] > 0

    def name(self, position: int) -> str:
        return self.images.name(int(self.indices[position]))


def survey(
    data: ImageDataModule, sheet: ContactSheet, done: Callable[[str, int, int], None]
) -> Survey:
    """Read every image of a data set once.

    Two images are copies if they have the same pixels as RGB in 8 bits: under another name, in
    another lossless format, or with other metadata. A copy that was resized or compressed again
    is not detected.

    Args:
        data: the data set, with the splits of training.
        sheet: receives a few images of each class.
        done: called with the split, the number of images read of it, and their total.
    """
    parts = data.load()
    unreadable: dict[str, str] = {}
    dark: list[str] = []
    remarks: dict[str, list[str]] = {}
    readings: dict[Split, _Readings] = {}
    for split in SPLITS:
        part = readings[split] = _Readings(*parts[split])
        sheet.choose(split, part.labels)
        readings_of_images = _read_all(part, functools.partial(sheet.shown, split))
        for position, reading in enumerate(readings_of_images):
            if position % _IMAGES_PER_REPORT == 0:
                done(split, position, len(part.indices))
            if isinstance(reading, UnreadableImageError):
                unreadable[part.name(position)] = str(reading)
                continue
            part.sizes[position] = reading.size
            part.digests[position] = reading.digest
            if reading.is_dark:
                dark.append(part.name(position))
            if reading.remark is not None:
                remarks.setdefault(reading.remark, []).append(part.name(position))
            if reading.shown is not None:
                sheet.place(position, reading.shown)
    result = Survey(
        data.dataset_name,
        data.class_names,
        data.notes,
        {split: _described(part, len(data.class_names)) for split, part in readings.items()},
        unreadable,
        dark=dark,
        remarks=remarks,
    )
    _add_copies(result, readings)
    return result


@dataclass(frozen=True)
class _Reading:
    """Size and hash of an image, and its thumbnail if the contact sheet shows it."""

    size: tuple[int, int]  # width, height
    digest: bytes  # hash of the pixels
    is_dark: bool
    remark: str | None  # on the file
    shown: Image.Image | None  # on the contact sheet


def _read_all(
    part: _Readings, shown: Callable[[int, Image.Image], Image.Image | None]
) -> Iterator[_Reading | UnreadableImageError]:
    def read(position: int) -> _Reading | UnreadableImageError:
        try:
            image = part.images.image(int(part.indices[position]))
        except UnreadableImageError as error:
            return error
        except OSError as error:
            if error.errno not in os_errors.FAILING:
                raise
            # A bad sector costs one file, and the others are worth a look.
            place = part.name(position)
            return UnreadableImageError.of(place, describe(error), "restore it from a copy")
        is_dark = bool(np.asarray(image).max() <= DARK)
        remark = image.info.get(REMARK)
        return _Reading(image.size, _digest(image), is_dark, remark, shown(position, image))

    return in_order(read, range(len(part.indices)))


def _digest(image: Image.Image) -> bytes:
    pixel_hash = hashlib.blake2b(f"{image.size}".encode(), digest_size=_DIGEST.itemsize - 1)
    pixel_hash.update(image.tobytes())
    # numpy drops zero bytes at the end of its strings, so the last byte must not be zero.
    return pixel_hash.digest() + b"\x01"


def _described(part: _Readings, classes: int) -> SplitSurvey:
    sizes = part.sizes[part.readable]
    per_class = np.bincount(part.labels, minlength=classes).tolist()
    return SplitSurvey(len(part.indices), per_class, _extent(sizes[:, 0]), _extent(sizes[:, 1]))


def _extent(values: NDArray[np.int64]) -> Extent | None:
    if not len(values):
        return None
    return Extent(int(values.min()), int(np.median(values)), int(values.max()))


def _add_copies(result: Survey, readings: dict[Split, _Readings]) -> None:
    """Add the groups of images with the same pixels."""
    splits = [split for split, part in readings.items() for _ in part.indices]
    positions = np.concatenate([np.arange(len(part.indices)) for part in readings.values()])
    digests = np.concatenate([part.digests for part in readings.values()])
    readable = np.flatnonzero(np.concatenate([part.readable for part in readings.values()]))
    order = readable[np.argsort(digests[readable], kind="stable")]
    starts = np.flatnonzero(np.r_[True, digests[order][1:] != digests[order][:-1]])
    for group in np.split(order, starts[1:]):
        if len(group) < 2:  # noqa: PLR2004
            continue
        copies: list[Copy] = []
        for image in group.tolist():
            part, position = readings[splits[image]], int(positions[image])
            class_name = result.class_names[int(part.labels[position])]
            copies.append(Copy(splits[image], part.name(position), class_name))
        is_leak = len({copy.split for copy in copies}) > 1
        (result.leaks if is_leak else result.repeated).append(copies)
        if len({copy.class_name for copy in copies}) > 1:
            result.contradictions.append(copies)
