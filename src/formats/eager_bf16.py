"""Eager's network and weights in bf16 on a GPU: half the size, and the range of fp32."""

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
precision = "bf16"
tolerance = None  # 8 bits of mantissa: the accuracy is measured instead


def export(source: ExportSource, folder: Path) -> None:
    eager.export(source, folder, "bfloat16")


def usage(preprocessing: dict[str, Any]) -> str:
    line = 'model.to("cuda", torch.bfloat16, memory_format=torch.channels_last)'
    call = f"model({usage_code.tensor('cuda')}.to(torch.bfloat16))"
    return eager.usage(preprocessing, line, call=call)


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    from src.backends.torch.half_precision import narrowed

    place = open_device(device, threads)
    network = narrowed(eager.open_network(folder), "bfloat16").to(place)
    return TorchRuntime(network, place, precision)
