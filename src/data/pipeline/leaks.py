"""Image files that are in more than one split, as another name, a link or a copy of one file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import FEW, ImageFiles
from src.data.pipeline.split import SPLITS, Parts, Split
from src.data.pipeline.threads import in_order
from src.errors import one_line

_Keys = dict[str, str]  # the path of a file by its folder and name, or by its content


def leak_notes(parts: Parts[LabelledImages], *, reads: bool = True) -> list[str]:
    """Return a line for each two splits with files in common: accuracy there is too high.

    Linked folders are found at any size. In a data set of few files a copy of a file counts as
    well, byte for byte, and so does a link to it. Copies with other bytes are found by the survey
    of :mod:`src.data.check`, which decodes all images.

    Args:
        parts: the splits; those of a data set in memory are passed over.
        reads: files may be read before training; else only linked folders are found.
    """
    files: dict[Split, list[str]] = {}
    for split in SPLITS:
        images, indices = parts[split]
        if isinstance(images, ImageFiles):
            files[split] = [images.paths[index] for index in indices.tolist()]
    if len(files) < 2:  # noqa: PLR2004  # nothing to share
        return []
    few = reads and sum(map(len, files.values())) <= FEW
    keys = _by_content(files) if few else {split: _by_name(files[split]) for split in files}
    return [
        one_line(note)
        for first, second in combinations(files, 2)
        for note in _note(first, keys[first], second, keys[second], len(files[second]))
    ]


def _note(
    first: Split, in_first: _Keys, second: Split, in_second: _Keys, images: int
) -> Iterator[str]:
    # A CSV file that gives one path several splits has a line of its own.
    shared = [key for key in in_second if in_first.get(key, in_second[key]) != in_second[key]]
    if shared:
        yield (
            f"{len(shared)} of {images} images of {second} are in {first} too, such as "
            f"{in_second[shared[0]]} and {in_first[shared[0]]}: accuracy in {second} is too high; "
            "python -m src.data lists all"
        )


def _by_name(paths: list[str]) -> _Keys:
    """Return the paths by their names in the real folders."""
    real: dict[str, str] = {}
    keys: _Keys = {}
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in real:
            real[folder] = os.path.realpath(folder)
        keys[os.path.join(real[folder], name)] = path  # noqa: PTH118  # there may be 100,000
    return keys


def _by_content(files: Mapping[Split, list[str]]) -> dict[Split, _Keys]:
    """Return the paths by the hash of their content, of files that can be the same as others.

    These are files of a size that several splits have. Others are not read.
    """
    splits_by_size: dict[int, set[Split]] = {}
    every = [path for paths in files.values() for path in paths]
    sizes = dict(zip(every, in_order(_size, every), strict=True))
    for split, paths in files.items():
        for path in paths:
            splits_by_size.setdefault(sizes[path], set()).add(split)
    keys: dict[Split, _Keys] = {}
    for split, paths in files.items():
        alike = [path for path in paths if sizes[path] and len(splits_by_size[sizes[path]]) > 1]
        hashes = zip(in_order(_hash, alike), alike, strict=True)
        keys[split] = {content: path for content, path in hashes if content}
    return keys


def _size(path: str) -> int:
    """Return the size of a file; 0 where it cannot be read, which its first use reports."""
    try:
        return os.stat(path).st_size  # noqa: PTH116  # Path() costs as much again
    except OSError:
        return 0


def _hash(path: str) -> str:
    """Return the hash of a file's content; "" where it cannot be read: see :func:`_size`."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()
    except OSError:
        return ""
