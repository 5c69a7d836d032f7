"""Check of class names, and notes on names that are hardly different."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from src.errors import UsageError, one_line
from src.run import class_names

_NUMBER = re.compile(r"0*([0-9]+)(?:\.0+)?")  # as 7 that other programs write as 07 or 7.0
_LEFT = re.compile(r"(?<![^\W\d_])left(?![^\W\d_])")  # as a word, also in turn_left
_FOLDERS = "give each class a folder of its own"
# Texts that pandas and spreadsheets write for a missing label.
_MISSING = frozenset({"nan", "NaN", "<NA>", "#N/A", "null", "NULL"})


def require_classes(argument: str, names: Sequence[str], remedy: str = _FOLDERS) -> list[str]:
    """Return the class names, at least two of them.

    Args:
        argument: name of the option that the classes depend on, for messages.
        names: the class names.
        remedy: advice if there are too few.

    Raises:
        UsageError: there are fewer than two, or a name is not valid.
    """
    if len(names) < 2:  # noqa: PLR2004
        raise UsageError(
            argument,
            expected="at least 2 classes",
            found=f"{len(names)}: {', '.join(names) or 'none'}",
            remedy=remedy,
        )
    if wrong := class_names.first_problem(names):
        raise UsageError(
            argument,
            expected=class_names.EXPECTED,
            found=wrong,
            remedy="rename that class",
        )
    return list(names)


def alike(name: str) -> str:
    """Return what is equal for names that differ in case, spaces and the form of accents alone.

    Copies between systems may decompose accents, and change the case.
    """
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


def mirrored_names(names: Sequence[str]) -> list[str]:
    """Return a line about classes of which one may be the mirror image of another."""
    known = {alike(name): name for name in names}
    for likeness, name in known.items():
        other = _LEFT.sub("right", likeness)
        if other != likeness and other in known:
            return [
                one_line(
                    f"{name!r} may be the mirror image of {known[other]!r}, and photographs are "
                    "mirrored at random in training: data.flip=false turns that off"
                )
            ]
    return []


def similar_names(names: Sequence[str]) -> list[str]:
    """Return lines about classes that may be one class, or none."""
    by_likeness: dict[str, list[str]] = {}
    for name in names:
        number = _NUMBER.fullmatch(name.strip())
        by_likeness.setdefault(number[1] if number else alike(name), []).append(name)
    notes = [
        f"{' and '.join(map(repr, similar))} are classes of their own, though their names differ "
        "only in case, spaces, the form of accents or the zeros of a number"
        for similar in by_likeness.values()
        if len(similar) > 1
    ]
    notes += [
        f"a class is called {name}, as a missing label is written"
        for name in names
        if name in _MISSING
    ]
    return notes
