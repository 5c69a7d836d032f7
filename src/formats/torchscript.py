"""TorchScript: the bare network scripted, frozen, and optimised for inference."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource
from src.backends.torch.runtime import TorchRuntime, open_device
from src.run import usage_code

if TYPE_CHECKING:
    from torch import nn

requires = ("torch",)
runs_with = ("torch",)
devices = ("cpu", "cuda")
precision = "fp32"
tolerance = 5e-3  # as eager's: BatchNorm folded into convolutions

_METADATA = "lightship.json"  # an extra file inside the archive


def export(source: ExportSource, folder: Path) -> None:
    # Not the simplified network: timed side by side, TorchScript gained nothing by it.
    write(source.network, source, folder)


def write(network: nn.Module, source: ExportSource, folder: Path) -> None:
    """Script ``network``, freeze it and write it with the metadata of ``source``."""
    import torch

    with warnings.catch_warnings():
        # torch names torch.export as the successor; this format is TorchScript on purpose.
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        scripted = torch.jit.script(network)
        # Freezing folds BatchNorm into the convolution before it; the weights become
        # constants, which torch.jit.load moves to the device it is asked for.
        frozen = torch.jit.freeze(scripted)
        extra = {_METADATA: json.dumps(source.metadata())}
        content = io.BytesIO()
        torch.jit.save(frozen, content, _extra_files=extra)
    # By way of memory: writing to a full disk, torch.jit.save ends the process with SIGABRT.
    (folder / "model.pt").write_bytes(content.getbuffer())


def usage(preprocessing: dict[str, Any], device: str = "cpu") -> str:
    """Lines of Python that use the file: see :meth:`src.formats.base.Format.usage`."""
    opening = [
        f'inside = {{"{_METADATA}": ""}}',
        f'model = torch.jit.load("{usage_code.FOLDER}/model.pt", "{device}", _extra_files=inside)',
        f'names = json.loads(inside["{_METADATA}"])["class_names"]',
    ]
    call = f"model({usage_code.tensor(device)})"
    return usage_code.lines(["import torch"], opening, preprocessing, call)


def load(folder: Path, device: str, threads: int, precision: str = precision) -> TorchRuntime:
    """The runtime of an exported folder: see :meth:`src.formats.base.Format.load`."""
    import torch

    place = open_device(device, threads)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit.*", category=DeprecationWarning)
        module = torch.jit.load(  # type: ignore[no-untyped-call]  # torch has not typed it
            folder / "model.pt", map_location=place
        )
    return TorchRuntime(module, place, precision)
