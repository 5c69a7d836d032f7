"""Writers of predictions into a CSV or JSON file, by its suffix, as soon as each is known."""

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
    """A function that writes one prediction."""

    def __call__(self, prediction: Prediction) -> None: ...


@contextlib.contextmanager
def open_writer(path: Path, class_names: Sequence[str], top: int) -> Iterator[Writer]:
    """Open a file of predictions, and yield the function that appends one to it.

    An existing file keeps its content until the first prediction. From then on the file can be
    read even if this process is killed: a CSV file has whole lines, and a JSON file its closing
    bracket.

    Args:
        path: of the file, which ends with .csv or .json.
        class_names: K, in label order.
        top: number of classes to write for each image.

    Raises:
        UsageError: the file cannot be opened for writing.
        OSError: writing failed later, with ``path`` as its filename. The predictions before are
            in the file.
    """
    layout, end = (_csv, "") if path.suffix == ".csv" else (_json, "\n]\n")
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
        with layout(text, class_names, min(top, len(class_names))) as write:

            def append(prediction: Prediction) -> None:
                write(prediction)
                file.append(_take(text), _bytes(end))

            yield append
        if not file.has_content:  # there were no images, and no error
            file.append(_take(text), b"[]\n" if end else b"")


def _take(text: io.StringIO) -> bytes:
    """Return the content of a buffer as bytes, and empty the buffer."""
    content = text.getvalue()
    text.seek(0)
    text.truncate()
    return _bytes(content)


def _bytes(text: str) -> bytes:
    # A file name need not be UTF-8: bytes that are not are written as escapes.
    return text.encode("utf-8", "backslashreplace")


@contextlib.contextmanager
def _csv(file: IO[str], class_names: Sequence[str], top: int) -> Iterator[Writer]:
    """Yield a writer of one line per image: path, ``top`` classes with probabilities, error."""
    lines = csv.writer(file, lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, top + 1))]
    heads = [f"{name}{rank}" for rank in ranks for name in ("predicted", "probability")]
    lines.writerow(["image", *heads, "error"])

    def write(prediction: Prediction) -> None:
        cells = [cell for pair in prediction.top(class_names, top) for cell in pair]
        blank = [""] * (len(heads) - len(cells))
        row = [_path(prediction.path), *cells, *blank, str(prediction.problem or "")]
        lines.writerow(csv_cell(cell) if isinstance(cell, str) else cell for cell in row)

    yield write


def _path(path: Path) -> str:
    """Return a path as a cell: ``./`` is put before one that a spreadsheet reads as a formula."""
    text = printable(path)
    return text if csv_cell(text) == text else f"./{text}"


@contextlib.contextmanager
def _json(file: IO[str], class_names: Sequence[str], top: int) -> Iterator[Writer]:
    """Yield a writer of one object per image: ``image``, ``top``, ``error``.

    It opens the list, and leaves out the closing bracket.
    """
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
