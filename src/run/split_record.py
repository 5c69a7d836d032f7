"""The record of a training's splits: the classes, and the names of the images in each split.

It is a JSON file, compressed by gzip: a million images take a few megabytes. Names are relative to
the folder of the data set, so the data set may be moved.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.errors import UsageError, describe
from src.run import class_names
from src.run.folder import Run
from src.run.reading import invalid_file
from src.system import atomic_files

VERSION = 1
# ImageNet-21k has 14 million images with names of 30 characters.
_MOST_BYTES = 1 << 29  # of the uncompressed file
_MOST_NAMES = 1 << 24  # of images and classes together: each takes 57 bytes more than its text
_EXPECTED = "the splits that Lightship wrote"
_PIECE = 1 << 18  # bytes that are read at once
# msgspec decodes no lone surrogate.
_SURROGATE, _NO_SURROGATE = b"\\ud", b"\\u0"
_LEVEL = 3  # of gzip: names compress well at any level


@dataclass(frozen=True)
class SplitRecord:
    """The splits of a training.

    Args:
        class_names: in label order.
        splits: names of the images of ``train``, ``val`` and ``test``, in the order of each split.
    """

    class_names: list[str]
    splits: dict[str, list[str]]


class _Names(msgspec.Struct, forbid_unknown_fields=True):
    train: list[str]
    val: list[str]
    test: list[str]


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    schema_version: int
    class_names: list[str]
    splits: _Names


class _Version(msgspec.Struct):
    schema_version: int


def write(run: Run, record: SplitRecord) -> None:
    r"""Write the record of a run.

    A name that is not UTF-8 has lone surrogates, which JSON keeps as ``\udcff``.

    Raises:
        UsageError: there are more names than :func:`read` accepts.
    """
    content = json.dumps({"schema_version": VERSION, **vars(record)}).encode("ascii")
    if problem := _too_much(content):
        raise UsageError(
            "data",
            expected=f"names of images of up to {_MOST_BYTES >> 20} MiB, and {_MOST_NAMES} names",
            found=problem,
            remedy="train on fewer images, or shorten the names of their folders",
        )
    compressed = gzip.compress(content, _LEVEL, mtime=0)
    atomic_files.write_bytes(run.split_record, compressed)


def read(run: Run) -> SplitRecord | None:
    """Return the record of a run; None for a run without one.

    Older runs have none, nor have those of data sets that nobody adds images to.

    Raises:
        UsageError: the file is not one that :func:`write` wrote.
    """
    path = run.split_record
    if not path.is_file():
        return None
    try:
        content = _unpacked(path)
        if problem := _too_much(content):
            raise invalid_file(path, _EXPECTED, problem)
        plain = content.replace(_SURROGATE, _NO_SURROGATE) if _SURROGATE in content else content
        if msgspec.json.decode(plain, type=_Version).schema_version != VERSION:
            raise invalid_file(path, f"schema_version {VERSION}", "another")
        stored = msgspec.json.decode(plain, type=_Stored)
        if plain is not content:  # the types have been checked, which json does not do
            stored = msgspec.convert(json.loads(content), _Stored)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise invalid_file(path, _EXPECTED, describe(error)) from error
    if problem := class_names.first_problem(stored.class_names):
        raise invalid_file(path, class_names.EXPECTED, problem)
    return SplitRecord(stored.class_names, msgspec.structs.asdict(stored.splits))


def _too_much(content: bytes) -> str | None:
    """Describe the size of a text that would fill the memory; None for any other text."""
    if len(content) > _MOST_BYTES:
        return f"more than {_MOST_BYTES >> 20} MiB"
    texts = content.count(b'"') // 2
    return f"about {texts} names" if texts > _MOST_NAMES else None


def _unpacked(path: Path) -> bytes:
    """Return the content of a compressed file, or the first part of it that is too long."""
    pieces: list[bytes] = []
    size = 0
    with gzip.open(path) as file:
        while size <= _MOST_BYTES and (piece := file.read(_PIECE)):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)
