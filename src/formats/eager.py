"""The baseline: the weights in safetensors, and the name of the network. No pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from src.backends.base import ExportSource, Metadata, Unavailable
from src.backends.torch.runtime import TorchRuntime, open_device
from src.errors import UsageError, describe
from src.formats.base import Format
from src.run import usage_code
from src.run.facts import PreprocessingFacts

if TYPE_CHECKING:
    from torch import Tensor, nn

    from src.backends.torch.half_precision import NarrowType

_WEIGHTS = "model.safetensors"
_NETWORK = "network.json"

# The line of the program that builds the network, by its library. The file's own name for a network
# of another library begins with the library.
_TORCHVISION_LINE = 'model = torchvision.models.get_model(network["builder"], **network["options"])'
_LOADING_LINE = f'model.load_state_dict(load_file("{usage_code.FOLDER}/{_WEIGHTS}"))'
_LOADING_LINES_WITHOUT_VERSION = f"""\
weights = load_file("{usage_code.FOLDER}/{_WEIGHTS}")
for name, value in model.state_dict().items():
    value.copy_(weights[name])  # load_state_dict asks for a version that the file does not have"""
_LINES_OF_LIBRARIES = {
    "timm": "import timm\n"
    'model = timm.create_model(network["builder"].removeprefix("timm/"), **network["options"])',
    "own": "from src.models.builders import construct  # needs PYTHONPATH=FOLDER_OF_LIGHTSHIP\n"
    'model = construct(network["builder"], network["options"])',
}


class _Recipe(msgspec.Struct):
    """The part of the description of the network that building it takes."""

    builder: str  # see src.models.builders
    options: dict[str, Any]  # the builder's arguments


class Eager(Format):
    """PyTorch's eager mode. Subclasses change the type of the weights, or how kernels are launched.

    Attributes:
        dtype: type of the weights in the file and of the products; None for the type of training.
        tf32: True to let a GPU compute products of float32 in TF32.
        runtime: class that runs the network.
    """

    requires = ("torch", "torchvision", "safetensors")
    runs_with = ("torch", "torchvision", "safetensors")
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    precision = "fp32"
    # The weights are the same, but another device has other kernels.
    tolerance: ClassVar[float | None] = 5e-3
    dtype: ClassVar[NarrowType | None] = None
    tf32: ClassVar[bool] = False
    runtime: ClassVar[type[TorchRuntime]] = TorchRuntime

    def export(self, source: ExportSource, folder: Path) -> None:
        import torch
        from safetensors.torch import save

        from src.models import builders

        state = _separate(source.network.state_dict())
        if self.dtype is not None:
            state = {
                name: value.to(getattr(torch, self.dtype)) if value.is_floating_point() else value
                for name, value in state.items()
            }
        # Serialized in memory first, so that a failed write raises an OSError with its errno.
        (folder / _WEIGHTS).write_bytes(save(state))
        library, _ = builders.split(source.builder)
        network = {
            "library": library,
            "builder": source.builder,
            "options": source.builder_options,
            **source.metadata(),
        }
        (folder / _NETWORK).write_text(json.dumps(network, indent=1), encoding="utf-8")

    def load(self, folder: Path, device: str, threads: int) -> TorchRuntime:
        torch_device = open_device(device, threads, tf32=self.tf32)
        network = open_network(folder)
        if self.dtype is not None:
            from src.backends.torch.half_precision import narrowed

            network = narrowed(network, self.dtype)
        return self.runtime(network.to(torch_device), torch_device, self.precision)

    def usage(self, preprocessing: PreprocessingFacts) -> str:
        return self.program(preprocessing)

    def usage_of(self, builder: str, preprocessing: PreprocessingFacts) -> str:
        from src.models import builders

        library, name = builders.split(builder)
        line = _LINES_OF_LIBRARIES.get(library, _TORCHVISION_LINE)
        program = self.usage(preprocessing).replace(_TORCHVISION_LINE, line)
        if builders.asks_for_version(library, name):
            program = program.replace(_LOADING_LINE, _LOADING_LINES_WITHOUT_VERSION)
        return program

    def packages_of(self, builder: str) -> list[str]:
        from src.models import builders

        library, _ = builders.split(builder)
        packages = [] if library == builders.OWN else [library]
        return list(dict.fromkeys([*self.runs_with, *packages]))

    def program(
        self,
        preprocessing: PreprocessingFacts,
        *changes: str,
        call: str = "model(torch.from_numpy(images))",
    ) -> str:
        """Return the program of :meth:`usage`.

        Args:
            preprocessing: as it is stored in the file.
            changes: further lines, which change ``model`` before it is called.
            call: the expression that computes the logits of ``images``.
        """
        opening = [
            f'network = json.load(open("{usage_code.FOLDER}/{_NETWORK}", encoding="utf-8"))',
            'names = network["class_names"]',
            _TORCHVISION_LINE,
            _LOADING_LINE,
            "model.eval()",
            "torch.set_grad_enabled(False)",
            *changes,
        ]
        imports = ["import torch", "import torchvision", "from safetensors.torch import load_file"]
        return usage_code.lines(imports, opening, preprocessing, call)


def _separate(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous tensors that share no memory: safetensors refuses those that do.

    Some networks use a layer, and so its weights, under several names. Each name is written.
    """
    separate: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, value in state.items():
        contiguous = value.contiguous()
        storage = contiguous.untyped_storage().data_ptr()
        separate[name] = contiguous.clone() if storage in taken else contiguous
        taken.add(storage)
    return separate


def open_network(folder: Path) -> nn.Module:
    """Return the exported network in eval mode, on the CPU.

    Raises:
        UsageError: the file names no known network, or the weights are not for it.
        Unavailable: the network's library is not installed.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from src.models import builders

    try:
        recipe = msgspec.json.decode((folder / _NETWORK).read_bytes(), type=_Recipe)
        # An outline takes no memory: the file decides what is built, and it may be anybody's.
        module = builders.outline(recipe.builder, recipe.options)
        weights = load_file(folder / _WEIGHTS)
        builders.require_weights_of(module, weights)
    except ModuleNotFoundError as error:
        raise Unavailable(f"not installed: {error.name}") from error
    except (ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        raise UsageError(
            str(folder / _NETWORK),
            expected="a network of torchvision, timm or src/models/own, with its weights beside it",
            found=describe(error),
            remedy="export the run again",
        ) from error
    # Built again in memory: the constructor computes buffers that a file does not store.
    network = builders.construct(recipe.builder, recipe.options)
    builders.load_weights(network, weights)
    return network.eval()


def image_size(folder: Path) -> int:
    """Return the height and width of the exported network's images, in pixels."""
    metadata = msgspec.json.decode((folder / _NETWORK).read_bytes(), type=Metadata)
    return metadata.preprocessing.image_size
