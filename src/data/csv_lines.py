"""Lines of a CSV file of images, as spreadsheets and scripts write them.

The separator may be a comma, a semicolon, a tab or a vertical bar: spreadsheets write the semicolon
where the comma is the decimal sign. Spreadsheets also write a mark at the start of the file,
UTF-16, a first line ``sep=;``, and empty lines at the end.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from src.data.pipeline.split import splits_named
from src.errors import UsageError, describe
from src.system import quoting

if TYPE_CHECKING:
    from _csv import Reader

SPLIT = "split"  # the column that a file need not have

_SEPARATORS = ",;\t|"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # first bytes of .xlsx and .ods, and of .xls
_MOST_SHOWN = 10  # columns in a message
_MOST_SPLITS = 4  # different values of a column of splits
# Usual names of the columns, in lower case, the likeliest first.
_USUAL = {
    "path": "image_path filepath file_path filename file_name image file img_path image_name img "
    "image_id id_code id",
    "label": "class class_name labels target category species breed diagnosis label_name y",
}


class CSVLine(NamedTuple):
    """One image in a CSV file."""

    path: str
    label: str
    split: str  # empty if the file has no such column
    group: str  # empty if it has no such column, or no value there
    number: int  # of the line in the file


@dataclass(frozen=True)
class Columns:
    """Names of the columns.

    Args:
        path: column with the path of an image.
        label: column with its class.
        split: column with its split; the file need not have the column ``split``.
        group: column with its group; None for no groups.
    """

    path: str
    label: str
    split: str
    group: str | None


@dataclass
class CSVLines:
    """The lines of a file, and the columns that have names of splits but are not read."""

    lines: list[CSVLine] = field(default_factory=list)
    other_splits: list[str] = field(default_factory=list)


def read_lines(path: Path, columns: Columns) -> CSVLines:
    """Read a CSV file.

    The names of columns count in any case if only one fits. Spaces around a value do not count.

    Raises:
        UsageError: it is no such file, or a line is incomplete.
    """
    try:
        content = path.read_bytes()
        if content.startswith(_WORKBOOKS):
            raise wrong(
                path, "a CSV file in UTF-8", "a workbook", "save it as CSV UTF-8 by its program"
            )
        is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
        return _Reader(path, columns, text).read()
    except UnicodeDecodeError as error:
        remedy = "save it in UTF-8, which spreadsheets call CSV UTF-8"
        raise wrong(path, "a CSV file in UTF-8", describe(error), remedy) from error
    except (OSError, csv.Error) as error:
        raise wrong(path, "a CSV file in UTF-8", describe(error)) from error


def wrong(path: Path, expected: str, found: str, remedy: str | None = None) -> UsageError:
    """Return the error about a CSV file."""
    return UsageError(
        f"data.file {path}",
        expected=expected,
        found=found,
        remedy=remedy or "mend the file, or set data.file, data.root, data.path_column or the like",
    )


class _Reader:
    """Reads the text of one file."""

    def __init__(self, path: Path, columns: Columns, text: str) -> None:
        self._path = path
        self._columns = columns
        is_marked = text[:4].lower() == "sep=" and text[5:6] in {"\r", "\n"}
        separator = text[4] if is_marked else self._separator(text)
        self._rows = _rows(text, separator)
        if is_marked:
            next(self._rows)
        self._names = [name.strip() for name in next(self._rows, [])]

    def read(self) -> CSVLines:
        """Read all lines.

        Raises:
            UsageError: a column is missing, or a line is incomplete.
        """
        path, label = self._required()
        split = self._optional(self._columns.split, is_needed=self._columns.split != SPLIT)
        group = self._optional(self._columns.group, is_needed=True)
        used = {path, label, split, group}
        values: dict[int, set[str]] = {
            position: set() for position in range(len(self._names)) if position not in used
        }
        result = CSVLines()
        for row in self._rows:
            fields = [value.strip() for value in row]
            if not any(fields):
                continue  # spreadsheets write empty lines at the end
            number = self._rows.line_num
            if any(fields[len(self._names) :]):
                raise wrong(
                    self._path,
                    f"{len(self._names)} values on every line, as in the first one",
                    f"{len(fields)} on line {number}",
                    "put a value that contains the separator in quotes",
                )
            fields += [""] * (len(self._names) - len(fields))
            line = CSVLine(
                fields[path],
                fields[label],
                "" if split is None else fields[split],
                "" if group is None else fields[group],
                number,
            )
            if not line.path or not line.label:
                raise wrong(
                    self._path, "a path and a label on every line", f"none on line {number}"
                )
            if split is not None and not line.split:
                raise wrong(self._path, "a split on every line", f"nothing on line {number}")
            result.lines.append(line)
            for position in list(values):
                values[position].add(fields[position])
                if len(values[position]) > _MOST_SPLITS:
                    del values[position]
        if split is None:
            result.other_splits = [
                self._names[position]
                for position, found in values.items()
                if len(set(splits_named(found).values())) > 1 and set(splits_named(found)) == found
            ]
        return result

    def _separator(self, text: str) -> str:
        """Return the separator with which the first line has the columns, or else most names."""
        needed = (self._columns.path, self._columns.label)
        most, counts = _SEPARATORS[0], 1
        for separator in _SEPARATORS:
            try:
                names = [name.strip() for name in next(_rows(text, separator), [])]
            except csv.Error:
                continue  # not this one; the error of the comma is reported
            if all(_position(names, column) is not None for column in needed):
                return separator
            if len(names) > counts:
                most, counts = separator, len(names)
        return most

    def _required(self) -> tuple[int, int]:
        path, label = self._columns.path, self._columns.label
        positions = self._at(path), self._at(label)
        if positions[0] is not None and positions[1] is not None:
            return positions[0], positions[1]
        options = {"path": path, "label": label}
        remedies = [
            quoting.shell(f"data.{kind}_column={self._usual(kind)}")
            for (kind, _), position in zip(options.items(), positions, strict=True)
            if position is None
        ]
        more = " and more" if len(self._names) > _MOST_SHOWN else ""
        raise wrong(
            self._path,
            f"the columns {path} and {label}",
            f"{', '.join(self._names[:_MOST_SHOWN])}{more}" if self._names else "an empty file",
            f"set {' '.join(remedies)}, or write the names of the columns into the first line",
        )

    def _optional(self, column: str | None, *, is_needed: bool) -> int | None:
        position = None if column is None else self._at(column)
        if column is not None and position is None and is_needed:
            raise wrong(
                self._path,
                f"the column {column}",
                ", ".join(self._names[:_MOST_SHOWN]),
                "name one of these columns, or leave the option out",
            )
        return position

    def _at(self, column: str) -> int | None:
        if self._names.count(column) > 1:
            raise wrong(self._path, f"one column {column}", str(self._names.count(column)))
        return _position(self._names, column)

    def _usual(self, kind: str) -> str:
        """Return the column that is usual for a kind of value, or the word NAME."""
        positions = (_position(self._names, name) for name in _USUAL[kind].split())
        return next((self._names[at] for at in positions if at is not None), "NAME")


def _rows(text: str, separator: str) -> Reader:
    return csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True
    )


def _position(names: Sequence[str], column: str) -> int | None:
    """Return the position of a column, in any case if only one fits; None if there is none."""
    if column in names:
        return names.index(column)
    similar = [
        position for position, name in enumerate(names) if name.casefold() == column.casefold()
    ]
    return similar[0] if len(similar) == 1 else None
