"""Folders that are classes, in a data set or in one of its splits."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from src.data.classes import alike
from src.data.folder_walk import Folder, note_on, unread_images
from src.data.pipeline.image_kind import ending_of
from src.data.pipeline.split import Split, splits_named
from src.errors import UsageError, one_line

_NAMED = 5  # folders or classes in a line
_NESTED = 3  # levels of folders that contain only one folder
_FILE_ENDING = re.compile(r"\.(?=\d*[a-z])\w{1,5}")  # as .pdf, .7z or .jpeg, but not .5

Classes = dict[str, Folder]  # by the classes' names


def innermost(top: Folder, *, within_split: bool = False) -> Folder:
    """Return the folder, or the only folder in it that has images, as in unpacked archives."""
    for _ in range(_NESTED):
        full = [folder for folder in top.folders if folder.count]
        if top.images or len(full) != 1 or not is_nested(full[0]):
            break
        if top.problems or _lost_folders(top):
            break
        if splits_named([full[0].name]) and not within_split:
            break
        if any(not folder.count and _may_be_class(folder) for folder in top.folders):
            break
        top = full[0]
    return top


def is_nested(folder: Folder) -> bool:
    """Return True if at least half of the folder's images are in folders below it."""
    inner = folder.count - len(folder.images)
    return inner > 0 and inner >= len(folder.images)


def _may_be_class(folder: Folder) -> bool:
    """Return True if a folder without images is empty, or may have some that cannot be read here.

    They need another library, are in a folder that cannot be listed, or are links to nothing.
    """
    files = sum(inner.passed_over.total() for inner in folder.walk())
    is_partial = any(inner.problems or inner.lost for inner in folder.walk())
    return not files or is_partial or bool(unread_images([folder]))


def require_reached(folders: Iterable[Folder]) -> None:
    """Refuse folders that have no images only because these cannot be reached.

    Args:
        folders: those with images are left out.

    Raises:
        UsageError: something in such a folder or below cannot be read, or is a link to nothing.
    """
    for folder in folders:
        if folder.count:
            continue
        for inner in folder.walk():
            if inner.problems:
                raise inner.problems[0]
        if lost := [path for inner in folder.walk() for path in inner.lost]:
            raise _no_target(lost)


def require_listed(folder: Folder, names: Iterable[str] = ()) -> None:
    """Refuse a folder of folders if one of these may be missing from its list.

    Args:
        folder: the folder of classes or of splits.
        names: names that the folders may have.

    Raises:
        UsageError: an entry cannot be read, or a link to nothing is called like a folder.
    """
    if folder.problems:
        raise folder.problems[0]
    if lost := _lost_folders(folder, names):
        raise _no_target(lost)


def _lost_folders(folder: Folder, names: Iterable[str] = ()) -> list[str]:
    """Return the links to nothing that have one of the ``names``, or no ending of a file."""
    if not folder.lost:
        return []
    known = {alike(name) for name in names}
    return [
        path
        for path in folder.lost
        if alike(Path(path).name) in known or not _FILE_ENDING.fullmatch(ending_of(path))
    ]


def _no_target(links: Sequence[str]) -> UsageError:
    """Return the error about links to nothing."""
    first, more = min(links), len(links) - 1
    found = f"{first}, which leads to {os.path.realpath(first)}"
    return UsageError(
        "data.root",
        expected="links to files and folders that are there",
        found=f"{found}, and {more} more links to nothing" if more else found,
        remedy="fetch or mount what they lead to (git annex get, dvc pull), or remove the links",
    )


def trained_classes(train: Folder, notes: list[str]) -> Classes:
    """Return the class folders of ``train``."""
    top = innermost(train, within_split=True)
    require_listed(top)
    return class_folders(top, top.folders, {}, notes)


