"""TorchScript: script, freeze, optimize_for_inference.

https://docs.pytorch.org/docs/stable/generated/torch.jit.optimize_for_inference.html
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from src.backends.torch.runtime import TorchRuntime, open_device
from src.formats.base import Format


class QuickTorchScript(Format):
    requires = runs_with = ("torch",)
    devices = ("cpu",)
    precision = "fp32"
    tolerance = 5e-3

    def export(self, source: Any, folder: Path) -> None:
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.freeze(torch.jit.script(source.network)), folder / "model.pt")

    def load(self, folder: Path, device: str, threads: int) -> TorchRuntime:
        import torch

        place = open_device(device, threads)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = torch.jit.optimize_for_inference(torch.jit.load(folder / "model.pt"))
        return TorchRuntime(module, place)
