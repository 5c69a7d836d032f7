"""Imagenette (Howard, 2019): 13,394 photographs of ten easy classes of ImageNet."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torchvision.datasets import Imagenette

from src.data.pipeline.split import Split
from src.data.preprocessing import IMAGENET_MEAN, IMAGENET_STD, ResizeRule
from src.data.torchvision_datasets import Files, PublishedImages

Size = Literal["full", "320px", "160px"]


class ImagenetteData(PublishedImages):
    """Ten classes; what is published as its validation split is the test split here.

    Args:
        root: folder that holds the data set; downloaded there when it is not.
        size: of the shorter side of the pictures in the archive.
    """

    archives: ClassVar[dict[str, str]] = {
        url.rpartition("/")[2]: url
        for url, _ in Imagenette._ARCHIVES.values()  # noqa: SLF001
    }

    def __init__(
        self,
        root: str = "data",
        size: Size = "320px",
        image_size: int = 224,
        batch_size: int = 32,
        num_workers: int | None = None,
        resize: ResizeRule = "crop",
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        split_seed: int = 0,
        **shared: Any,
    ) -> None:
        super().__init__(
            root, image_size, batch_size, num_workers, resize, mean, std, split_seed, **shared
        )
        self.size = size

    def source(self, split: str, *, download: bool = False) -> Any:
        return Imagenette(str(self.root), split=split, size=self.size, download=download)

    def splits(self) -> dict[Split, str]:
        return {"train": "train", "test": "val"}

    def files(self, source: Any) -> Files:
        paths, labels = zip(*source._samples, strict=True)  # noqa: SLF001
        return paths, labels

    def names(self, source: Any) -> list[str]:
        # torchvision gives the synonyms of each class; the first is the usual name.
        return [synonyms[0] for synonyms in source.classes]
