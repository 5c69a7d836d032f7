"""Asks a network, before anything is trained, whether it takes the images it will get."""

from __future__ import annotations

import copy

import torch
from torch import nn

from src.errors import UsageError, describe

# Sides that are tried for the remedy: from that of digits to that of most pretrained weights.
_SIDES = (32, 48, 64, 96, 128, 160, 224, 299, 384, 512)
_ENOUGH = 2  # images: BatchNorm takes these whatever their size, so no larger batch is tried
_SHOWN = 200  # characters of what the network says


def require_fitting(
    name: str, network: nn.Module, side: int, batch_size: int, *, training: bool
) -> None:
    """Run one batch of blank images through a copy of ``network``.

    Some networks halve a small image until nothing is left of it. In training mode BatchNorm needs
    more than one value a channel, which a single image may not leave it.

    Args:
        name: of the network, for the message.
        network: on the CPU, in any mode; it is left as it is.
        side: of the square images, in pixels.
        batch_size: images of the smallest batch that there will be.
        training: ask in training mode.

    Raises:
        UsageError: it does not take them.
    """
    tried = copy.deepcopy(network).train(training)
    images = min(batch_size, _ENOUGH)
    problem = _problem(tried, images, side)
    if problem is None:
        return
    found = f"{describe(problem)[:_SHOWN]}"
    if images < _ENOUGH and _problem(tried, _ENOUGH, side) is None:
        raise UsageError(
            "data.batch_size",
            expected=f"at least {_ENOUGH} images a batch to train {name} on {side}x{side} pixels",
            found=f"{images} ({found})",
            remedy=f"set data.batch_size={_ENOUGH} or more, with as many training images",
        ) from problem
    larger = (tried_side for tried_side in _SIDES if tried_side > side)
    enough = next((larger_side for larger_side in larger if _takes(tried, larger_side)), None)
    raise UsageError(
        "data.image_size",
        expected=f"images that {name} takes",
        found=f"{side}x{side} pixels ({found})",
        remedy=f"set data.image_size={enough}" if enough else "choose another model",
    ) from problem


def _takes(network: nn.Module, side: int) -> bool:
    return _problem(network, _ENOUGH, side) is None


def _problem(network: nn.Module, images: int, side: int) -> Exception | None:
    """What the network raises for a batch of images, or None."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # dropout draws random numbers
        try:
            network(torch.zeros(images, 3, side, side))
        except MemoryError:
            raise
        except Exception as error:  # whatever its layers say of the shape
            return error
    return None
