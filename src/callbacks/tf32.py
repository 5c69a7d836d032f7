"""TF32 matrix multiplication for training on an NVIDIA GPU."""

from __future__ import annotations

import torch
from lightning.pytorch import Callback, LightningModule, Trainer


class Tf32(Callback):
    """Lets fp32 matrix products use TF32 during a fit, as torch's convolutions do by default.

    Affects what autocast leaves in fp32, and ``trainer.precision=32-true``. ``test`` and
    ``predict`` stay in fp32. https://docs.pytorch.org/docs/stable/notes/cuda.html#tf32-on-ampere
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
