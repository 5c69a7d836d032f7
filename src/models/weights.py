"""Loading of weights whose name and shape match the network, with a list of the others."""

from __future__ import annotations

import argparse
import re
import warnings
from collections.abc import KeysView, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from src.errors import UsageError, describe
from src.models import builders

# Prefixes that wrappers add to the names of weights: LightningModules of this and other projects,
# DistributedDataParallel, torch.compile.
_PREFIXES = (
    *("network.", "model.", "module.", "_orig_mod.", "backbone.", "net."),
    "timm_model.",  # of transformers
)

# Entries of a file that are its weights, before others that have as many: averages, for example.
_USUAL = ("state_dict", "model")
# Names in torchvision's files of DenseNet, such as denselayer1.norm.1.weight. Its own loading also
# renames them: https://github.com/pytorch/vision/pull/474
_FORMER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])(?=\.)")


@dataclass(frozen=True)
class WeightMatch:
    """Comparison of the weights in a file with those of a network."""

    path: Path
    matching: list[str]
    missing: list[str]  # only in the network: they keep their random values
    unknown: list[str]  # only in the file
    other_shape: list[str]  # for example "fc.weight (1000, 512) for (10, 512)"
    entry: str = ""  # of the file, whose weights these are; empty for the file itself
    not_used: list[str] = field(default_factory=list)  # entries in which as many match

    def lines(self) -> list[str]:
        """Return lines for the user: how many tensors matched, and which did not."""
        total = len(self.matching) + len(self.missing) + len(self.other_shape)
        entry = f", its {self.entry}" if self.entry not in {"", *_USUAL} else ""
        text = [f"weights: {len(self.matching)} of {total} tensors from {self.path}{entry}"]
        if self.not_used:
            text.append(f"  not used, though as many match: {', '.join(self.not_used)}")
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

    The file is a state dict (``.pt``, ``.pth``), a safetensors file, a Lightning checkpoint or
    another dictionary of which an entry is a state dict, for example ``model_state_dict``. Of
    several, the one in which the most names match is taken. Only tensors and plain values are
    unpickled.

    Raises:
        UsageError: the file cannot be read, holds no weights, or none that matches.
    """
    state = network.state_dict()
    entries = {
        entry: _without_prefixes(state.keys(), weights) for entry, weights in read(path).items()
    }
    counts = {entry: len(state.keys() & weights.keys()) for entry, weights in entries.items()}
    chosen = max(counts, key=lambda entry: counts[entry])  # the first of several
    weights = entries[chosen]
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
        entry=chosen,
        not_used=[entry for entry in counts if entry != chosen and counts[entry] == counts[chosen]],
    )


def read(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the tensors of a file, by its entry and their name.

    Returns:
        The entries that hold tensors, those with a usual name first; "" is the file itself.

    Raises:
        UsageError: the file has none, or needs the unpickling of other objects.
    """
    try:
        content = _content(path)
        inner = {str(key): value for key, value in content.items() if isinstance(value, Mapping)}
        order = [*(name for name in _USUAL if name in inner), *inner]
        places: dict[str, Any] = {name: inner[name] for name in order}
        places[""] = content
        tensors = {entry: _tensors(place) for entry, place in places.items()}
    except Exception as error:  # the unpickler raises any type for a damaged file
        raise _wrong(path, describe(error)[:300]) from error
    found = {entry: weights for entry, weights in tensors.items() if weights}
    if not found:
        raise _wrong(path, f"{path} without a tensor")
    return found


def _tensors(place: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        _FORMER.sub(r"\1\2", str(name)): value
        for name, value in place.items()
        if isinstance(value, Tensor)
    }


def _content(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return dict(load_file(path))
        except SafetensorError as error:
            raise ValueError(str(error)) from error
    # Checkpoints of timm and of torchvision's references hold the options of their training as such
    # a namespace of plain values.
    plain = torch.serialization.safe_globals([argparse.Namespace])
    with plain, warnings.catch_warnings():
        # Warnings about the pickle protocol: a damaged file is refused anyway.
        warnings.simplefilter("ignore", UserWarning)
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def _without_prefixes(names: KeysView[str], weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Strip the wrappers' prefixes with which most names match those of the network."""
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
