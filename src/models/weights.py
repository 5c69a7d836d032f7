"""Loading of weights whose name and shape match the network, with a list of the others."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.errors import UsageError, describe
from src.models import builders

# Prefixes that wrappers add to the names of weights: LightningModules of this and other projects,
# DistributedDataParallel, torch.compile.
_PREFIXES = ("network.", "model.", "module.", "_orig_mod.", "backbone.")


@dataclass(frozen=True)
class WeightMatch:
    """Comparison of the weights in a file with those of a network."""

    path: Path
    matching: list[str]
    missing: list[str]  # only in the network: they keep their random values
    unknown: list[str]  # only in the file
    other_shape: list[str]  # for example "fc.weight (1000, 512) for (10, 512)"

    def lines(self) -> list[str]:
        """Return lines for the user: how many tensors matched, and which did not."""
        total = len(self.matching) + len(self.missing) + len(self.other_shape)
        text = [f"weights: {len(self.matching)} of {total} tensors from {self.path}"]
        for title, names in (
            ("of another shape, left as they were", self.other_shape),
            ("not in the file, left as they were", self.missing),
            ("in the file only", self.unknown),
        ):
            if names:
                text.append(f"  {title}: {', '.join(names)}")
        return text


def load_into(network: nn.Module, path: Path) -> WeightMatch:
    """Copy the weights in ``path`` into ``network`` if name and shape are the same.

    The file is a state dict (``.pt``, ``.pth``), a safetensors file or a Lightning checkpoint. Only
    tensors and plain values are unpickled.

    Raises:
        UsageError: the file cannot be read, holds no weights, or none that matches.
    """
    weights = _without_prefixes(network, read(path))
    state = network.state_dict()
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    matching = [name for name in state if shapes.get(name) == tuple(state[name].shape)]
    if not any(state[name].is_floating_point() for name in matching):
        raise UsageError(
            "model.weights",
            expected="weights of this architecture",
            found=f"{path}, in which none has the name and shape of one of the network's, "
            f"but {', '.join(list(weights)[:3])}",
            remedy="choose the model that they are of",
        )
    builders.load_weights(network, {name: weights[name] for name in matching}, strict=False)
    reshaped = [name for name in state if name in shapes and name not in matching]
    return WeightMatch(
        path=path,
        matching=matching,
        missing=[name for name in state if name not in shapes],
        unknown=[name for name in weights if name not in state],
        other_shape=[f"{name} {shapes[name]} for {tuple(state[name].shape)}" for name in reshaped],
    )


def read(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file, by name.

    Raises:
        UsageError: the file has none, or needs the unpickling of other objects.
    """
    try:
        content = _content(path)
        inner = content.get("state_dict", content.get("model", content))
        weights = {str(key): value for key, value in inner.items() if isinstance(value, Tensor)}
    except Exception as error:  # the unpickler raises any type for a damaged file
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
        # Warnings about the pickle protocol: a damaged file is refused anyway.
        warnings.simplefilter("ignore", UserWarning)
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _without_prefixes(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip the wrappers' prefixes with which most names match those of the network."""
    names = network.state_dict().keys()
    best = weights
    candidate = weights
    while True:
        prefix = next((p for p in _PREFIXES if any(key.startswith(p) for key in candidate)), None)
        if prefix is None:
            return best
        # Drop the other keys: a checkpoint may hold tensors of other modules, such as metrics.
        candidate = {
            key.removeprefix(prefix): value
            for key, value in candidate.items()
            if key.startswith(prefix)
        }
        if len(names & candidate.keys()) > len(names & best.keys()):
            best = candidate


def _wrong(path: Path, found: str) -> UsageError:
    return UsageError(
        "model.weights",
        expected="a state dict, a safetensors file or a Lightning checkpoint, of tensors only",
        found=found if str(path) in found else f"{path} ({found})",
        remedy="name another file, or save the network's state_dict() with torch.save",
    )
