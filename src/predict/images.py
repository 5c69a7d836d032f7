"""Image files that a command line names: find them, and read them one batch ahead."""

from __future__ import annotations

import glob
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from src.data.folder_walk import note_on, read_folder
from src.data.pipeline.image_file import UnreadableImageError, read_image
from src.errors import UsageError, describe
from src.shipped.predict_files import ADDRESS, STANDARD_INPUT
from src.system import machine

Prepare = Callable[[Image.Image], NDArray[Any]]  # from an image in RGB to the file's input


@dataclass(frozen=True)
class LoadedImage:
    """An image file with its preprocessed pixels, or with the error of reading it.

    Args:
        path: of the file.
        pixels: the file's input for it, without the batch; None if the file cannot be read.
        problem: the error; None if there are pixels.
    """

    path: Path
    pixels: NDArray[Any] | None
    problem: UsageError | None = None


def find(names: Sequence[str], warn: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Return the named image files, and all images in the named folders and below.

    The images of a folder are sorted. A pattern stands for the files and folders that it matches;
    it comes from a program or a script that has no shell to expand it.

    Args:
        names: paths of files and folders, or patterns.
        warn: called with a line about the files of a folder that are not images, if it has any.

    Raises:
        UsageError: a name is neither a file nor a folder, or a folder has no images or holds a
            link that leads out of it.
    """
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            paths += _in_folder(path, warn)
        elif path.is_file():
            paths.append(path)
        elif matches := sorted(glob.glob(name)):  # noqa: PTH207  # Path's takes no absolute one
            paths += find(matches, warn)
        else:
            raise UsageError(
                "IMAGE",
                expected="an image file or a folder of them",
                found=f"{name}, which is neither",
                remedy=_remedy_for(name),
            )
    return paths


def _remedy_for(name: str) -> str:
    """Return what to do about a name that is no path."""
    if ADDRESS.match(name):
        return "download the image, and name its file"
    if name == STANDARD_INPUT:
        return "standard input is not read; write the image to a file, and name that"
    if glob.has_magic(name):
        return "no file matches this pattern: mend it, or name the folder"
    return "mend the path"


def _in_folder(path: Path, warn: Callable[[str], None]) -> list[Path]:
    folder = read_folder(path, "IMAGE")
    paths = sorted(map(Path, folder.all_images()))
    note = note_on([folder], str(path))
    if not paths:
        raise UsageError(
            "IMAGE",
            expected="images in a folder",
            found=f"none in {path}{f' ({note})' if note else ''}",
            remedy="name another",
        )
    if note:
        warn(note)
    return paths


def batches(paths: Sequence[Path], prepare: Prepare, size: int) -> Generator[list[LoadedImage]]:
    """Yield all images in order, ``size`` at a time, while threads read the next batch.

    At most two batches are in memory at once. ``prepare`` gives the file's input for an image.
    """
    pool = ThreadPoolExecutor(machine.usable_cores())

    def begin(start: int) -> list[Future[LoadedImage]]:
        return [pool.submit(_load, path, prepare) for path in paths[start : start + size]]

    try:
        pending = begin(0)
        for start in range(0, len(paths), size):
            ready, pending = [future.result() for future in pending], begin(start + size)
            yield ready
    finally:
        # If the caller stops early, only the images that are being decoded are waited for.
        pool.shutdown(cancel_futures=True)


def _load(path: Path, prepare: Prepare) -> LoadedImage:
    try:
        return LoadedImage(path, prepare(read_image(path)))
    except Exception as error:  # any error of a library here is caused by this one image
        cause = error.__cause__ if isinstance(error, UnreadableImageError) else None
        problem = UsageError(
            str(path),
            expected="an image that Pillow can decode",
            found=describe(cause or error),
            remedy="replace or remove the file",
        )
        return LoadedImage(path, None, problem)
