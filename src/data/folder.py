"""What is in a folder of images, in one walk that opens no file and asks for none's status."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from src import links
from src.errors import UsageError


def class_folders(folder: Path, root: Path) -> list[str]:
    """The names of the folders in ``folder``, sorted, hidden ones left out.

    Args:
        folder: the root itself, or one of its splits.
        root: of the data set; no link may lead out of it.

    Raises:
        UsageError: ``folder`` cannot be read, or holds a link to outside.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and _stays_inside(entry, root) and entry.is_dir()
            )
    except OSError as error:
        raise UsageError(
            "data.root",
            expected="a folder of class folders",
            found=f"{folder} ({error.strerror})",
            remedy="set data.root=PATH",
        ) from error


def pictures_in(folder: Path, root: Path) -> list[str]:
    """The paths of the image files in ``folder`` and all below it, sorted, hidden ones left out.

    A file is an image by the ending of its name.

    Raises:
        UsageError: a link leads out of ``root``, or to a folder that it is in itself.
    """
    extensions = frozenset(Image.registered_extensions())
    return sorted(
        path
        for path in _files(str(folder), root)
        if os.path.splitext(path)[1].lower() in extensions  # noqa: PTH122  # Path() costs 20 times
    )


def _files(folder: str, root: Path) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not _stays_inside(entry, root):
                continue
            if entry.is_dir():
                yield from _files(entry.path, root)
            else:
                yield entry.path


def _stays_inside(entry: os.DirEntry[str], root: Path) -> bool:
    if entry.is_symlink():  # known from the folder's listing: no system call
        require_inside(entry.path, root)
    return True


def require_inside(path: str, root: Path, argument: str = "data.root") -> None:
    """Refuse a path that leads out of ``root``, or a link to a folder that it is in.

    Such a link is how a data set of unknown origin gets at a file that is none of its business.

    Raises:
        UsageError: it does.
    """
    if target := links.target_outside(path, root):
        found = f"{path}, which leads to {target}"
    elif Path(path).is_symlink() and Path(path).parent.resolve().is_relative_to(
        Path(path).resolve()
    ):
        found = f"{path}, a link to a folder that holds it"
    else:
        return
    raise UsageError(
        argument,
        expected=f"images within {root}",
        found=found,
        remedy="copy the files there instead of linking them",
    )
