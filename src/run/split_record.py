"""The record of a training's splits: the classes, and the names of the images in each split.

It is a JSON file, compressed by gzip: a million images take a few megabytes. Names are relative to
the folder of the data set, so the data set may be moved.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from dataclasses import dataclass
from typing import TypeGuard

from src.errors import describe
from src.run import class_names
from src.run.folder import Run
from src.run.reading import invalid_file
from src.system import atomic_files

VERSION = 1
_MOST_BYTES = 1 << 29  # of the uncompressed file: 10 million images with names of 50 characters
_EXPECTED = "the splits that Lightship wrote"
_SPLITS = {"train", "val", "test"}
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


def write(run: Run, record: SplitRecord) -> None:
    r"""Write the record of a run.

    A name that is not UTF-8 has lone surrogates, which JSON keeps as ``\udcff``.
    """
    content = json.dumps({"schema_version": VERSION, **vars(record)}).encode("ascii")
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
        with gzip.open(path) as file:
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise invalid_file(path, _EXPECTED, f"more than {_MOST_BYTES >> 20} MiB")
        values = json.load(io.BytesIO(content))
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as error:
        raise invalid_file(path, _EXPECTED, describe(error)) from error
    if not isinstance(values, dict) or values.pop("schema_version", None) != VERSION:
        raise invalid_file(path, f"schema_version {VERSION}", "another")
    classes, splits = values.get("class_names"), values.get("splits")
    if not _is_text(classes) or not isinstance(splits, dict) or splits.keys() != _SPLITS:
        raise invalid_file(path, _EXPECTED, "other values")
    if not all(_is_text(names) for names in splits.values()):
        raise invalid_file(path, _EXPECTED, "other values")
    if problem := class_names.first_problem(classes):
        raise invalid_file(path, class_names.EXPECTED, problem)
    return SplitRecord(classes, splits)


def _is_text(names: object) -> TypeGuard[list[str]]:
    return isinstance(names, list) and all(isinstance(name, str) for name in names)
