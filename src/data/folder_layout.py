"""Layout of an image folder: find out which folders are splits and which are classes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from src.data.class_folders import (
    Classes,
    class_folders,
    evaluated_classes,
    innermost,
    is_nested,
    paths_of,
    require_listed,
    require_reached,
    stray_images,
    trained_classes,
    without_labels,
)
from src.data.classes import alike, mirrored_names, require_classes, similar_names
from src.data.folder_walk import Folder, has_image, note_on, read_folder, unread_images
from src.data.pipeline.split import SPLITS, Split, splits_named
from src.errors import UsageError, one_line
from src.system import quoting

_NAMED = 3  # folders in a line
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
# Beginnings of the endings of files that hold many images.
_PACKED = (
    *_ARCHIVES,
    *(".parquet", ".arrow", ".tfrecord", ".npz", ".npy", ".h5", ".hdf5", ".mat", ".pkl"),
    *(".pickle", ".lmdb", ".mdb", ".rec"),
)


@dataclass(frozen=True)
class Layout:
    """The class folders of a data set.

    Args:
        class_names: sorted.
        splits: class folders by split, with ``train``; empty if there are no splits.
        whole: all class folders if there are no splits, else empty.
        notes: lines for the user.
    """

    class_names: list[str]
    splits: dict[Split, Classes]
    whole: Classes
    notes: list[str] = field(default_factory=list)


def read_layout(root: Path) -> Layout:
    """Find the class folders below ``root``.

    They are in ``root`` itself or in the folders of splits, which may have any common name. A
    folder with the name of a split is a split if it contains folders of images, and a class if it
    contains images.

    Raises:
        UsageError: the layout is ambiguous, or a class has no training images.
    """
    listed = read_folder(root)
    if not listed.count:
        _explain_no_image(listed)
    notes = _splits_beside(root, listed)
    top = innermost(listed)
    if top.path != str(root):
        notes.append(f"the images are those in {top.path}, the only folder that holds some")
    require_listed(top)
    named = splits_named(folder.name for folder in top.folders)
    splits = _splits(top, named, notes)
    if not splits:
        splits = _splits_in_classes(top, notes)
    if splits:
        class_names = require_classes("data.root", sorted(splits["train"]))
        layout = Layout(class_names, splits, {}, notes)
    else:
        whole = class_folders(top, top.folders, named, notes)
        layout = Layout(require_classes("data.root", sorted(whole)), {}, whole, notes)
    notes += [*similar_names(layout.class_names), *mirrored_names(layout.class_names)]
    used = [folder for part in (*splits.values(), layout.whole) for folder in part.values()]
    beside = Folder(top.path, passed_over=top.passed_over, outputs=top.outputs)
    if listed is not top:
        beside.passed_over = top.passed_over + listed.passed_over
        beside.outputs = top.outputs + listed.outputs
    if line := note_on([*used, beside], top.path):
        notes.append(line)
    return layout


def _explain_no_image(top: Folder) -> None:
    """Refuse a folder without an image that has what cannot be read, or files that hold images.

    Data sets are published as archives and other files of many images.

    Raises:
        UsageError: it has these.
    """
    for folder in top.walk():
        if folder.problems:
            raise folder.problems[0]
    kinds = {kind for folder in top.walk() for kind in folder.passed_over}
    if unread_images([top]):
        return
    if not any(kind.startswith(_PACKED) for kind in kinds):
        require_reached([top])
        return
    is_archive = all(kind.startswith(_ARCHIVES) for kind in kinds if kind.startswith(_PACKED))
    raise UsageError(
        "data.root",
        expected="folders of image files",
        found=f"no image, and {note_on([top], top.path)}",
        remedy="unpack them" if is_archive else "write the images into a folder for each class",
    )


def _splits_beside(root: Path, listed: Folder) -> list[str]:
    """Return a line if ``root`` is one split of a data set, as other tools take each of them.

    The other splits are folders beside it that have images in class folders of the same names.
    """
    classes = {alike(inner.name) for inner in listed.folders if inner.count}
    folder = Path(os.path.abspath(root))  # noqa: PTH100  # resolve() would follow a link
    try:
        with os.scandir(folder.parent) as entries:
            # A link may lead out of the folder above, which data.root=PATH would refuse.
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []  # a folder above the images need not be readable
    named = splits_named(names)
    if folder.name not in named:
        return []
    others = [
        name
        for name in sorted(named)
        if named[name] != named[folder.name] and _has_classes(folder.parent / name, classes)
    ]
    if not others or "train" not in {named[name] for name in (folder.name, *others)}:
        return []
    paths = ", ".join(str(folder.parent / name) for name in others[:_NAMED])
    return [
        one_line(
            f"{root} is named like a split, and {paths} beside it, with class folders of the same "
            f"names, {'is' if len(others) == 1 else 'are'} not used: if these are splits of one "
            f"data set, set data.root={quoting.shell(str(folder.parent))}"
        )
    ]


def _has_classes(folder: Path, classes: set[str]) -> bool:
    """Return True if a folder has one of the class folders, and images in it."""
    try:
        with os.scandir(folder) as entries:
            paths = [
                entry.path
                for entry in entries
                if alike(entry.name) in classes and entry.is_dir(follow_symlinks=False)
            ]
        return any(has_image(path) for path in paths[:_NAMED])
    except OSError:
        return False  # it need not be readable


@dataclass
class _Folders:
    """The folders of a data set, grouped by their names and contents.

    Args:
        nested: folders with the name of a split that contain folders of images, by split.
        flat: folders with the name of a split that contain images directly.
        empty: folders with the name of a split and no images.
        others: folders with another name and images.
    """

    nested: dict[Split, list[Folder]] = field(default_factory=dict)
    flat: list[Folder] = field(default_factory=list)
    empty: list[Folder] = field(default_factory=list)
    others: list[Folder] = field(default_factory=list)


def _grouped(top: Folder, named: dict[str, Split]) -> _Folders:
    groups = _Folders()
    for folder in top.folders:
        if folder.name not in named:
            groups.others += [folder] if folder.count else []
        elif not folder.count:
            groups.empty.append(folder)
        elif is_nested(folder):
            groups.nested.setdefault(named[folder.name], []).append(folder)
        else:
            groups.flat.append(folder)
    return groups


def _splits(top: Folder, named: dict[str, Split], notes: list[str]) -> dict[Split, Classes]:
    """Return the class folders of each split, if the folders in ``top`` are splits."""
    require_reached(folder for folder in top.folders if folder.name in named)
    folders = _grouped(top, named)
    if not _are_splits(top, named, folders):
        return {}
    for split, same in folders.nested.items():
        if len(same) > 1:
            raise _ambiguous(
                f"one folder for {split}", paths_of(same), "put what belongs together in one"
            )
    if folders.others:
        notes.append(f"passed over, beside the folders of the splits: {paths_of(folders.others)}")
    if folders.empty:
        notes.append(f"no images in {paths_of(folders.empty)}")
    notes += stray_images(top)
    for folder in folders.flat:
        require_listed(folder)
        require_reached(folder.folders)
    [train] = folders.nested["train"]
    splits: dict[Split, Classes] = {"train": trained_classes(train, notes)}
    for split in SPLITS[1:]:
        for folder in folders.nested.get(split, []):
            if classes := evaluated_classes(folder, splits["train"], train, split, notes):
                splits[split] = classes
    notes.extend(without_labels(folder, named[folder.name], train) for folder in folders.flat)
    return splits


def _are_splits(top: Folder, named: dict[str, Split], folders: _Folders) -> bool:
    """Return True if the folders in ``top`` are splits, False if they are classes.

    Raises:
        UsageError: they could be either.
    """
    others, nested, flat = folders.others, folders.nested, folders.flat
    if "train" in nested:
        if len(nested) == 1:
            require_reached(folder for folder in top.folders if folder.problems or folder.lost)
        if others and len(nested) == 1:
            raise _ambiguous(
                f"either splits or classes in {top.path}",
                f"{paths_of(nested['train'])} with folders of images, as a split has them, beside "
                f"{paths_of(others)}",
                "rename the latter to val or test or move it away, or put the images of a class "
                "directly into its folder",
            )
        return True
    all_nested = [folder for same in nested.values() for folder in same]
    inner_names = {inner.name for folder in all_nested for inner in folder.folders}
    if nested and (not others or inner_names & {folder.name for folder in others}):
        raise _ambiguous(
            "a folder train/ beside val/ or test/",
            f"{paths_of(all_nested)} without one",
            "put the class folders into train/, val/ and test/, or rename what is no split",
        )
    kinds = {named[folder.name] for folder in flat}
    if flat and not nested and (not others or ("train" in kinds and len(kinds) > 1)):
        raise _ambiguous(
            "class folders in each split",
            f"images directly in {paths_of(flat)}",
            "put the images of each class into a folder of its own, or name their labels in a "
            "CSV file with data=csv",
        )
    return False


def _splits_in_classes(top: Folder, notes: list[str]) -> dict[Split, Classes]:
    """Return the class folders of each split, if every class folder contains the splits."""
    classes: dict[Split, Classes] = {}
    full = [folder for folder in top.folders if folder.count]
    for folder in full:
        if inner_splits := splits_named(inner.name for inner in folder.folders):
            require_listed(folder)
            require_reached(inner for inner in folder.folders if inner.name in inner_splits)
        inner_folders = [inner for inner in folder.folders if inner.count]
        named = splits_named(inner.name for inner in inner_folders)
        splits = [named.get(inner.name) for inner in inner_folders]
        if folder.images or None in splits or len(set(splits)) < max(2, len(splits)):
            return {}
        if "train" not in splits:
            return {}
        for inner in inner_folders:
            classes.setdefault(named[inner.name], {})[folder.name] = inner
    if classes:
        require_reached(top.folders)
        notes.append(f"the class folders in {top.path} hold the splits")
    return classes


def _ambiguous(expected: str, found: str, remedy: str) -> UsageError:
    return UsageError("data.root", expected=expected, found=found, remedy=remedy)
