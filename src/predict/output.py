"""Predictions into a file, one after the other as they come: CSV or JSON by its name."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from src.errors import UsageError, printable
from src.predict.growing_file import GrowingFile
from src.predict.stage import Prediction
from src.system.quoting import csv_cell


class Writer(Protocol):
    """Takes one prediction after the other."""

    def __call__(self, prediction: Prediction) -> None: ...


@contextlib.contextmanager
def open_writer(path: Path, class_names: Sequence[str], top: int) -> Iterator[Writer]:
    """Write to ``path``, where each prediction is as soon as it was given.

    A file that was there before stays until the first one. From then on it can be read however
    this process ends: a CSV file has whole lines, and a JSON file its last bracket.

    Raises:
        UsageError: it cannot be written.
        OSError: it no longer can, with ``path`` as its file. What was written before is there.
    """
    kind, end = (_csv, "") if path.suffix == ".csv" else (_json, "\n]\n")
    try:
        growing = GrowingFile(path)
    except OSError as error:
        raise UsageError(
            "output",
            expected="a file that can be written",
            found=f"{path} ({error.strerror})",
            remedy="name another, or change the permissions",
        ) from error
    with contextlib.closing(growing) as file:
        text = io.StringIO(newline="")
        with kind(text, class_names, min(top, len(class_names))) as write:

            def written(prediction: Prediction) -> None:
                write(prediction)
                file.append(_drained(text), _bytes(end))

            yield written
        if not file.has_content:  # no images, and nothing went wrong
            file.append(_drained(text), b"[]\n" if end else b"")


def _drained(text: io.StringIO) -> bytes:
    content = text.getvalue()
    text.seek(0)
    text.truncate()
    return _bytes(content)


def _bytes(text: str) -> bytes:
    # The name of a file may be no UTF-8: what of it is none stands as an escape.
    return text.encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def _csv(file: IO[str], class_names: Sequence[str], top: int) -> Iterator[Writer]:
    """A line an image: its path, ``top`` classes each with its probability, what was wrong."""
    lines = csv.writer(file, lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    heads = [f"{name}{rank}" for rank in ranks for name in ("predicted", "probability")]
    lines.writerow(["image", *heads, "error"])

    def write(prediction: Prediction) -> None:
        cells = [cell for pair in prediction.top(class_names, top) for cell in pair]
        blank = [""] * (len(heads) - len(cells))
        row = [_path(prediction.path), *cells, *blank, str(prediction.problem or "")]
        lines.writerow(csv_cell(each) if isinstance(each, str) else each for each in row)

    yield write


def _path(path: Path) -> str:
    """A path that stays one in a spreadsheet: with ``./`` where it begins as a formula does."""
    text = printable(path)
    return text if csv_cell(text) == text else f"./{text}"


@contextlib.contextmanager
def _json(file: IO[str], class_names: Sequence[str], top: int) -> Iterator[Writer]:
    """A list with an object an image: ``image``, ``top``, ``error``; without its last bracket."""
    separator = "[\n"

    def write(prediction: Prediction) -> None:
        nonlocal separator
        named = [
            {"class": name, "probability": probability}
            for name, probability in prediction.top(class_names, top)
        ]
        error = str(prediction.problem) if prediction.problem else None
        file.write(separator)
        json.dump({"image": printable(prediction.path), "top": named, "error": error}, file)
        separator = ",\n"

    yield write
