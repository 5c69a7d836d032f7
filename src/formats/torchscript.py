"""TorchScript: the bare network scripted, frozen, and optimised for inference."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

from src.formats import _usage
from src.formats._torch import TorchRuntime, open_device
from src.formats.base import ExportSource

requires = ("torch",)
runs_with = ("torch",)
devices = ("cpu", "cuda")
precision = "fp32"
tolerance = 5e-3  # as eager's: BatchNorm folded into convolutions, TF32 on CUDA

_METADATA = "lightship.json"  # an extra file inside the archive


def export(source: ExportSource, folder: Path) -> None:
    import torch

    with warnings.catch_warnings():
        # torch names torch.export as the successor; this format is TorchScript on purpose.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        # Not the simplified network: timed side by side, TorchScript gained nothing by it.
        scripted = torch.jit.script(source.network)
        # Freezing folds BatchNorm into the convolution before it; the weights become
        # constants, which torch.jit.load moves to the device it is asked for.
        frozen = torch.jit.freeze(scripted)
        extra = {_METADATA: json.dumps(source.metadata())}
        content = io.BytesIO()
        torch.jit.save(frozen, content, _extra_files=extra)
    # By way of memory: writing to a full disk, torch.jit.save ends the process with SIGABRT.
    (folder / "model.pt").write_bytes(content.getbuffer())


def usage(preprocessing: dict[str, Any]) -> str:
    opening = [
        f'inside = {{"{_METADATA}": ""}}',
        f'model = torch.jit.load("{_usage.FOLDER}/model.pt", "cpu", _extra_files=inside)',
        f'names = json.loads(inside["{_METADATA}"])["class_names"]',
    ]
    return _usage.lines(["import torch"], opening, preprocessing, "model(torch.from_numpy(images))")


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    import torch

    place = open_device(device, threads)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        module = torch.jit.load(  # type: ignore[no-untyped-call]  # torch has not typed it
            folder / "model.pt", map_location=place
        )
    return TorchRuntime(module, place)
