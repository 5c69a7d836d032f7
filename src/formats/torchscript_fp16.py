"""TorchScript with weights and products in fp16, for a GPU; images and logits stay in fp32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.base import ExportSource
from src.backends.torch.runtime import TorchRuntime
from src.formats import torchscript

requires = torchscript.requires
runs_with = torchscript.runs_with
devices = ("cuda",)
precision = "fp16"
tolerance = 2e-2  # as onnx_fp16's: 11 bits of mantissa


def export(source: ExportSource, folder: Path) -> None:
    from src.backends.torch.half_precision import narrowed

    torchscript.write(narrowed(source.network, "float16"), source, folder)


def usage(preprocessing: dict[str, Any]) -> str:
    return torchscript.usage(preprocessing, "cuda")


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    return torchscript.load(folder, device, threads, precision)
