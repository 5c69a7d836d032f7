"""What the folders of a data set mean: splits or classes, by their names and what is inside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.data.classes import require_classes
from src.data.folder_walk import Folder, note_on, read_folder, unread_pictures
from src.data.pipeline.split import SPLITS, Split, splits_named
from src.errors import UsageError

_NAMED = 5  # folders or classes in a line
_NESTED = 3  # levels that hold one folder alone

Classes = dict[str, Folder]  # by the classes' names


@dataclass(frozen=True)
class Layout:
    """Where the images of each class are.

    Args:
        class_names: sorted.
        splits: those that there are, ``train`` among them; empty where nothing is split.
        whole: all images, where nothing is split.
        notes: what a user should know, a line each.
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
    top = _innermost(read_folder(root))
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
        whole = _classes(top, top.folders, named, notes)
        layout = Layout(require_classes("data.root", sorted(whole)), {}, whole, notes)
    used = [folder for part in (*splits.values(), layout.whole) for folder in part.values()]
    beside = Folder(top.path, passed_over=top.passed_over)
    if line := note_on([*used, beside], top.path):
        notes.append(line)
    return layout


def _innermost(top: Folder, *, within_split: bool = False) -> Folder:
    """The folder itself, or the one below that alone holds images, as archives unpack to."""
    for _ in range(_NESTED):
        full = [folder for folder in top.folders if folder.count]
        if top.pictures or len(full) != 1 or not _is_nested(full[0]):
            break
        if splits_named([full[0].name]) and not within_split:
            break
        if any(not folder.count and _may_be_class(folder) for folder in top.folders):
            break
        top = full[0]
    return top


def _is_nested(folder: Folder) -> bool:
    """Whether its images are in folders of it, but for a few."""
    inner = folder.count - len(folder.pictures)
    return inner > 0 and inner >= len(folder.pictures)


def _may_be_class(folder: Folder) -> bool:
    """Of a folder without images: nothing is in it, or pictures that cannot be read here."""
    files = sum(each.passed_over.total() for each in folder.walk())
    return not files or bool(unread_pictures([folder]))


@dataclass
class _Folders:
    """The folders of a data set by what their names and what is in them say."""

    nested: dict[Split, list[Folder]] = field(default_factory=dict)  # a split's name, and folders
    flat: list[Folder] = field(default_factory=list)  # a split's name, but images directly in it
    empty: list[Folder] = field(default_factory=list)  # a split's name, and no images
    others: list[Folder] = field(default_factory=list)  # another name, and images


def _sorted_out(top: Folder, named: dict[str, Split]) -> _Folders:
    found = _Folders()
    for folder in top.folders:
        if folder.name not in named:
            found.others += [folder] if folder.count else []
        elif not folder.count:
            found.empty.append(folder)
        elif _is_nested(folder):
            found.nested.setdefault(named[folder.name], []).append(folder)
        else:
            found.flat.append(folder)
    return found


def _splits(top: Folder, named: dict[str, Split], notes: list[str]) -> dict[Split, Classes]:
    """The class folders of each split, if the folders in ``top`` are splits."""
    folders = _sorted_out(top, named)
    if not _are_splits(top, named, folders):
        return {}
    for split, same in folders.nested.items():
        if len(same) > 1:
            raise _unclear(
                f"one folder for {split}", _list(same), "put what belongs together in one"
            )
    if folders.others:
        notes.append(f"passed over, beside the folders of the splits: {_list(folders.others)}")
    if folders.empty:
        notes.append(f"no images in {_list(folders.empty)}")
    notes += _stray(top)
    [train] = folders.nested["train"]
    found: dict[Split, Classes] = {"train": _trained_classes(train, notes)}
    for split in SPLITS[1:]:
        for folder in folders.nested.get(split, []):
            if classes := _evaluated_classes(folder, found["train"], train, split, notes):
                found[split] = classes
    notes.extend(_without_labels(folder, named[folder.name], train) for folder in folders.flat)
    return found


def _are_splits(top: Folder, named: dict[str, Split], folders: _Folders) -> bool:
    """Whether the folders in ``top`` are splits; if not they are classes.

    Raises:
        UsageError: they can be either.
    """
    others, nested, flat = folders.others, folders.nested, folders.flat
    if "train" in nested:
        if others and len(nested) == 1:
            raise _unclear(
                f"either splits or classes in {top.path}",
                f"{_list(nested['train'])} with folders of images, as a split has them, beside "
                f"{_list(others)}",
                "rename the latter to val or test or move it away, or put the images of a class "
                "directly into its folder",
            )
        return True
    all_nested = [folder for same in nested.values() for folder in same]
    inner = {each.name for folder in all_nested for each in folder.folders}
    if nested and (not others or inner & {folder.name for folder in others}):
        raise _unclear(
            "a folder train/ beside val/ or test/",
            f"{_list(all_nested)} without one",
            "put the class folders into train/, val/ and test/, or rename what is no split",
        )
    kinds = {named[folder.name] for folder in flat}
    if flat and not nested and (not others or ("train" in kinds and len(kinds) > 1)):
        raise _unclear(
            "class folders in each split",
            f"images directly in {_list(flat)}",
            "put the images of each class into a folder of its own, or name their labels in a "
            "CSV file with data=csv",
        )
    return False


