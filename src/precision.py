"""Which precision to train in when the user names none."""

from __future__ import annotations

from typing import Literal

import torch

from src import machine
from src.models.classifier import Classifier

Precision = Literal["32-true", "bf16-mixed"]


def choose_precision(accelerator: str, model: Classifier) -> Precision:
    """bf16 autocast where the hardware multiplies it natively and this architecture gains."""
    if accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    if accelerator in {"auto", "cpu"} and machine.has_bfloat16() and model.faster_in_bfloat16:
        return "bf16-mixed"
    return "32-true"
