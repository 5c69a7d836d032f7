"""The pictures that a command line names: found, and read a batch ahead."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.data.folder_walk import note_on, read_folder
from src.data.pipeline.image_file import UnreadableImageError, read_image
from src.data.preprocessing import Preprocessing
from src.errors import UsageError, describe
from src.system import machine


@dataclass(frozen=True)
class Picture:
    """One image file: its pixels as the network takes them, or why there are none."""

    path: Path
    pixels: NDArray[np.float32] | None  # (3, H, W)
    problem: UsageError | None = None


def find(names: Sequence[str], tell: Callable[[str], None] = lambda _: None) -> list[Path]:
    """The image files that are named, and those in named folders, at any depth, sorted.

    Args:
        names: of files and folders.
        tell: called with a line on the files in a folder that are no images, if there are any.

    Raises:
        UsageError: a name is neither a file nor a folder, or a folder has no images, or a link
            to what is not in it.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            found += _in_folder(path, tell)
        elif path.is_file():
            found.append(path)
        else:
            raise UsageError(
                "IMAGE",
                expected="an image file or a folder of them",
                found=f"{name}, which is neither",
                remedy="mend the path",
            )
    return found


def _in_folder(path: Path, tell: Callable[[str], None]) -> list[Path]:
    folder = read_folder(path, "IMAGE")
    pictures = sorted(Path(picture) for picture in folder.all_images())
    note = note_on([folder], str(path))
    if not pictures:
        raise UsageError(
            "IMAGE",
            expected="images in a folder",
            found=f"none in {path}{f' ({note})' if note else ''}",
            remedy="name another",
        )
    if note:
        tell(note)
    return pictures


def batches(
    paths: Sequence[Path], preprocessing: Preprocessing, size: int
) -> Generator[list[Picture]]:
    """All pictures in order, ``size`` at a time; the next ones are read meanwhile.

    No more than two batches are in memory at once.
    """
    pool = ThreadPoolExecutor(machine.usable_cores())

    def begin(start: int) -> list[Future[Picture]]:
        return [pool.submit(_picture, path, preprocessing) for path in paths[start : start + size]]

    try:
        ahead = begin(0)
        for start in range(0, len(paths), size):
            ready, ahead = [each.result() for each in ahead], begin(start + size)
            yield ready
    finally:
        # Whoever takes no more waits for the pictures in hand only.
        pool.shutdown(cancel_futures=True)


def _picture(path: Path, preprocessing: Preprocessing) -> Picture:
    try:
        return Picture(path, preprocessing(read_image(path)).numpy())
    except Exception as error:  # whatever a picture leads a library to is about that picture
        cause = error.__cause__ if isinstance(error, UnreadableImageError) else None
        problem = UsageError(
            str(path),
            expected="an image that Pillow can decode",
            found=describe(cause or error),
            remedy="replace or remove the file",
        )
        return Picture(path, None, problem)
