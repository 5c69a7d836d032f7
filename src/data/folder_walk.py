"""Listing of a folder of images. Only files with an unknown ending are opened."""

from __future__ import annotations

import errno
import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from src.data import own_output
from src.data.pipeline.image_kind import can_read, ending_of, endings, kind_of, remedy_for
from src.errors import UsageError, one_line
from src.run.folder import LOG_FOLDER
from src.shipped.predict_listing import is_passed_over
from src.system import links, os_errors

_OUTPUT = "folders of Lightship's own output"
_OUTPUT_REMEDY = (
    "if one of them is a class, move its config.yaml, search.json or forecast.json away"
)
# Endings of text files, of which thousands can lie among images. These files are not opened.
_TEXT = frozenset({".csv", ".html", ".json", ".log", ".md", ".py", ".txt", ".xml", ".yaml", ".yml"})
_NO_FOLDER = "unpack an archive and name its folder; for a CSV file write data=csv data.file=PATH"
_NAMED = 6  # kinds of files in a line
_NAMED_FOLDERS = 3  # folders of output in a line
_LOOKED_AT = 1000  # entries of a folder in which one image is looked for
# Errors about a link whose target is not there, below a file, or the link itself.
_NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


@dataclass
class Folder:
    """The contents of a folder, without hidden files.

    Args:
        path: path of the folder.
        images: paths of the images directly in it.
        folders: the folders directly in it, sorted by path.
        passed_over: number of files directly in it that are not images, by kind.
        problems: errors about it and about files and folders directly in it that cannot be read.
        lost: paths of links to nothing directly in it that may be images or folders.
        count: number of images in it and below.
        is_output: Lightship has written it.
        outputs: paths of the folders directly in it that Lightship has written.
    """

    path: str
    images: list[str] = field(default_factory=list)
    folders: list[Folder] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    problems: list[UsageError] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    count: int = 0
    is_output: bool = False
    outputs: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return os.path.basename(self.path)  # noqa: PTH119  # Path() costs 20 times as much

    def walk(self) -> Iterator[Folder]:
        """Yield this folder and all folders below it."""
        pending = [self]
        while pending:
            folder = pending.pop()
            yield folder
            pending += folder.folders

    def all_images(self) -> list[str]:
        """Return the paths of the images in this folder and below, sorted.

        Raises:
            UsageError: a file or folder cannot be read, or is a link out of the folder.
        """
        for folder in self.walk():
            if folder.problems:
                raise folder.problems[0]
        return sorted(path for folder in self.walk() for path in folder.images)


def read_folder(path: Path, argument: str = "data.root") -> Folder:
    """List a folder and all folders below. A link out of it is recorded as a problem, not followed.

    A file is an image by the ending of its name, or by its first bytes if the ending is unknown.
    Folders that Lightship has written are passed over: they hold charts and thumbnails.

    Args:
        path: path of the folder.
        argument: name of the option that sets the path, for messages.

    Raises:
        UsageError: the folder itself cannot be read.
    """
    top = Folder(str(path))
    known = endings()
    order = [top]
    for folder in order:
        try:
            _scan(folder, path, argument, known)
        except OSError as error:
            wrong = _unreadable(argument, "a folder of images that can be read", folder.path, error)
            if folder is top:
                raise wrong from error
            folder.problems.append(wrong)
        for inner in folder.folders:
            if inner.name == LOG_FOLDER:
                inner.is_output = True
            else:
                order.append(inner)
    for folder in reversed(order):
        outputs = [inner for inner in folder.folders if inner.is_output]
        if outputs:
            folder.passed_over[_OUTPUT] += len(outputs)
            folder.outputs = [inner.path for inner in outputs]
            folder.folders = [inner for inner in folder.folders if not inner.is_output]
        folder.count = len(folder.images) + sum(inner.count for inner in folder.folders)
    return top


def has_image(folder: str) -> bool:
    """Return True if a file in a folder has the name of an image, among the first ones listed.

    Raises:
        OSError: the folder cannot be read.
    """
    known = endings()
    with os.scandir(folder) as entries:
        return any(
            ending_of(entry.name) in known and not is_passed_over(entry.name)
            for entry in itertools.islice(entries, _LOOKED_AT)
        )


def _scan(folder: Folder, root: Path, argument: str, known: frozenset[str]) -> None:
    names: set[str] = set()  # of Lightship's own files
    with os.scandir(folder.path) as entries:
        for entry in entries:
            name = entry.name
            if name in own_output.NAMES:
                names.add(name)
            if is_passed_over(name):
                continue
            try:
                _add(folder, entry, root, argument, known)
            except UsageError as error:
                folder.problems.append(error)
            except OSError as error:  # it is about this entry, and the others can be listed
                folder.problems.append(
                    _unreadable(argument, "files and folders that can be read", entry.path, error)
                )
    if names and folder.path != str(root) and own_output.has_written(folder.path, names):
        folder.is_output = True
        folder.folders = []  # these need no look
    folder.folders.sort(key=lambda inner: inner.path)