def _trained_classes(train: Folder, notes: list[str]) -> Classes:
    top = _innermost(train, within_split=True)
    if top.problems:
        raise top.problems[0]
    return _classes(top, top.folders, {}, notes)


def _evaluated_classes(
    folder: Folder, trained: Classes, train: Folder, split: Split, notes: list[str]
) -> Classes:
    """The class folders of ``val`` or ``test`` by the names that training has for the classes."""
    full = [each for each in folder.folders if each.count]
    if len(full) == 1 and full[0].name not in trained and _is_nested(full[0]):
        folder = full[0]
    if folder.problems:
        raise folder.problems[0]
    classes, unknown = _matched(folder, trained)
    if len(unknown) == 1 and not classes:
        notes.append(_without_labels(unknown[0], split, train))
        return {}
    if unknown:
        raise UsageError(
            "data.root",
            expected=f"the class folders {_names(sorted(trained))} in {folder.path}",
            found=f"{_names(each.name for each in unknown)}, of which {train.path} has none",
            remedy="add images of it to train on, or remove it there",
        )
    if missing := sorted(trained.keys() - classes.keys()):
        notes.append(f"{folder.path} has no images of {_names(missing)}")
    notes += _stray(folder)
    return classes


def _matched(folder: Folder, trained: Classes) -> tuple[Classes, list[Folder]]:
    """The folders with images in ``folder``, by the class of training, and those of no class.

    Upper and lower case may differ where this leaves no doubt.
    """
    by_lower_case: dict[str, list[str]] = {}
    for name in trained:
        by_lower_case.setdefault(name.casefold(), []).append(name)
    classes: Classes = {}
    unknown: list[Folder] = []
    # Exact names first, so that none loses its place to a similar one.
    for each in sorted(folder.folders, key=lambda each: each.name not in trained):
        similar = by_lower_case.get(each.name.casefold(), [])
        name = each.name if each.name in trained else "".join(similar[:1])
        if not each.count:
            continue
        if not name or name in classes or (name != each.name and len(similar) > 1):
            unknown.append(each)
        else:
            classes[name] = each
    return classes, unknown


def _stray(folder: Folder) -> list[str]:
    """A line about images beside the folders in ``folder``, if there are any."""
    count = len(folder.pictures)
    return [f"passed over {count} images directly in {folder.path}"] if count else []


def _without_labels(folder: Folder, split: Split, train: Folder) -> str:
    what = f"passed over {folder.count} images in {folder.path}, which are in no class folders"
    return what if split == "train" else f"{what}: {split} is drawn from {train.path}"


def _splits_in_classes(top: Folder, notes: list[str]) -> dict[Split, Classes]:
    """The classes of each split where every class folder holds the splits."""
    found: dict[Split, Classes] = {}
    full = [folder for folder in top.folders if folder.count]
    for folder in full:
        inner = [each for each in folder.folders if each.count]
        named = splits_named(each.name for each in inner)
        splits = [named.get(each.name) for each in inner]
        if folder.pictures or None in splits or len(set(splits)) < max(2, len(splits)):
            return {}
        if "train" not in splits:
            return {}
        for each in inner:
            found.setdefault(named[each.name], {})[folder.name] = each
    if found:
        notes.append(f"the class folders in {top.path} hold the splits")
    return found


def _classes(
    top: Folder, folders: Sequence[Folder], named: dict[str, Split], notes: list[str]
) -> Classes:
    """The class folders among ``folders``.

    Raises:
        UsageError: one of them holds no image.
    """
    classes: Classes = {}
    beside: list[Folder] = []
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
        notes.append(f"passed over folders without images: {_list(beside)}")
    notes += _stray(top)
    notes.extend(
        f"{classes[name].path} is taken for a class, as it holds images like the other folders"
        for name in classes
        if name in named
    )
    return classes


def _unclear(expected: str, found: str, remedy: str) -> UsageError:
    return UsageError("data.root", expected=expected, found=found, remedy=remedy)


def _list(folders: Sequence[Folder]) -> str:
    return _names([folder.path for folder in folders])


def _names(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
