"""Food-101 (Bossard et al., 2014): 101,000 photographs of 101 dishes, 5 GB."""

from __future__ import annotations

from typing import Any, ClassVar

from torchvision.datasets import Food101

from src.data.dataset_module import DatasetModule
from src.data.pipeline.split import Split
from src.data.torchvision_datasets import Files, TorchvisionDataset


class Food101Dataset(TorchvisionDataset):
    """101 dishes with the published test split; the labels of the training split have errors."""

    archives: ClassVar[dict[str, str]] = {"food-101.tar.gz": Food101._URL}  # noqa: SLF001
    unpacked: ClassVar[tuple[str, ...]] = ("food-101/meta", "food-101/images")

    def source(self, split: str, *, download: bool = False) -> Any:
        return Food101(str(self.folder), split=split, download=download)

    def splits(self) -> dict[Split, str]:
        return {"train": "train", "test": "test"}

    def files(self, source: Any) -> Files:
        return source._image_files, source._labels  # noqa: SLF001


class Food101Data(DatasetModule, dataset=Food101Dataset):
    pass
