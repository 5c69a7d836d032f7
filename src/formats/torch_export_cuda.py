"""The same as ``torch_export`` for the GPU that it is exported on, with Triton's kernels inside.

It runs on GPUs of the same compute capability; on others its row is skipped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from src.backends.base import ExportSource
from src.backends.torch import aot_inductor
from src.backends.torch.cuda import require_gpu

requires = ("torch",)
runs_with = ("torch",)
devices = ("cuda",)
precision = "fp32"
tolerance = 5e-3  # other kernels, BatchNorm folded
compiles = True
varies = "the compiler's own names and paths are in it"

load = aot_inductor.load


def export(source: ExportSource, folder: Path) -> None:
    import torch

    aot_inductor.export(
        source, folder, source.simplified, require_gpu(compiling=True), torch.float32
    )


def usage(preprocessing: dict[str, Any]) -> str:
    return aot_inductor.usage(preprocessing, "cuda")
