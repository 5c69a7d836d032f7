"""Looks at every image of a data set once: classes, sizes, what is broken and what is there twice.

Pictures are read one after the other and forgotten; of each, two dozen bytes are kept.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.data.check.contact_sheet import ContactSheet
from src.data.images import ImageDataModule
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_file import UnreadableImageError
from src.data.pipeline.split import SPLITS, Split
from src.data.pipeline.threads import in_order

_TOLD_EVERY = 256  # pictures
_DIGEST = np.dtype("S16")


@dataclass
class _Seen:
    """Of one split, in its order."""

    images: LabelledImages
    indices: NDArray[np.int64]
    sizes: NDArray[np.int64] = field(init=False)  # (n, 2): width, height; 0 where it is broken
    digests: NDArray[np.bytes_] = field(init=False)  # (n,), of the pixels

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
) -> dict[str, Any]:
    """What there is to know before training, as plain values.

    Two pictures are the same if their pixels are, as RGB in 8 bits: a copy under another name, in
    another lossless format or with other metadata. One that was scaled or compressed again is not
    found.

    Args:
        data: the data set; nothing of it is downloaded twice, and nothing is split otherwise than
            in training.
        sheet: gets a few pictures of each class.
        done: told the split, how many of its images are done and how many there are.

    Returns:
        ``classes``; ``notes``, lines on what was passed over; ``splits``, for each ``images``,
        ``per_class``, and ``width`` and ``height`` as least, median and largest; ``unreadable``,
        errors by name; ``leaks``, groups of names of the same picture in more than one split, each
        with its split; ``repeated``, the same within one split; ``contradictions``, the same
        picture under two classes.
    """
    parts = data.load()
    unreadable: dict[str, str] = {}
    seen: dict[Split, _Seen] = {}
    for split in SPLITS:
        part = seen[split] = _Seen(*parts[split])
        sheet.choose(split, part.labels)
        looks = _looks(part, functools.partial(sheet.shown, split))
        for position, look in enumerate(looks):
            if position % _TOLD_EVERY == 0:
                done(split, position, len(part.indices))
            if isinstance(look, UnreadableImageError):
                unreadable[part.name(position)] = str(look)
                continue
            part.sizes[position] = look.size
            part.digests[position] = look.digest
            if look.shown is not None:
                sheet.place(position, look.shown)
    return {
        "dataset": data.dataset_name,
        "classes": data.class_names,
        "notes": data.notes,
        "splits": {split: _described(part, len(data.class_names)) for split, part in seen.items()},
        "unreadable": unreadable,
        **_same(seen, data.class_names),
    }


@dataclass(frozen=True)
class _Look:
    """What is kept of a picture."""

    size: tuple[int, int]  # width, height
    digest: bytes  # of the pixels
    shown: Image.Image | None  # on the contact sheet


def _looks(
    part: _Seen, shown: Callable[[int, Image.Image], Image.Image | None]
) -> Iterator[_Look | UnreadableImageError]:
    def look(position: int) -> _Look | UnreadableImageError:
        try:
            picture = part.images.image(int(part.indices[position]))
        except UnreadableImageError as error:
            return error
        return _Look(picture.size, _digest(picture), shown(position, picture))

    return in_order(look, range(len(part.indices)))


def _digest(picture: Image.Image) -> bytes:
    told = hashlib.blake2b(f"{picture.size}".encode(), digest_size=_DIGEST.itemsize - 1)
    told.update(picture.tobytes())
    # numpy drops zero bytes from the end of its strings, so that the last one is none.
    return told.digest() + b"\x01"


def _described(part: _Seen, classes: int) -> dict[str, Any]:
    sizes = part.sizes[part.readable]
    return {
        "images": len(part.indices),
        "per_class": np.bincount(part.labels, minlength=classes).tolist(),
        **{side: _range(sizes[:, axis]) for axis, side in enumerate(("width", "height"))},
    }


def _range(values: NDArray[np.int64]) -> list[int] | None:
    if not len(values):
        return None
    return [int(values.min()), int(np.median(values)), int(values.max())]


def _same(seen: dict[Split, _Seen], classes: list[str]) -> dict[str, Any]:
    """Groups of pictures with the same pixels, by what is wrong with them."""
    splits = [split for split, part in seen.items() for _ in part.indices]
    positions = np.concatenate([np.arange(len(part.indices)) for part in seen.values()])
    digests = np.concatenate([part.digests for part in seen.values()])
    readable = np.flatnonzero(np.concatenate([part.readable for part in seen.values()]))
    order = readable[np.argsort(digests[readable], kind="stable")]
    starts = np.flatnonzero(np.r_[True, digests[order][1:] != digests[order][:-1]])
    found: dict[str, Any] = {"leaks": [], "repeated": [], "contradictions": []}
    for group in np.split(order, starts[1:]):
        if len(group) < 2:  # noqa: PLR2004
            continue
        members = []
        for each in group.tolist():
            part = seen[splits[each]]
            at = int(positions[each])
            members.append(
                {
                    "split": splits[each],
                    "name": part.name(at),
                    "class": classes[int(part.labels[at])],
                }
            )
        several = len({member["split"] for member in members}) > 1
        found["leaks" if several else "repeated"].append(members)
        if len({member["class"] for member in members}) > 1:
            found["contradictions"].append(members)
    return found
