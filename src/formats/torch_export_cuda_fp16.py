"""``torch_export_cuda`` with weights and products in fp16; images and logits stay in fp32."""

from __future__ import annotations

from pathlib import Path

from src.formats import _aoti, torch_export_cuda
from src.formats._cuda import require_gpu
from src.formats._torch import TorchRuntime
from src.formats.base import ExportSource

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

    from src.formats._narrow import narrowed

    place = require_gpu(compiling=True)
    _aoti.export(source, folder, narrowed(source.simplified, "float16"), place, torch.float16)


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    return _aoti.load(folder, device, threads, precision)
