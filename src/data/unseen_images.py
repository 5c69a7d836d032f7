"""Images of another data set than that of a training, for an evaluation of its checkpoint.

Nothing is drawn. An evaluation takes the split that the data set names, or all images if it names
none. Images that the checkpoint was trained on would make its accuracy too high and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import numpy as np

from src.data.image_names import ImageNames, plain
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import EVALUATION_SPLITS, Parts, Split
from src.errors import UsageError, one_line

Names = Mapping[str, Sequence[str]]  # of the images of each split
Files = Mapping[str, tuple[str, int]]  # path and label of an image, by its name

# Splits of the training that an evaluation leaves out. Training stops and is compared by ``val``.
_SEEN: dict[Split, tuple[str, ...]] = {"val": ("train",), "test": ("train", "val")}
_KINDS: dict[Split, str] = {"val": "training images", "test": "training or validation images"}


def unseen(
    own: Names, files: Files, names: ImageNames, recorded: Names, evaluated: Split
) -> tuple[Parts[LabelledImages], str]:
    """Return what is evaluated, and a line that says so.

    ``val`` and ``test`` may have the same images. All images are in ``train``, which no evaluation
    uses.

    Args:
        own: names of all images by the splits that the data set names; ``train`` for none.
        files: the images of the data set.
        names: those of the data set's folder.
        recorded: names of the images of the training by their splits; empty if they are not known.
        evaluated: the split of the command.

    Raises:
        UsageError: no image is left.
    """
    images = ImageFiles(
        [path for path, _ in files.values()], (label for _, label in files.values())
    )
    positions = {name: position for position, name in enumerate(files)}
    parts: Parts[LabelledImages] = {"train": (images, np.arange(len(files)))}
    kept: dict[Split, list[str]] = {}
    for split in EVALUATION_SPLITS:
        seen = seen_by(recorded, split)
        kept[split] = [name for name in _candidates(own, split) if plain(name) not in seen]
        parts[split] = (images, np.array([positions[name] for name in kept[split]], dtype=np.int64))
    count = sum(1 for _ in _candidates(own, evaluated))
    return parts, _line(count, len(kept[evaluated]), own, names, recorded, evaluated)


def seen_by(recorded: Names, split: Split) -> set[str]:
    """Return the names of the images that a split must not have, without numbers."""
    return {plain(name) for part in _SEEN[split] for name in recorded[part]}


def _candidates(own: Names, split: Split) -> Iterable[str]:
    """Return the images of a split, or without one all images: to validate on, those not to test.

    Another data set has not been trained on, so its training images count.
    """
    if split in own:
        return own[split]
    left_out = "test" if split == "val" else None
    return chain.from_iterable(part for name, part in own.items() if name != left_out)


def _line(
    count: int, kept: int, own: Names, names: ImageNames, recorded: Names, evaluated: Split
) -> str:
    kind = _KINDS[evaluated]
    of_split = f" of its {evaluated} split" if evaluated in own else ""
    if not kept:
        raise UsageError(
            "data",
            expected="images that the checkpoint was not trained on",
            found=f"{count} in {names.folder}{of_split}, all of them "
            f"{'' if names.by_files else 'with the names of '}{kind}",
            remedy=f"name other images, or the data of the training for its own {evaluated} split",
        )
    if not any(recorded.values()):
        line = f"the training recorded no names of images: all {count}{of_split} count"
    elif kept == count:
        relation = "is one of the" if names.by_files else "has the name of one of the"
        line = f"no image {relation} {kind}: all {count}{of_split} count"
    else:
        relation = "are" if names.by_files else "have the names of"
        line = f"{count - kept} of {count} images{of_split} {relation} {kind} and are left out"
    return one_line(f"{names.folder}: {line}")
