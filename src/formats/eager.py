"""The baseline: torchvision's network and a state dict in safetensors, loadable without pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.backends.base import ExportSource
from src.backends.torch.runtime import TorchRuntime, open_device
from src.errors import UsageError, describe
from src.run import usage_code

if TYPE_CHECKING:
    from torch import nn

    from src.backends.torch.half_precision import NarrowType

requires = ("torch", "torchvision", "safetensors")
runs_with = ("torch", "torchvision", "safetensors")
devices = ("cpu", "cuda")
precision = "fp32"
# The same weights in another process, or on another device with other kernels.
tolerance = 5e-3

_WEIGHTS = "model.safetensors"
_NETWORK = "network.json"


def export(source: ExportSource, folder: Path, dtype: NarrowType | None = None) -> None:
    """See :meth:`src.formats.base.Format.export`.

    Args:
        source: the network.
        folder: empty.
        dtype: of the weights in the file; as they are by default.
    """
    import torch
    from safetensors.torch import save

    state = {name: value.contiguous() for name, value in source.network.state_dict().items()}
    if dtype is not None:
        state = {
            name: value.to(getattr(torch, dtype)) if value.is_floating_point() else value
            for name, value in state.items()
        }
    # By way of memory: what fails when it is written is then the system's error, with its number.
    (folder / _WEIGHTS).write_bytes(save(state))
    network = {
        "library": "torchvision",
        "builder": source.builder,
        "options": source.builder_options,
        **source.metadata(),
    }
    (folder / _NETWORK).write_text(json.dumps(network, indent=1), encoding="utf-8")


def load(folder: Path, device: str, threads: int) -> TorchRuntime:
    place = open_device(device, threads)
    return TorchRuntime(open_network(folder).to(place), place)


def usage(
    preprocessing: dict[str, Any], *compiling: str, call: str = "model(torch.from_numpy(images))"
) -> str:
    """Lines of Python that use the files.

    Args:
        preprocessing: as it travels inside the file.
        compiling: further lines, of what is done to ``model`` before it is called.
        call: an expression for the logits of ``images``.
    """
    opening = [
        f'network = json.load(open("{usage_code.FOLDER}/{_NETWORK}", encoding="utf-8"))',
        'names = network["class_names"]',
        'model = torchvision.models.get_model(network["builder"], **network["options"])',
        f'model.load_state_dict(load_file("{usage_code.FOLDER}/{_WEIGHTS}"))',
        "model.eval()",
        "torch.set_grad_enabled(False)",
        *compiling,
    ]
    imports = ["import torch", "import torchvision", "from safetensors.torch import load_file"]
    return usage_code.lines(imports, opening, preprocessing, call)


def open_network(folder: Path) -> nn.Module:
    """The exported network, in eval mode, on the CPU.

    Raises:
        UsageError: it is no network of torchvision's, or the weights are of another.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from src.models import builders

    try:
        network = read_metadata(folder)
        # In no memory: the file decides what is built, and it may be anybody's.
        module = builders.outline(network["builder"], network["options"])
        weights = load_file(folder / _WEIGHTS)
        builders.require_weights_of(module, weights)
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise UsageError(
            str(folder / _NETWORK),
            expected="a network of torchvision's, with its weights beside it",
            found=describe(error),
            remedy="export the run again",
        ) from error
    # Without random weights in between, of which none would be left.
    module.to_empty(device="cpu").load_state_dict(weights)
    return module.eval()


def read_metadata(folder: Path) -> dict[str, Any]:
    """What the file says beside the weights: the builder, the class names, the preprocessing."""
    content: dict[str, Any] = json.loads((folder / _NETWORK).read_text(encoding="utf-8"))
    return content
