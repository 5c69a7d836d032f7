"""Image files that a command line names: find them, and read them one batch ahead."""

from __future__ import annotations

import os
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
from src.shipped.predict_listing import is_pattern, matches_of
from src.system import machine, os_errors

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
        UsageError: a name is neither a file nor a folder, a folder has no images, cannot be read,
            or holds a link that leads out of it, or a pattern matches nothing.
    """
    paths: list[Path] = []
    for name in names:
        for path in _matches(name) if is_pattern(name) else [name]:
            if os.path.isdir(path):  # noqa: PTH112  # Path's raises for a folder without permission
                paths += _in_folder(Path(path), warn)
            elif os.path.isfile(path):  # noqa: PTH113
                paths.append(Path(path))
            else:
                raise _refusal(path)
    return paths


def _matches(pattern: str) -> list[str]:
    """Return the paths that a pattern matches; at least one.

    Raises:
        UsageError: nothing matches, or a folder that may hold a match cannot be listed.
    """
    matches, errors = matches_of(pattern)
    if errors:
        raise UsageError(
            "IMAGE",
            expected="files and folders that can be read",
            found=f"{errors[0].filename} ({errors[0].strerror})",
            remedy="change its permissions, or name others",
        )
    if not matches:
        raise _refusal(pattern)
    return matches


def _refusal(name: str) -> UsageError:
    """Return the error for a name that is neither a file nor a folder, or that cannot be read."""
    found = f"{name}, which is neither"
    if ADDRESS.match(name):
        remedy = "download the image, and name its file"
    elif name == STANDARD_INPUT:
        remedy = "standard input is not read; write the image to a file, and name that"
    elif is_pattern(name):
        remedy = "no file matches this pattern: mend it, or name the folder"
    else:
        remedy = "pipes and devices are not read; write the image to a file, and name that"
        try:
            os.stat(name)  # noqa: PTH116
        except FileNotFoundError:
            is_link = os.path.islink(name)  # noqa: PTH114
            remedy = "mend the link, which leads to nothing" if is_link else "mend the path"
        except PermissionError as error:
            found, remedy = f"{name} ({error.strerror})", "change the permissions of its folder"
        except OSError as error:
            found, remedy = f"{name} ({error.strerror})", "mend the path"
    return UsageError(
        "IMAGE", expected="an image file or a folder of them", found=found, remedy=remedy
    )


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
        is_memory = os_errors.is_out_of_memory(error)
        cause = error.__cause__ if isinstance(error, UnreadableImageError) else None
        problem = UsageError(
            str(path),
            expected="memory to decode it" if is_memory else "an image that Pillow can decode",
            found=describe(cause or error),
            remedy="end other programs" if is_memory else "replace or remove the file",
        )
        return LoadedImage(path, None, problem)
