"""Columns of a CSV file of images, by the names in its first line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.errors import UsageError
from src.system import quoting

SplitName = Literal["exact", "alike", "absent", "none"]
"""Name of the column of splits: as the option or only like it; no such column; not asked for."""

_SPLIT = "split"  # the default column, which a file need not have
_MOST_SHOWN = 10  # columns in a message
_FEW = 2  # columns: of a path and a label
_ANY = "NAME"
# Usual names of the columns, in lower case, the likeliest first.
_USUAL = {
    "path": "image_path filepath file_path filename file_name image file img_path image_name img "
    "image_id id_code id",
    "label": "class class_name labels target category species breed diagnosis label_name y",
}


@dataclass(frozen=True)
class Columns:
    """Names of the columns.

    Args:
        path: column with the path of an image.
        labels: column with its class, or a column for each class.
        split: column with its split; None for no splits. The default ``split`` counts in this
            spelling only.
        group: column with its group; None for no groups.
    """

    path: str
    labels: Sequence[str]
    split: str | None
    group: str | None


def wrong(path: Path, expected: str, found: str, remedy: str | None = None) -> UsageError:
    """Return the error about a CSV file."""
    return UsageError(
        f"data.file {path}",
        expected=expected,
        found=found,
        remedy=remedy or "mend the file, or set data.file, data.root, data.path_column or the like",
    )


def absent(path: Path, column: str, names: Sequence[str], otherwise: str) -> UsageError:
    """Return the error about a column that a CSV file does not have.

    Args:
        path: the file.
        column: the column.
        names: the columns of the file.
        otherwise: the remedy besides the name of another column.
    """
    remedy = f"name one of these columns, or {otherwise}"
    return wrong(path, f"the column {column}", ", ".join(names[:_MOST_SHOWN]), remedy)


class Header:
    """The first line of a file.

    Args:
        path: of the file, for messages.
        names: names of the columns, without spaces around them.
        spelled: names of the columns as the file has them.
    """

    def __init__(self, path: Path, names: Sequence[str], spelled: Sequence[str]) -> None:
        self._path = path
        self._names = names
        self._spelled = spelled

    def has(self, *columns: str) -> bool:
        """Return True if the file has all of these columns."""
        return all(self._positions(column) for column in columns)

    def option(self, position: int) -> str:
        """Return the value of an option by which a column is found."""
        name = self._names[position]
        return self._spelled[position] if name == _SPLIT else name

    def required(self, path: str, labels: Sequence[str]) -> tuple[list[int], list[list[int]]]:
        """Return the positions of the column of the path and of each column of labels.

        Raises:
            UsageError: there is none.
        """
        if not labels:
            raise UsageError(
                "data.label_column",
                expected="a column, or one for each class",
                found="none",
                remedy=f"name some of {', '.join(self._names[:_MOST_SHOWN])}",
            )
        paths, of_labels = self._positions(path), [*map(self._positions, labels)]
        if paths and all(of_labels):
            return paths, of_labels
        missing = {"path": not paths, "label": not all(of_labels)}
        remedies = [
            quoting.shell(f"data.{kind}_column={self._usual(kind)}")
            for kind, is_missing in missing.items()
            if is_missing
        ]
        if missing["label"] and len(self._names) > _FEW and self._usual("label") == _ANY:
            remedies.append("(or data.label_column=[A,B] for columns A and B of 0 and 1)")
        more = " and more" if len(self._names) > _MOST_SHOWN else ""
        shown = [*labels[:_MOST_SHOWN], *(["more"] if len(labels) > _MOST_SHOWN else [])]
        *first, last = [path, *shown]
        raise wrong(
            self._path,
            f"the columns {', '.join(first)} and {last}",
            f"{', '.join(self._names[:_MOST_SHOWN])}{more}" if self._names else "an empty file",
            f"set {' '.join(remedies)}, or write the names of the columns into the first line "
            "with commas between them",
        )

    def split(self, column: str | None) -> tuple[list[int], SplitName]:
        """Return the positions of the column of splits, and the way in which it was found."""
        if column is None:
            return [], "none"
        exact = _equal(self._spelled, column)
        if exact:
            return exact, "exact"
        if column == _SPLIT:
            return [], "none"  # nobody asked for the default
        alike = self._positions(column)
        return alike, "alike" if alike else "absent"

    def group(self, column: str | None) -> list[int]:
        """Return the positions of the column of groups, none if it is None.

        Raises:
            UsageError: there is no such column.
        """
        if column is None:
            return []
        positions = self._positions(column)
        if not positions:
            raise absent(self._path, column, self._names, "leave the option out")
        return positions

    def _positions(self, column: str) -> list[int]:
        """Return the positions of the columns with a name, as it is spelled if there is one."""
        return _equal(self._spelled, column) or _positions(self._names, column.strip())

    def _usual(self, kind: str) -> str:
        """Return the column that is usual for a kind of value, or the word NAME."""
        positions = (_positions(self._names, name) for name in _USUAL[kind].split())
        return next((self._names[at[0]] for at in positions if at), _ANY)


def _positions(names: Sequence[str], column: str) -> list[int]:
    """Return the positions of a column, in any case if only one fits."""
    folded = column.casefold()
    similar = [position for position, name in enumerate(names) if name.casefold() == folded]
    return _equal(names, column) or (similar if len(similar) == 1 else [])


def _equal(names: Sequence[str], column: str) -> list[int]:
    return [position for position, name in enumerate(names) if name == column]
