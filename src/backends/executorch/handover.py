"""The file by which a network is handed over to the environment of ExecuTorch."""

from __future__ import annotations

from pathlib import Path

from src.backends.base import ExportSource
from src.backends.executorch.runtime import MOST_IMAGES


def program(source: ExportSource) -> Path:
    """Return the network as a program of ``torch.export``, written at the first call.

    XNNPACK folds BatchNorm itself, and it names the modules of the trained network.
    """
    import torch

    path = source.scratch / "network.pt2"
    if not path.is_file():
        batch = torch.export.Dim("batch", min=1, max=MOST_IMAGES)
        exported = torch.export.export(
            source.network, (source.example,), dynamic_shapes=({0: batch},)
        )
        part = path.with_stem(f"{path.stem}.part")  # one that was cut short is no program
        torch.export.save(exported, part)
        part.replace(path)
    return path
