"""torch.export, compiled ahead of time by AOTInductor: TorchScript's successor.

The package holds a shared library of this machine's code: it runs on processors that have the
instruction sets of the one it was exported on, and loading it runs what is in it, as with any
library. Exporting takes a C++ compiler; running does not.
"""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.torch import aot_inductor

requires = ("torch",)
runs_with = ("torch",)
devices = ("cpu",)  # a package is compiled for one kind of device
precision = "fp32"
tolerance = 5e-3  # other kernels, BatchNorm folded
compiles = True
varies = "the compiler's own names and paths are in it"

load = aot_inductor.load
usage = aot_inductor.usage


def export(source: ExportSource, folder: Path) -> None:
    import torch

    aot_inductor.export(source, folder, source.simplified, torch.device("cpu"), torch.float32)
