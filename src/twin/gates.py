"""Squeeze-excites of any class: modules that scale each channel of each image by a factor.

Classes of known names are recognised without a call: :func:`src.twin.replacements.find`. All others
are recognised by what they compute: the output is the input times a factor for each channel, and
the factors differ between channels and between images (Hu et al., 2018, arXiv 1709.01507).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from src.twin.replacements import SQUEEZE, find, is_within, mark_gated

_IMAGE_AXES = 4
_CLOSE = 1e-4  # of the largest output
_DIFFERENT = 1e-6  # factors


def marked(network: nn.Module, images: Tensor) -> nn.Module:
    """Return the network, in which :func:`find` finds squeeze-excites of any class.

    A class is recognised in one place for all: in a map of one pixel any module scales channels.

    Args:
        network: in eval mode on the CPU; it is not changed.
        images: at least two, (n, 3, H, W).

    Returns:
        The given network itself if there are none but those of known names; else a copy.
    """
    known = find(network).get(SQUEEZE, [])
    scaling = set(_scaling(copy.deepcopy(network), images))
    classes = {_class(network.get_submodule(path)) for path in scaling}
    paths = [
        path
        for path, module in network.named_modules()
        if path
        and _class(module) in classes
        and path not in known
        and not is_within(path, known)
        and not any(is_within(other, [path]) for other in known)
    ]
    paths = [path for path in paths if not is_within(path, paths)]
    if not paths:
        return network
    changed = copy.deepcopy(network)
    for path in paths:
        mark_gated(changed.get_submodule(path))
    return changed


def _class(module: nn.Module) -> tuple[str, str]:
    return type(module).__module__, type(module).__qualname__


def _scaling(network: nn.Module, images: Tensor) -> Iterable[str]:
    """Run a network, which gets hooks, and return the paths of modules that scale channels."""
    scaling: list[str] = []
    inputs: list[Tensor | None] = []

    def enter(_: nn.Module, args: tuple[object, ...]) -> None:
        is_one = len(args) == 1 and isinstance(args[0], Tensor) and args[0].dim() == _IMAGE_AXES
        # A copy: the module may modify its input.
        inputs.append(args[0].clone() if is_one and isinstance(args[0], Tensor) else None)

    def leaving(path: str) -> Callable[[nn.Module, tuple[object, ...], object], None]:
        def leave(_: nn.Module, __: tuple[object, ...], output: object) -> None:
            value = inputs.pop()
            if value is not None and isinstance(output, Tensor) and _scales(value, output):
                scaling.append(path)

        return leave

    for path, module in network.named_modules():
        if path and not type(module).__module__.startswith("torch.nn."):
            module.register_forward_pre_hook(enter)
            module.register_forward_hook(leaving(path))
    with torch.inference_mode():
        network(images.clone())
    return scaling


def _scales(value: Tensor, output: Tensor) -> bool:
    """Return True if an output is its input times factors of channels that depend on the image.

    Args:
        value: (N, C, H, W).
        output: of the module.
    """
    is_image = output.shape == value.shape and value.shape[2:].numel() > 1
    if not is_image or len(value) < 2 or not output.is_floating_point():  # noqa: PLR2004
        return False
    factors = (output * value).sum((2, 3)) / value.square().sum((2, 3)).clamp_min(1e-30)
    rest = (output - value * factors[:, :, None, None]).abs().max()
    if not rest <= _CLOSE * output.abs().max():
        return False
    is_used = value.abs().amax((2, 3)) > 0  # a channel of zeros has no factor
    factors = torch.where(is_used, factors, factors.mean())
    spread = [(factors.amax(axis) - factors.amin(axis)).max() for axis in (0, 1)]
    return all(bool(each > _DIFFERENT) for each in spread)
