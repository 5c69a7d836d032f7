"""Eager's network and weights in fp16 on a GPU: half the size, products by tensor cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.base import ExportSource
from src.backends.torch.runtime import TorchRuntime, open_device
from src.formats import eager
from src.run import usage_code

requires = eager.requires
runs_with = eager.runs_with
devices = ("cuda",)
precision = "fp16"
tolerance = 2e-2  # as onnx_fp16's: 11 bits of mantissa


def export(source: ExportSource, folder: Path) -> None:
    eager.export(source, folder, "float16")


def usage(preprocessing: dict[str, Any]) -> str:
    line = 'model.to("cuda", torch.float16, memory_format=torch.channels_last)'
    call = f"model({usage_code.tensor('cuda')}.to(torch.float16))"
    return eager.usage(preprocessing, line, call=call)


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    from src.backends.torch.half_precision import narrowed

    place = open_device(device, threads)
    network = narrowed(eager.open_network(folder), "float16").to(place)
    return TorchRuntime(network, place, precision)
