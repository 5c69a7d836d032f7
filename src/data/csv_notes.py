"""Notes about a CSV file of images, and advice on a file that is missing."""

from __future__ import annotations

import os
import re
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path

from src.data.classes import alike, mirrored_names, similar_names
from src.data.csv_lines import CSVLines
from src.data.pipeline.image_kind import ending_of, endings
from src.data.pipeline.split import Split
from src.errors import one_line
from src.system import quoting

# Separators of the labels of one image, as tables of competitions and spreadsheets have them.
_BETWEEN_LABELS = (" ", ",", ";", "[|]", "[ ,;|]")


def notes(
    read: CSVLines,
    names: Sequence[str],
    splits: Sequence[Split | None],
    split_column: str | None,
    group_column: str | None,
    class_names: Sequence[str],
) -> list[str]:
    """Return lines for the user about what makes the accuracy of a training another one.

    Args:
        read: the lines.
        names: the name of each line's image.
        splits: the split that the file gives each line.
        split_column: column of splits.
        group_column: column of groups.
        class_names: the classes.
    """
    found = [
        f"the column {name} has names of splits and is not used: "
        f"{quoting.shell(f'data.split_column={name}')} uses it"
        for name in read.other_splits
    ]
    found += [
        f"the column {name} is not used: write train, val or test into it for the splits that it "
        f"means, and set {quoting.shell(f'data.split_column={name}')}"
        for name in read.flags
    ]
    if read.split == "absent":
        found.append(
            f"the file has no column {split_column}, which data.split_column names, and so gives "
            "no splits"
        )
    labels = _several(names, (line.label for line in read.lines))
    if labels:
        name = next(iter(labels))
        found.append(
            f"{len(labels)} images have more than one label, such as {name}: "
            f"{', '.join(sorted(labels[name]))}"
        )
    combined = _combined(class_names)
    several = {name for name, line in zip(names, read.lines, strict=True) if line.label in combined}
    if several:
        label = next(line.label for line in read.lines if line.label in combined)
        found.append(
            f"{len(several)} images have a label of several classes, such as {label!r} of "
            f"{' and '.join(combined[label])}: each combination is a class of its own, because an "
            "image has one class"
        )
    kept_together = [(names, "images")]
    if group_column is not None:
        kept_together.append(
            ([line.group for line in read.lines], f"groups of the column {group_column}")
        )
    for keys, kind in kept_together:
        leaks = _several(keys, splits)
        if leaks:
            name = next(iter(leaks))
            found.append(
                f"{len(leaks)} {kind} are in more than one split, such as {name}: accuracy there "
                "is too high"
            )
    found += [*similar_names(class_names), *mirrored_names(class_names)]
    return [one_line(note) for note in found]


def _combined(class_names: Sequence[str]) -> dict[str, list[str]]:
    """Return the classes whose names are those of other classes with separators between them."""
    known = {alike(name): name for name in class_names}
    combined: dict[str, list[str]] = {}
    for name in class_names:
        for separator in _BETWEEN_LABELS:
            parts = {alike(part) for part in re.split(separator, name)} - {""}
            if len(parts) > 1 and parts <= known.keys():
                combined[name] = [known[part] for part in sorted(parts)]
    return combined


def _several(keys: Iterable[str], values: Iterable[Hashable]) -> dict[str, set[str]]:
    """Return the keys that occur with more than one value, with these values."""
    first: dict[str, Hashable] = {}
    several: dict[str, set[str]] = {}
    for key, value in zip(keys, values, strict=True):
        if key and value is not None and first.setdefault(key, value) != value:
            several.setdefault(key, {str(first[key])}).add(str(value))
    return several


def remedy_for_missing(path: str, column: str) -> str | None:
    """Return advice on a file that is missing, by the files in its folder; None if none is like it.

    Args:
        path: where the file should be.
        column: name of the column with the path.
    """
    wanted = Path(path)
    if os.path.islink(wanted):  # noqa: PTH114
        to = os.path.realpath(wanted)
        return f"it is a link to {to}: fetch or mount that (git annex get, dvc pull)"
    if os.path.exists(wanted):  # noqa: PTH110  # Path.exists raises for a name that is too long
        return None  # a folder or a pipe
    try:
        names = sorted(os.listdir(wanted.parent))  # noqa: PTH208  # names are enough
    except (OSError, ValueError):
        return None  # the folder is missing too, or its name is none
    for name in names:
        if name.casefold() == wanted.name.casefold():
            return f"write the name as the file has it, {name}"
        if ending_of(name) in endings() and Path(name).stem == wanted.name:
            return f"write names with their endings into the column {column}, as {name}"
    return None
