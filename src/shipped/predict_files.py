"""The image files that a command line names: files, folders of them, and patterns."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING or __package__:  # a part of a package
    from .predict_images import formats
    from .predict_listing import files_in, is_pattern, matches_of
else:  # in the folder of a model
    from predict_images import formats
    from predict_listing import files_in, is_pattern, matches_of

ADDRESS = re.compile(r"(?i)(https?|ftps?|s3|gs)://")
STANDARD_INPUT = "-"  # its usual name
NamedFile = tuple[str, str | None]  # a path, and the reason why there is no image to read


def image_files(names: Sequence[str]) -> Iterator[NamedFile]:
    """Yield the path of each image with None, and each name of something else with the reason.

    The images of a folder and of the folders in it come in the order of their paths. They are told
    by their endings; hidden files and the folders of systems are left out. A pattern stands for
    what it matches, because the shell of Windows leaves it as it is.

    Args:
        names: of files, folders and patterns.
    """
    for name in names:
        if is_pattern(name):
            yield from _matched(name)
        else:
            yield from _named(name)


def _named(name: str) -> list[NamedFile]:
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116  # these are texts, and are printed as they came
    except OSError as error:
        return [(name, _no_path(name) or _reason_of(error))]
    return _in_folder(name) if stat.S_ISDIR(mode) else [(name, None)]


def _matched(pattern: str) -> Iterator[NamedFile]:
    matches, errors = matches_of(pattern)
    for path in matches:
        for file, problem in _named(path):
            # The opening of a pipe that matches by chance would block.
            is_other = problem is None and not os.path.isfile(file)  # noqa: PTH113
            yield file, "a pipe or a device" if is_other else problem
    for error in errors:
        yield str(error.filename), _reason_of(error)
    if not matches and not errors:
        yield pattern, _no_path(pattern) or "no file matches this pattern"


def _in_folder(folder: str) -> list[NamedFile]:
    known = formats()  # it registers a further one
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in known}
    paths, errors = files_in(folder, endings)
    files: list[NamedFile] = [(path, None) for path in paths]
    files += [(str(error.filename), _reason_of(error)) for error in errors]
    return sorted(files, key=lambda file: file[0]) or [(folder, "no images in this folder")]


def _no_path(name: str) -> str | None:
    """Return what to do about a name that is meant for something else than a path."""
    if ADDRESS.match(name):
        return "an address; download the image, and name its file"
    if name == STANDARD_INPUT:
        return "standard input is not read; name a file"
    return None


def _reason_of(error: OSError) -> str:
    """Return the reason why a file or folder cannot be read, in words."""
    if isinstance(error, FileNotFoundError):
        return "a link to nothing" if os.path.islink(error.filename) else "no such file"  # noqa: PTH114
    return error.strerror or str(error)
