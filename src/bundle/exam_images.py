"""The choice of the test images of an exam."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.data.pipeline import encoded
from src.data.pipeline.encoded import ImagesOfSplit
from src.data.stratified import stratified

MOST_BYTES = 64_000_000  # of all image files, unless the first one is larger
_LARGE_BYTES = 8_000_000  # from here on, a PNG may be smaller than the file
# Kinds that every Pillow decodes. Others become PNG, with the same pixels.
_KEPT = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png"}


@dataclass(frozen=True)
class ExamImages:
    """Image files of the test split."""

    contents: list[bytes]
    names: list[str]  # file names
    labels: NDArray[np.int64]  # (n,)
    positions: list[int]  # in the split
    available: int  # images of the split

    @property
    def sha256(self) -> str:
        """Hash of the images and labels in the order of the split, not of the exam."""
        digest = hashlib.sha256()
        images = zip(self.positions, self.contents, self.labels.tolist(), strict=True)
        for _, content, label in sorted(images, key=lambda image: image[0]):
            digest.update(f"{hashlib.sha256(content).hexdigest()} {label}\n".encode())
        return digest.hexdigest()


def chosen(test: ImagesOfSplit, count: int) -> ExamImages:
    """Return ``count`` images of the test split, the same each time, by class in proportion.

    The first of them have the classes in proportion too, for an exam may end after a few.

    They are fewer where the split has fewer, or where they would take more than ``MOST_BYTES``.

    Raises:
        UnreadableImageError: an image cannot be decoded any more.
    """
    labels = np.asarray(test.images.targets[test.indices], np.int64)
    kept: dict[int, tuple[bytes, str]] = {}
    total = 0
    for position in stratified(labels)[:count].tolist():
        content, ending = _file(test, position)
        total += len(content)
        if kept and total > MOST_BYTES:
            break
        kept[position] = (content, ending)
    positions = list(kept)
    return ExamImages(
        contents=[kept[position][0] for position in positions],
        names=[f"{number:03}.{kept[position][1]}" for number, position in enumerate(positions)],
        labels=labels[positions],
        positions=positions,
        available=len(labels),
    )


def _file(test: ImagesOfSplit, position: int) -> tuple[bytes, str]:
    """Return an image's file, or a PNG of its pixels, and the ending of its name."""
    content = encoded.content_of(test, position)
    ending = _KEPT.get(encoded.kind_of(content))
    if ending is not None and len(content) < _LARGE_BYTES:
        return content, ending
    file = io.BytesIO()
    test.images.image(int(test.indices[position])).convert("RGB").save(file, "PNG")
    png = file.getvalue()
    is_kept = ending is not None and len(content) <= len(png)
    return (content, ending) if is_kept and ending else (png, "png")
