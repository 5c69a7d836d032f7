"""Oxford 102 Flowers (Nilsback & Zisserman, 2008): 8,189 photographs, 1,020 of them to train on."""

from __future__ import annotations

from typing import Any, ClassVar

from torchvision.datasets import Flowers102

from src.data.dataset_module import DatasetModule
from src.data.pipeline.split import Split
from src.data.torchvision_datasets import Files, TorchvisionDataset


class Flowers102Dataset(TorchvisionDataset):
    """102 kinds of flowers in the published splits: ten a kind to train on, ten to validate."""

    archives: ClassVar[dict[str, str]] = {
        f"flowers-102/{name}": f"{Flowers102._download_url_prefix}{name}"  # noqa: SLF001
        for name, _ in Flowers102._file_dict.values()  # noqa: SLF001
    }
    unpacked: ClassVar[tuple[str, ...]] = ("flowers-102/jpg",)

    def source(self, split: str, *, download: bool = False) -> Any:
        return Flowers102(str(self.folder), split=split, download=download)

    def splits(self) -> dict[Split, str]:
        return {"train": "train", "val": "val", "test": "test"}

    def files(self, source: Any) -> Files:
        return source._image_files, source._labels  # noqa: SLF001


class Flowers102Data(DatasetModule, dataset=Flowers102Dataset):
    pass
