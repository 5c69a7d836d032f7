"""The image files that a command line names: files, folders of them, and patterns."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING or __package__:  # a part of a package
    from .predict_images import formats
else:  # in the folder of a model
    from predict_images import formats

ADDRESS = re.compile(r"(?i)(https?|ftps?|s3|gs)://")
STANDARD_INPUT = "-"  # its usual name


def image_files(names: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Yield the path of each image with None, and each name of something else with the reason.

    The images of a folder and of the folders in it come in the order of their paths. They are told
    by their endings; hidden files are left out. A pattern stands for what it matches, because the
    shell of Windows leaves it as it is.

    Args:
        names: of files, folders and patterns.
    """
    for name in names:
        if os.path.isdir(name):  # noqa: PTH112  # these are texts, and are printed as they came
            paths = _in_folder(name)
            yield from ((path, None) for path in paths)
            if not paths:
                yield name, "no images in this folder"
        elif os.path.exists(name):  # noqa: PTH110
            yield name, None
        elif matches := sorted(glob.glob(name)):  # noqa: PTH207
            yield from image_files(matches)
        else:
            yield name, _absent(name)


def _in_folder(folder: str) -> list[str]:
    known = formats()  # it registers a further one
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in known}
    paths = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [
            os.path.join(place, name)  # noqa: PTH118
            for name in files
            if not name.startswith(".") and os.path.splitext(name)[1].lower() in endings  # noqa: PTH122
        ]
    return sorted(paths)


def _absent(name: str) -> str:
    """Return the reason why there is no image of this name."""
    if ADDRESS.match(name):
        return "an address; download the image, and name its file"
    if name == STANDARD_INPUT:
        return "standard input is not read; name a file"
    if glob.has_magic(name):
        return "no file matches this pattern"
    return "no such file"