def evaluated_classes(
    folder: Folder, trained: Classes, train: Folder, split: Split, notes: list[str]
) -> Classes:
    """Return the class folders of ``val`` or ``test``, by the class names of ``train``."""
    require_listed(folder, trained)
    full = [inner for inner in folder.folders if inner.count]
    if len(full) == 1 and full[0].name not in trained and is_nested(full[0]):
        require_reached(folder.folders)
        folder = full[0]
        require_listed(folder, trained)
    require_reached(folder.folders)
    classes, unknown = _matched(folder, trained)
    if len(unknown) == 1 and not classes:
        notes.append(without_labels(unknown[0], split, train))
        return {}
    if unknown:
        raise UsageError(
            "data.root",
            expected=f"the class folders {_names(sorted(trained))} in {folder.path}",
            found=f"{_names(inner.name for inner in unknown)}, of which {train.path} has none",
            remedy="add images of it to train on, or remove it there",
        )
    if missing := sorted(trained.keys() - classes.keys()):
        notes.append(f"{folder.path} has no images of {_names(missing)}")
    notes += stray_images(folder)
    return classes


def _matched(folder: Folder, trained: Classes) -> tuple[Classes, list[Folder]]:
    """Return the folders in ``folder`` whose names are classes of ``train``, and the others.

    Empty folders are left out. Case, spaces and the form of accents may differ if only one
    class fits.
    """
    by_likeness: dict[str, list[str]] = {}
    for name in trained:
        by_likeness.setdefault(alike(name), []).append(name)
    classes: Classes = {}
    unknown: list[Folder] = []
    # Exact names first, so that a similar name does not take their class.
    for inner in sorted(folder.folders, key=lambda inner: inner.name not in trained):
        similar = by_likeness.get(alike(inner.name), [])
        name = inner.name if inner.name in trained else "".join(similar[:1])
        if not inner.count:
            continue
        if not name or name in classes or (name != inner.name and len(similar) > 1):
            unknown.append(inner)
        else:
            classes[name] = inner
    return classes, unknown


def stray_images(folder: Folder) -> list[str]:
    """Return a line about images that are directly in ``folder``, if there are any."""
    count = len(folder.images)
    return [f"passed over {count} images directly in {folder.path}"] if count else []


def parts_of_classes(classes: Classes) -> list[str]:
    """Return a line about classes that hold several folders of images, which may be the classes."""
    inner = {
        name: [f"{name}/{part.name}" for part in folder.folders if part.count]
        for name, folder in classes.items()
        if not folder.images
    }
    nested = {name: parts for name, parts in inner.items() if len(parts) > 1}
    if not nested:
        return []
    first, second, *_ = next(iter(nested.values()))
    return [
        one_line(
            f"all images below a class folder are of the class, as those in {first} and {second}; "
            "if these folders are the classes, move them up"
        )
    ]


def without_labels(folder: Folder, split: Split, train: Folder) -> str:
    """Return a line about images of a split that are in no class folders."""
    line = f"passed over {folder.count} images in {folder.path}, which are in no class folders"
    return line if split == "train" else f"{line}: {split} is drawn from {train.path}"


def class_folders(
    top: Folder, folders: Sequence[Folder], named: dict[str, Split], notes: list[str]
) -> Classes:
    """Return the class folders among ``folders``, by name.

    Raises:
        UsageError: a class folder has no image, or its images cannot be reached.
    """
    classes: Classes = {}
    beside: list[Folder] = []
    require_reached(folders)
    for folder in folders:
        if folder.count:
            classes[folder.name] = folder
        elif folder.name in named or not _may_be_class(folder):
            beside.append(folder)
        else:
            more = note_on([folder], folder.path)
            raise UsageError(
                "data.root",
                expected="images in every class folder",
                found=f"none in {folder.path}{f' ({more})' if more else ''}",
                remedy="add images or remove the folder",
            )
    if beside:
        notes.append(f"passed over folders without images: {paths_of(beside)}")
    notes += stray_images(top)
    notes += parts_of_classes(classes)
    notes.extend(
        f"{classes[name].path} is taken for a class, as it holds images like the other folders"
        for name in classes
        if name in named
    )
    return classes


def paths_of(folders: Sequence[Folder]) -> str:
    """Return the paths of the first five folders, in a line."""
    return _names([folder.path for folder in folders])


def _names(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
