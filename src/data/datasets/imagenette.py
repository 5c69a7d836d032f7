"""Imagenette (Howard, 2019): 13,394 photographs of ten easy classes of ImageNet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from torchvision.datasets import Imagenette

from src.data.dataset_module import DatasetModule
from src.data.pipeline.split import Split
from src.data.torchvision_datasets import Files, TorchvisionDataset

Size = Literal["full", "320px", "160px"]


@dataclass(eq=False)
class ImagenetteDataset(TorchvisionDataset):
    """Ten classes. The published validation split is the test split here.

    Args:
        root: folder of the data set, which is downloaded there if it is missing.
        size: shorter side of the images in the archive.
    """

    archives: ClassVar[dict[str, str]] = {
        url.rpartition("/")[2]: url
        for url, _ in Imagenette._ARCHIVES.values()  # noqa: SLF001
    }

    size: Size = "320px"

    def source(self, split: str, *, download: bool = False) -> Any:
        return Imagenette(str(self.folder), split=split, size=self.size, download=download)

    def packed(self) -> list[str]:
        return [Imagenette._ARCHIVES[self.size][0].rpartition("/")[2]]  # noqa: SLF001

    def folders(self) -> list[Path]:
        return [self.folder / Path(name).stem for name in self.packed()]

    def splits(self) -> dict[Split, str]:
        return {"train": "train", "test": "val"}

    def files(self, source: Any) -> Files:
        paths, labels = zip(*source._samples, strict=True)  # noqa: SLF001
        return paths, labels

    def names(self, source: Any) -> list[str]:
        # torchvision gives the synonyms of each class; the first is the usual name.
        return [synonyms[0] for synonyms in source.classes]


class ImagenetteData(DatasetModule, dataset=ImagenetteDataset):
    pass
