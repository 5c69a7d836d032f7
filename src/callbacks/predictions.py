"""CSV file of the predictions of ``predict``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from torch import Tensor

from src.errors import printable
from src.models.classifier import Classifier
from src.system import atomic_files
from src.system.quoting import csv_cell


class PredictionWriter(BasePredictionWriter):
    """Writes one line an image: position in the split, true class, top-1, its probability, name.

    Args:
        path: file to write; several processes write ``<name>.rank<N>.csv`` each.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(write_interval="epoch")
        self.path = path

    def write_on_epoch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        predictions: Sequence[Any],
        batch_indices: Sequence[Any],
    ) -> None:
        names = cast("Classifier", pl_module).class_names
        probabilities: Tensor = torch.cat(list(predictions)).float()  # (N, K)
        best, labels = probabilities.max(dim=1)
        positions = [index for batch in batch_indices[0] for index in batch]
        dataset = cast("Any", trainer.predict_dataloaders).dataset
        targets = dataset.targets
        path = self.path
        if trainer.world_size > 1:
            path = path.with_suffix(f".rank{trainer.global_rank}.csv")
        with atomic_files.whole_file(path) as binary:
            file = io.TextIOWrapper(binary, encoding="utf-8", newline="", write_through=True)
            writer = csv.writer(file)
            writer.writerow(["position", "true", "predicted", "probability", "image"])
            for position, label, value in zip(positions, labels, best, strict=True):
                true = names[int(targets[position])]
                predicted = names[int(label)]
                image = printable(dataset.images.name(int(dataset.indices[position])))
                cells = csv_cell(true), csv_cell(predicted), f"{value:.6f}", csv_cell(image)
                writer.writerow([position, *cells])
            file.detach()
        print(f"predictions: {path}")
