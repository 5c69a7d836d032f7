"""Default training precision, and check that the hardware supports the chosen one."""

from __future__ import annotations

from typing import Literal

import torch

from src.errors import UsageError
from src.models.classifier import Classifier
from src.system import machine

Precision = Literal["32-true", "16-mixed", "bf16-mixed"]

_TENSOR_CORES = 7  # the first compute capability whose GPUs multiply fp16 matrices natively


def choose_precision(accelerator: str, model: Classifier) -> Precision:
    """Return a precision that the hardware supports natively and that speeds up this model."""
    if accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available():
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed"
        return "16-mixed" if torch.cuda.get_device_capability()[0] >= _TENSOR_CORES else "32-true"
    if accelerator in {"auto", "cpu"} and machine.has_bfloat16() and model.faster_in_bfloat16:
        return "bf16-mixed"
    return "32-true"


def require_hardware(
    accelerator: str, precision: str | int | None, sync_batchnorm: bool = False
) -> None:
    """Refuse settings that this machine cannot run, or that Lightning would replace with a warning.

    Raises:
        UsageError: a GPU is asked for and there is none, or fp16 autocast or a synchronised
            BatchNorm on a CPU, which torch does not have.
    """
    has_gpu = torch.cuda.is_available() or torch.backends.mps.is_available()
    if accelerator in {"gpu", "cuda", "mps"} and not has_gpu:
        raise UsageError(
            "trainer.accelerator",
            expected="cpu or auto, for torch finds no GPU here",
            found=accelerator,
            remedy="set trainer=auto, which takes a GPU where there is one",
        )
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not has_gpu)
    if on_cpu and str(precision) in {"16", "16-mixed"}:
        raise UsageError(
            "trainer.precision",
            expected="32-true or bf16-mixed, for autocast to fp16 needs a GPU",
            found=str(precision),
            remedy="leave it out for what is faster here",
        )
    if on_cpu and sync_batchnorm:
        raise UsageError(
            "trainer.sync_batchnorm",
            expected="false on a CPU, for torch synchronises BatchNorm on GPUs only",
            found="true",
            remedy="leave it out",
        )
