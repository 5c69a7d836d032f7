"""Oxford-IIIT Pet (Parkhi et al., 2012): 7,349 photographs of 37 breeds of cats and dogs."""

from __future__ import annotations

from typing import Any, ClassVar

from torchvision.datasets import OxfordIIITPet

from src.data.dataset_module import DatasetModule
from src.data.pipeline.split import Split
from src.data.torchvision_datasets import Files, TorchvisionDataset


class PetsDataset(TorchvisionDataset):
    """37 breeds with the published test split."""

    archives: ClassVar[dict[str, str]] = {
        f"oxford-iiit-pet/{url.rpartition('/')[2]}": url
        for url, _ in OxfordIIITPet._RESOURCES  # noqa: SLF001
    }
    unpacked: ClassVar[tuple[str, ...]] = ("oxford-iiit-pet/images", "oxford-iiit-pet/annotations")

    def source(self, split: str, *, download: bool = False) -> Any:
        return OxfordIIITPet(str(self.folder), split=split, download=download)

    def splits(self) -> dict[Split, str]:
        return {"train": "trainval", "test": "test"}

    def files(self, source: Any) -> Files:
        return source._images, source._labels  # noqa: SLF001


class PetsData(DatasetModule, dataset=PetsDataset):
    pass
