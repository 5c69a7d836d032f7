"""Lines of a CSV file of images, as spreadsheets and scripts write them.

The separator may be a comma, a semicolon, a tab or a vertical bar: spreadsheets write the semicolon
where the comma is the decimal sign. Spreadsheets also write a mark at the start of the file,
UTF-16, a first line ``sep=;``, and empty lines at the end.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from src.data.csv_columns import Columns, Header, SplitName, wrong
from src.data.pipeline.split import splits_named
from src.errors import UsageError, describe

if TYPE_CHECKING:
    from _csv import Reader

_SEPARATORS = ",;\t|"
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # first bytes of .xlsx and .ods, and of .xls
# Columns such as is_valid or fold, by which others split.
_FLAG = re.compile(
    r"((is|in)[ _-]?)?(train(ing)?|val(id(ation)?)?|test(ing)?|hold[ _-]?out)([ _-]?set)?"
    r"|k?[ _-]?folds?",
    re.IGNORECASE,
)
_HOT = {"1": True, "1.0": True, "0": False, "0.0": False, "True": True, "False": False}
_MOST_SHOWN = 10  # values in a message
_MOST_SPLITS = 4  # different values of a column of splits


class CSVLine(NamedTuple):
    """One image in a CSV file."""

    path: str
    label: str
    split: str  # empty if the file has no such column
    group: str  # empty if it has no such column, or no value there
    number: int  # of the line in the file


@dataclass
class CSVLines:
    """The lines of a file.

    Args:
        lines: one for each image, in order.
        columns: names of the columns.
        split: ``exact`` for a column of splits with the name that was asked for, ``alike`` for one
            whose name differs by case or spaces, ``absent`` if there is none, and ``none`` if none
            was asked for.
        other_splits: columns that have names of splits but are not read.
        flags: columns that are called like a split or a fold, have other values, and are not read.
    """

    lines: list[CSVLine] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    split: SplitName = "none"
    other_splits: list[str] = field(default_factory=list)
    flags: list[str] = field(default_factory=list)


def read_lines(path: Path, columns: Columns) -> CSVLines:
    """Read a CSV file.

    The names of columns count in any case if only one fits. Spaces around a value do not count, and
    quotes may follow a space. Quotes that are wrong after a space are letters.

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
        return _read_text(path, columns, text)
    except UnicodeDecodeError as error:
        remedy = "save it in UTF-8, which spreadsheets call CSV UTF-8"
        raise wrong(path, "a CSV file in UTF-8", describe(error), remedy) from error
    except (OSError, csv.Error) as error:
        raise wrong(path, "a CSV file in UTF-8", describe(error)) from error


def _read_text(path: Path, columns: Columns, text: str) -> CSVLines:
    try:
        reader = _Reader(path, columns, text)
        found = reader.read()
    except csv.Error:
        # A note may have quotes after a space that are no quotes of CSV, as in ``cat, "big" cat``.
        reader = _Reader(path, columns, text, skips_spaces=False)
        if not reader.header.has(columns.path, *columns.labels):
            raise
        return reader.read()
    if not reader.joins_lines:
        return found
    # From one mark of repetition to the next, as in ``cat, "``, the lines between would be lost.
    try:
        plain = _Reader(path, columns, text, skips_spaces=False).read()
    except (csv.Error, UsageError):
        return found
    return plain if len(plain.lines) > len(found.lines) else found


