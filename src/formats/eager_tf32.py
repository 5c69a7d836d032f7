"""Eager's files on a GPU that multiplies float32 as TF32: 8 bits of exponent, 10 of mantissa."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.torch.runtime import TorchRuntime, open_device
from src.formats import eager
from src.run import usage_code

requires = eager.requires
runs_with = eager.runs_with
devices = ("cuda",)
precision = "tf32"
tolerance = 2e-2  # as fp16's, which has as many bits of mantissa

export = eager.export


def usage(preprocessing: dict[str, Any]) -> str:
    tf32 = [f"torch.backends.{part}.allow_tf32 = True" for part in ("cuda.matmul", "cudnn")]
    call = f"model({usage_code.tensor('cuda')})"
    return eager.usage(preprocessing, 'model.to("cuda")', *tf32, call=call)


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    place = open_device(device, threads, tf32=True)
    return TorchRuntime(eager.open_network(folder).to(place), place, precision)
