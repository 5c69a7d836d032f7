"""A network's parts from its input to its head, for what treats early and late ones differently."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.conv import _ConvNd

_BODY = "features"  # where torchvision keeps the stages of those networks that have one module more


def stages(network: nn.Module) -> list[nn.ModuleList]:
    """The parts of a network that have weights, in order; the last is the head.

    A part without a convolution or linear layer of its own, as a normalisation, belongs to the
    part before it.
    """
    found: list[nn.ModuleList] = []
    for part in _children(network):
        if not any(True for _ in part.parameters()):
            continue
        if found and not any(isinstance(each, _ConvNd | nn.Linear) for each in part.modules()):
            found[-1].append(part)
        else:
            found.append(nn.ModuleList([part]))
    return found


def _children(network: nn.Module) -> list[nn.Module]:
    return [
        part
        for name, child in network.named_children()
        for part in (child.children() if name == _BODY else [child])
    ]
