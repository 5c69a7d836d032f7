"""Base class of the published photograph data sets that torchvision downloads."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torchvision.datasets import utils

from src.data.dataset import Photographs
from src.data.download import downloaded
from src.data.pipeline.dataset import LabelledImages
from src.data.pipeline.image_files import ImageFiles
from src.data.pipeline.split import Parts, Split, hold_out
from src.errors import UsageError
from src.system import file_locks
from src.system.paths import user_path

_VAL_SHARE = 0.1

Files = tuple[Iterable[str | Path], Iterable[int]]  # paths, and their labels


@dataclass(eq=False)
class TorchvisionDataset(Photographs):
    """A data set of photographs with its own test split.

    If it has no validation split, a tenth of its training split is for validation.

    Args:
        root: folder of the data set, which is downloaded there if it is missing.
    """

    archives: ClassVar[dict[str, str]]
    """URLs of the files that are downloaded, by file name."""
    unpacked: ClassVar[tuple[str, ...]] = ()
    """Folders that the archives unpack to, relative to ``root``."""

    root: str = "data"
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.folder = user_path(self.root, "data.root")

    @abstractmethod
    def source(self, split: str, *, download: bool = False) -> Any:
        """Return torchvision's data set of one split, given torchvision's name of the split."""

    @abstractmethod
    def splits(self) -> dict[Split, str]:
        """Return torchvision's names of the splits."""

    @abstractmethod
    def files(self, source: Any) -> Files:
        """Return the image files of torchvision's data set, and their labels.

        The files are opened by :func:`src.data.pipeline.image_file.read_image`. Torchvision keeps
        their paths in private attributes, which differ between its data sets.
        """

    def names(self, source: Any) -> list[str]:
        """Return the classes in label order."""
        return list(source.classes)

    @functools.cached_property
    def class_names(self) -> list[str]:
        self.prepare()
        return self.names(self.source(self.splits()["train"]))

    def prepare(self) -> None:
        """Download and unpack missing files. Unpack again what was interrupted.

        Raises:
            UsageError: they cannot be downloaded, or the archive of interrupted ones is missing.
        """
        downloaded(self._unpacked_whole, self.folder, self.archives)

    def packed(self) -> list[str]:
        """Return the names of the archives, which unpack to their own folder."""
        return [name for name in self.archives if name.endswith((".tgz", ".tar.gz"))]

    def folders(self) -> list[Path]:
        """Return the folders that the archives unpack to."""
        return [self.folder / name for name in self.unpacked]

    def _unpacked_whole(self) -> None:
        """Let torchvision download and unpack, behind a marker that an interruption leaves.

        Torchvision takes a folder that exists for a whole one. Other processes wait for the marker.
        """
        top = self.folders()[0].relative_to(self.folder).parts[0]
        marker = self.folder / f".{top}.unpacking"
        if self._has_folders() and not marker.exists():
            self.source(self.splits()["train"], download=True)
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with marker.open("ab") as file:
            file_locks.lock_exclusive(file.fileno())
            try:
                if self._has_folders() and marker.exists():  # else another process finished it
                    self._unpack_again(marker)
                self.source(self.splits()["train"], download=True)
            except BaseException:
                if not self._has_folders():  # torchvision sees that they are missing
                    marker.unlink(missing_ok=True)
                raise
            marker.unlink(missing_ok=True)

    def _has_folders(self) -> bool:
        return all(folder.is_dir() for folder in self.folders())

    def _unpack_again(self, marker: Path) -> None:
        archives = [self.folder / name for name in self.packed()]
        missing = [str(archive) for archive in archives if not archive.is_file()]
        if missing:
            folders = ", ".join(str(folder) for folder in self.folders())
            raise UsageError(
                "data.root",
                expected=f"{', '.join(missing)}, as its unpacking was interrupted",
                found="no such file",
                remedy=f"remove {folders} to download it again, or {marker} if nothing is missing",
            )
        for archive in archives:
            utils.extract_archive(str(archive), str(archive.parent))

    def load(self, split_seed: int) -> Parts[LabelledImages]:
        self.prepare()
        parts: Parts[LabelledImages] = {}
        for split, name in self.splits().items():
            paths, labels = self.files(self.source(name))
            images = ImageFiles([str(path) for path in paths], labels)
            parts[split] = (images, np.arange(len(images.paths)))
        if "val" not in parts:
            training, indices = parts["train"]
            kept, held_out = hold_out(indices, training.targets, _VAL_SHARE, split_seed)
            parts["train"], parts["val"] = (training, kept), (training, held_out)
        return parts
