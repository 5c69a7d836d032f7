"""Layout of a data set: its folders are splits or classes, by their names and contents."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from src.data.class_folders import (
    Classes,
    class_folders,
    evaluated_classes,
    innermost,
    is_nested,
    paths_of,
    stray_images,
    trained_classes,
    without_labels,
)
from src.data.classes import require_classes
from src.data.folder_walk import Folder, note_on, read_folder
from src.data.pipeline.split import SPLITS, Split, splits_named
from src.errors import UsageError


@dataclass(frozen=True)
class Layout:
    """The folders of each class.

    Args:
        class_names: sorted.
        splits: class folders by split, ``train`` among them; empty if there are no splits.
        whole: all class folders, if there are no splits.
        notes: lines for the user.
    """

    class_names: list[str]
    splits: dict[Split, Classes]
    whole: Classes
    notes: list[str] = field(default_factory=list)


def read_layout(root: Path) -> Layout:
    """Find the class folders below ``root``.

    They are in ``root`` itself or in folders of splits, whatever people call these. A folder with
    a split's name is a split if it holds folders of images, and a class if it holds images.

    Raises:
        UsageError: the folders can mean several things, or a class has no images to train on.
    """
    notes: list[str] = []
    top = innermost(read_folder(root))
    if top.path != str(root):
        notes.append(f"the images are those in {top.path}, the only folder that holds some")
    if top.problems:
        raise top.problems[0]
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
    used = [folder for part in (*splits.values(), layout.whole) for folder in part.values()]
    beside = Folder(top.path, passed_over=top.passed_over)
    if line := note_on([*used, beside], top.path):
        notes.append(line)
    return layout


@dataclass
class _Folders:
    """The folders of a data set, sorted by their names and contents."""

    nested: dict[Split, list[Folder]] = field(default_factory=dict)  # a split's name, and folders
    flat: list[Folder] = field(default_factory=list)  # a split's name, but images directly in it
    empty: list[Folder] = field(default_factory=list)  # a split's name, and no images
    others: list[Folder] = field(default_factory=list)  # another name, and images


def _sorted_out(top: Folder, named: dict[str, Split]) -> _Folders:
    sorted_folders = _Folders()
    for folder in top.folders:
        if folder.name not in named:
            sorted_folders.others += [folder] if folder.count else []
        elif not folder.count:
            sorted_folders.empty.append(folder)
        elif is_nested(folder):
            sorted_folders.nested.setdefault(named[folder.name], []).append(folder)
        else:
            sorted_folders.flat.append(folder)
    return sorted_folders


def _splits(top: Folder, named: dict[str, Split], notes: list[str]) -> dict[Split, Classes]:
    """Return the class folders of each split, if the folders in ``top`` are splits."""
    folders = _sorted_out(top, named)
    if not _are_splits(top, named, folders):
        return {}
    for split, same in folders.nested.items():
        if len(same) > 1:
            raise _unclear(
                f"one folder for {split}", paths_of(same), "put what belongs together in one"
            )
    if folders.others:
        notes.append(f"passed over, beside the folders of the splits: {paths_of(folders.others)}")
    if folders.empty:
        notes.append(f"no images in {paths_of(folders.empty)}")
    notes += stray_images(top)
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
        UsageError: they can be either.
    """
    others, nested, flat = folders.others, folders.nested, folders.flat
    if "train" in nested:
        if others and len(nested) == 1:
            raise _unclear(
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
        raise _unclear(
            "a folder train/ beside val/ or test/",
            f"{paths_of(all_nested)} without one",
            "put the class folders into train/, val/ and test/, or rename what is no split",
        )
    kinds = {named[folder.name] for folder in flat}
    if flat and not nested and (not others or ("train" in kinds and len(kinds) > 1)):
        raise _unclear(
            "class folders in each split",
            f"images directly in {paths_of(flat)}",
            "put the images of each class into a folder of its own, or name their labels in a "
            "CSV file with data=csv",
        )
    return False


def _splits_in_classes(top: Folder, notes: list[str]) -> dict[Split, Classes]:
    """Return the class folders of each split, if every class folder holds the splits."""
    classes: dict[Split, Classes] = {}
    full = [folder for folder in top.folders if folder.count]
    for folder in full:
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
        notes.append(f"the class folders in {top.path} hold the splits")
    return classes


def _unclear(expected: str, found: str, remedy: str) -> UsageError:
    return UsageError("data.root", expected=expected, found=found, remedy=remedy)