class _Reader:
    """Reads the text of one file.

    Args:
        path: of the file, for messages.
        columns: names of the columns.
        text: the text of the file.
        skips_spaces: let quotes follow a space.

    Raises:
        csv.Error: the first line is not valid.
    """

    def __init__(
        self, path: Path, columns: Columns, text: str, *, skips_spaces: bool = True
    ) -> None:
        self._path = path
        self._columns = columns
        self._skips_spaces = skips_spaces
        self.joins_lines = False  # a value of the file has a line break
        is_marked = (
            text[:4].lower() == "sep=" and text[4:5] in {*_SEPARATORS} and text[5:6] in {"\r", "\n"}
        )
        separator = text[4] if is_marked else self._separator(text)
        self._rows = _rows(text, separator, skips_spaces=skips_spaces)
        if is_marked:
            next(self._rows)
        self._names = [name.strip() for name in next(self._rows, [])]
        spelled = self._names_with_spaces(text, separator, is_marked=is_marked)
        self.header = Header(path, self._names, spelled)

    def read(self) -> CSVLines:
        """Read all lines.

        Raises:
            UsageError: a column is missing, or a line is incomplete.
            csv.Error: a line is not valid.
        """
        paths, labels = self.header.required(self._columns.path, self._columns.labels)
        result = CSVLines(columns=self._names)
        splits, result.split = self.header.split(self._columns.split)
        groups = self.header.group(self._columns.group)
        path = paths[0]
        split = splits[0] if splits else None
        group = groups[0] if groups else None
        used = {*paths, *chain(*labels), *splits, *groups}
        repeated = [same for same in (paths, *labels, splits, groups) if len(same) > 1]
        values: dict[int, set[str]] = {
            position: set() for position in range(len(self._names)) if position not in used
        }
        last = self._rows.line_num
        for row in self._rows:
            self.joins_lines |= self._rows.line_num > last + 1
            last = self._rows.line_num
            fields = [value.strip() for value in row]
            if not any(fields):
                continue  # spreadsheets write empty lines at the end
            number = self._rows.line_num
            if any(fields[len(self._names) :]):
                raise wrong(
                    self._path,
                    f"{len(self._names)} values on every line, as in the first one",
                    f"{len(fields)} on line {number}",
                    "put a value that contains the separator in quotes, or name the column in the "
                    "first line",
                )
            fields += [""] * (len(self._names) - len(fields))
            line = CSVLine(
                fields[path],
                self._label(fields, [same[0] for same in labels], number),
                "" if split is None else fields[split],
                "" if group is None else fields[group],
                number,
            )
            if not line.path or not line.label:
                raise wrong(
                    self._path, "a path and a label on every line", f"none on line {number}"
                )
            for same in repeated:
                if len({fields[position] for position in same}) > 1:
                    raise wrong(
                        self._path,
                        f"one column {self._names[same[0]]}",
                        f"{len(same)} that differ on line {number}",
                        "rename or remove those that do not count",
                    )
            result.lines.append(line)
            for position in list(values):
                values[position].add(fields[position])
                if len(values[position]) > _MOST_SPLITS:
                    del values[position]
        if split is None and self._columns.split is not None:
            result.other_splits, result.flags = self._unread(values, used)
        return result

    def _label(self, fields: Sequence[str], columns: Sequence[int], number: int) -> str:
        """Return the label of a line.

        Args:
            fields: the values of the line.
            columns: position of the column of labels, or of the column of each class.
            number: of the line.

        Raises:
            UsageError: a line of several columns has not a 1 and zeros.
        """
        if len(columns) == 1:
            return fields[columns[0]]
        values = [_HOT.get(fields[column]) for column in columns]
        if None in values or sum(map(bool, values)) != 1:
            shown = ", ".join(fields[column] for column in columns[:_MOST_SHOWN])
            raise wrong(
                self._path,
                f"one 1 and else 0 in the columns of data.label_column, {len(columns)} classes",
                f"{shown}{' and more' if len(columns) > _MOST_SHOWN else ''} on line {number}",
                "remove images of several classes, or leave a column out of data.label_column",
            )
        return self._names[columns[values.index(True)]]

    def _unread(self, values: dict[int, set[str]], used: set[int]) -> tuple[list[str], list[str]]:
        """Return the columns with names of splits, and those that are called like flags or folds.

        Args:
            values: the different values of the unread columns that have few.
            used: the columns that are read.
        """
        splits = [
            position
            for position, found in values.items()
            if len(set(splits_named(found).values())) > 1 and set(splits_named(found)) == found
        ]
        with_one_value = [position for position, found in values.items() if len(found) == 1]
        others = {*splits, *with_one_value, *used}
        flags = [
            position
            for position, name in enumerate(self._names)
            if position not in others and _FLAG.fullmatch(name)
        ]
        return [*map(self.header.option, splits)], [*map(self.header.option, flags)]

    def _separator(self, text: str) -> str:
        """Return the separator with which the first line has the columns, or else most names."""
        needed = (self._columns.path, *self._columns.labels)
        most, counts = _SEPARATORS[0], 1
        for separator in _SEPARATORS:
            try:
                rows = _rows(text, separator, skips_spaces=self._skips_spaces)
                names = [name.strip() for name in next(rows, [])]
            except csv.Error:
                continue  # not this one; the error of the comma is reported
            if Header(self._path, names, names).has(*needed):
                return separator
            if len(names) > counts:
                most, counts = separator, len(names)
        return most

    def _names_with_spaces(self, text: str, separator: str, *, is_marked: bool) -> list[str]:
        """Return the names of the columns with the spaces around them."""
        rows = _rows(text, separator, skips_spaces=False)
        try:
            if is_marked:
                next(rows)
            names = next(rows, [])
        except csv.Error:
            return self._names
        # Quotes after a space may hold a separator.
        return names if len(names) == len(self._names) else self._names


def _rows(text: str, separator: str, *, skips_spaces: bool) -> Reader:
    return csv.reader(
        io.StringIO(text, newline=""),
        delimiter=separator,
        skipinitialspace=skips_spaces,
        strict=True,
    )
