"""Eager's files on a GPU, with all kernels of a call launched at once by a CUDA graph.

A graph is captured for each batch size when it is first met: a service fixes its batch sizes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.torch import cuda
from src.backends.torch.runtime import open_device
from src.formats import eager
from src.run import usage_code

requires = eager.requires
runs_with = eager.runs_with
devices = ("cuda",)
precision = "fp32"
tolerance = 5e-3  # as eager's

export = eager.export


def usage(preprocessing: dict[str, Any]) -> str:
    call = f"model({usage_code.tensor('cuda')})"
    return eager.usage(preprocessing, *cuda.graph_usage(preprocessing), call=call)


def load(folder: Path, device: str, threads: int) -> cuda.GraphedRuntime:
    place = open_device(device, threads)
    return cuda.GraphedRuntime(eager.open_network(folder).to(place), place)
