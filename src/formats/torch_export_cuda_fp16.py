"""``torch_export_cuda`` with weights and products in fp16; images and logits stay in fp32."""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.torch import aot_inductor
from src.backends.torch.cuda import require_gpu
from src.backends.torch.runtime import TorchRuntime
from src.formats import torch_export_cuda

requires = torch_export_cuda.requires
runs_with = torch_export_cuda.runs_with
devices = torch_export_cuda.devices
precision = "fp16"
tolerance = 2e-2  # as onnx_fp16's: 11 bits of mantissa
compiles = True
varies = torch_export_cuda.varies

usage = torch_export_cuda.usage


def export(source: ExportSource, folder: Path) -> None:
    import torch

    from src.backends.torch.half_precision import narrowed

    place = require_gpu(compiling=True)
    aot_inductor.export(
        source, folder, narrowed(source.simplified, "float16"), place, torch.float16
    )


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    return aot_inductor.load(folder, device, threads, precision)
