"""Stages of a network from its input to its head, for unfreezing and layer-wise rates."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd

_BODY = "features"  # the module that holds the stages in some torchvision networks


def stages(network: nn.Module) -> list[nn.ModuleList]:
    """Return the parts of a network that have weights, in order; the last is the head.

    A part without a convolution or linear layer, for example a normalisation, belongs to the part
    before it.
    """
    parts: list[nn.ModuleList] = []
    for part in _children(network):
        if not any(True for _ in part.parameters()):
            continue
        if parts and not any(isinstance(module, _ConvNd | nn.Linear) for module in part.modules()):
            parts[-1].append(part)
        else:
            parts.append(nn.ModuleList([part]))
    return parts


def _children(network: nn.Module) -> list[nn.Module]:
    return [
        part
        for name, child in network.named_children()
        for part in (child.children() if name == _BODY else [child])
    ]