def _add(
    folder: Folder, entry: os.DirEntry[str], root: Path, argument: str, known: frozenset[str]
) -> None:
    """Add an entry of a folder to its contents.

    Raises:
        OSError: the entry cannot be read.
        UsageError: it is a link out of ``root``.
    """
    is_link = entry.is_symlink()  # part of the folder's listing: no system call
    if is_link:
        require_inside(entry.path, root, argument)
    if is_link and _leads_to_nothing(entry):
        folder.passed_over["links to nothing"] += 1
        if ending_of(entry.name) not in _TEXT:
            folder.lost.append(entry.path)
    elif entry.is_dir():
        folder.folders.append(Folder(entry.path))
    elif not entry.is_file():  # opening a pipe would block
        folder.passed_over["pipes"] += 1
    elif ending_of(entry.name) in known or (kind := _other_kind(entry.path)) is None:
        folder.images.append(entry.path)
    else:
        folder.passed_over[kind] += 1


def _leads_to_nothing(link: os.DirEntry[str]) -> bool:
    try:
        link.stat()
    except OSError as error:
        if error.errno not in _NOTHING:
            raise
        return True
    return False


def _unreadable(argument: str, expected: str, path: str, error: OSError) -> UsageError:
    if isinstance(error, NotADirectoryError):
        remedy = _NO_FOLDER
    elif error.errno in os_errors.OF_DISKS:
        remedy = "look at its disk, or connect it again"
    else:
        remedy = f"set {argument}=PATH, or change its permissions"
    found = f"{path} ({error.strerror})"
    return UsageError(argument, expected=expected, found=found, remedy=remedy)


def _other_kind(path: str) -> str | None:
    """Return the kind of a file without an image's ending; None if it is a readable image."""
    ending = ending_of(path)
    kind = None if ending in _TEXT else kind_of(path)
    if kind is None:
        return ending or "without an ending"
    return None if can_read(kind) else kind


def unread_images(folders: Iterable[Folder]) -> Counter[str]:
    """Return the number of images that the installed libraries cannot read, by kind."""
    kinds = _passed_over(folders)
    return Counter({kind: count for kind, count in kinds.items() if remedy_for(kind)})


def note_on(folders: Iterable[Folder], where: str) -> str | None:
    """Return a line on the files below ``folders`` that are not images; None if there are none."""
    folders = list(folders)
    kinds = _passed_over(folders)
    if not kinds:
        return None
    files = kinds.total() + sum(folder.count for folder in folders)
    order = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    named = [f"{count} {kind}" for kind, count in order[:_NAMED]]
    if rest := sum(count for _, count in order[_NAMED:]):
        named.append(f"{rest} of other kinds")
    remedies = [remedy for kind in kinds if (remedy := remedy_for(kind))]
    outputs = [path for top in folders for inner in top.walk() for path in inner.outputs]
    if outputs:
        more = len(outputs) - _NAMED_FOLDERS
        paths = ", ".join(outputs[:_NAMED_FOLDERS]) + (f" and {more} more" if more > 0 else "")
        remedies.append(one_line(f"Lightship's own output is {paths}: {_OUTPUT_REMEDY}"))
    line = f"passed over {kinds.total()} of {files} files in {where}: {', '.join(named)}"
    return "; ".join([line, *remedies])


def _passed_over(folders: Iterable[Folder]) -> Counter[str]:
    kinds: Counter[str] = Counter()
    for top in folders:
        for folder in top.walk():
            kinds += folder.passed_over
    return kinds


def require_inside(
    path: str,
    root: Path,
    argument: str = "data.root",
    remedy: str = "copy the files there instead of linking them, as cp -rL does",
) -> None:
    """Refuse a path that leads out of ``root``, and a link to a folder that contains it.

    By such a link a data set of unknown origin could read any file of the user.

    Args:
        path: path of a file or folder.
        root: the folder that it may not lead out of.
        argument: name of the option that sets the path, for the message.
        remedy: what the message advises.

    Raises:
        UsageError: the path is one of these.
    """
    if target := links.target_outside(path, root):
        found = f"{path}, which leads to {target}"
    elif links.leads_to_itself(path):
        found = f"{path}, a link to a folder that holds it"
    else:
        return
    raise UsageError(
        argument,
        expected=f"images within {root}",
        found=found,
        remedy=remedy,
    )
