"""Matrix products of a training in fp32 on an NVIDIA GPU."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class Tf32(Callback):
    """Multiplies fp32 matrices by TF32 during a fit, as torch does with convolutions anyway.

    For what autocast leaves in fp32, and for ``trainer.precision=32-true``. Test and prediction
    are not of a fit. https://docs.pytorch.org/docs/stable/notes/cuda.html#tf32-on-ampere
    """

    def __init__(self) -> None:
        self._before = "highest"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.strategy.root_device.type == "cuda":
            self._before = torch.get_float32_matmul_precision()
            torch.set_float32_matmul_precision("high")

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit" and trainer.strategy.root_device.type == "cuda":
            torch.set_float32_matmul_precision(self._before)
