"""Predictions into a file, one after the other as they come: CSV or JSON by its name."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol

from src import files
from src.errors import printable
from src.predict.stage import Prediction
from src.quoting import csv_cell


class Writer(Protocol):
    """Takes one prediction after the other."""

    def __call__(self, prediction: Prediction) -> None: ...


@contextlib.contextmanager
def open_writer(path: Path, class_names: Sequence[str], top: int) -> Iterator[Writer]:
    """Write to ``path``, which appears when the block ends well."""
    kind = _csv if path.suffix == ".csv" else _json
    with files.whole_file(path) as binary:
        text = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
        with kind(text, class_names, min(top, len(class_names))) as writer:
            yield writer
        text.detach()


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
    """A list with an object an image: ``image``, ``top``, ``error``."""
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
    file.write("[]\n" if separator == "[\n" else "\n]\n")
