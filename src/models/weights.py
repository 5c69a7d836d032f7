"""Weights from a file into a network, as far as they fit, and an account of what did not."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.errors import UsageError, describe

# What wraps a network puts before the names of its weights: this project's LightningModule and
# others', DistributedDataParallel, torch.compile.
_PREFIXES = ("network.", "model.", "module.", "_orig_mod.", "backbone.")


@dataclass(frozen=True)
class Fit:
    """Which weights of a file fitted."""

    path: Path
    fitting: list[str]
    missing: list[str]  # in the network only: they keep their random values
    unknown: list[str]  # in the file only
    other_shape: list[str]  # as "fc.weight (1000, 512) for (10, 512)"

    def lines(self) -> list[str]:
        """What a user should know."""
        whole = len(self.fitting) + len(self.missing) + len(self.other_shape)
        text = [f"weights: {len(self.fitting)} of {whole} tensors from {self.path}"]
        for title, names in (
            ("of another shape, left as they were", self.other_shape),
            ("not in the file, left as they were", self.missing),
            ("in the file only", self.unknown),
        ):
            if names:
                text.append(f"  {title}: {', '.join(names)}")
        return text


def load_into(network: nn.Module, path: Path) -> Fit:
    """Copy the weights in ``path`` into ``network`` where name and shape are the same.

    A state dict (``.pt``, ``.pth``), a safetensors file or a Lightning checkpoint. Nothing in it
    is unpickled but tensors and plain values.

    Raises:
        UsageError: the file cannot be read, holds no weights, or none that fits.
    """
    weights = _named_as(network, read(path))
    wanted = network.state_dict()
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    fitting = [name for name in wanted if shapes.get(name) == tuple(wanted[name].shape)]
    if not any(wanted[name].is_floating_point() for name in fitting):
        raise UsageError(
            "model.weights",
            expected="weights of this architecture",
            found=f"{path}, in which none has the name and shape of one of the network's, "
            f"but {', '.join(list(weights)[:3])}",
            remedy="choose the model that they are of",
        )
    network.load_state_dict({name: weights[name] for name in fitting}, strict=False)
    other = [name for name in wanted if name in shapes and name not in fitting]
    return Fit(
        path=path,
        fitting=fitting,
        missing=[name for name in wanted if name not in shapes],
        unknown=[name for name in weights if name not in wanted],
        other_shape=[f"{name} {shapes[name]} for {tuple(wanted[name].shape)}" for name in other],
    )


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Raises:
        UsageError: there are none, or the file cannot be read without unpickling.
    """
    try:
        content = _content(path)
        inner = content.get("state_dict", content.get("model", content))
        weights = {str(key): value for key, value in inner.items() if isinstance(value, Tensor)}
    except Exception as error:  # the unpickler raises whatever a damaged file leads it to
        raise _wrong(path, describe(error)[:300]) from error
    if not weights:
        raise _wrong(path, f"{path} without a tensor")
    return weights


def _content(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise ValueError(str(error)) from error
    with warnings.catch_warnings():
        # Of pickle's protocol, in a file that is refused in the next moment, or that is whole.
        warnings.simplefilter("ignore", UserWarning)
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _named_as(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights without the prefixes under which most of them are the network's."""
    wanted = network.state_dict().keys()
    best = weights
    tried = weights
    while True:
        prefix = next((each for each in _PREFIXES if any(k.startswith(each) for k in tried)), None)
        if prefix is None:
            return best
        # Beside the network a checkpoint may hold other things, which are none of ours.
        tried = {
            key.removeprefix(prefix): value
            for key, value in tried.items()
            if key.startswith(prefix)
        }
        if len(wanted & tried.keys()) > len(wanted & best.keys()):
            best = tried


def _wrong(path: Path, found: str) -> UsageError:
    return UsageError(
        "model.weights",
        expected="a state dict, a safetensors file or a Lightning checkpoint, of tensors only",
        found=found if str(path) in found else f"{path} ({found})",
        remedy="name another file, or save the network's state_dict() with torch.save",
    )
