"""Stages of a network from its input to its head, for unfreezing and layer-wise rates."""

from __future__ import annotations

import re
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.conv import _ConvNd

# Modules that hold the stages: "features" in torchvision, the others in timm.
_BODIES = ("features", "blocks", "stages", "layers")
_HEAD = re.compile(r"head|classifier|fc")  # in the name of a module


def stages(network: nn.Module) -> list[nn.ModuleList]:
    """Return the parts of a network that have weights, in order; the last is the head.

    A part without a convolution or linear layer, for example a normalisation, belongs to the part
    before it. Parameters of the network itself, such as a class token, belong to the first part.
    All layers that give one value per class belong to the head.
    """
    parts: list[nn.ModuleList] = []
    names: list[str] = []
    for name, part in _children(network):
        if not any(True for _ in part.parameters()):
            continue
        if parts and not any(isinstance(module, _ConvNd | nn.Linear) for module in part.modules()):
            parts[-1].append(part)
        else:
            parts.append(nn.ModuleList([part]))
            names.append(name)
    own = list(network.parameters(recurse=False))
    if own:
        parts[0].append(nn.ParameterList(own))
    return _with_one_head(parts, names)


def _with_one_head(parts: list[nn.ModuleList], names: list[str]) -> list[nn.ModuleList]:
    """Move further heads, such as that of a distillation token, into the last part."""
    *others, last = parts
    classes = _outputs(last)
    heads = [
        part
        for part, name in zip(others, names, strict=False)
        if _HEAD.search(name) and _outputs(part) == classes
    ]
    if not heads:
        return parts
    merged = nn.ModuleList([module for part in (*heads, last) for module in part])
    return [*(part for part in others if not any(part is head for head in heads)), merged]


def _outputs(part: nn.Module) -> int | None:
    """Return the number of outputs of the last layer with weights; None without one."""
    layers = [module for module in part.modules() if isinstance(module, _ConvNd | nn.Linear)]
    return layers[-1].weight.shape[0] if layers else None


def _children(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if name in _BODIES and isinstance(child, nn.Sequential | nn.ModuleList):
            yield from ((name, part) for part in child)
        else:
            yield name, child
