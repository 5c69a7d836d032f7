"""Check before the training that a network accepts images of the chosen size."""

from __future__ import annotations

import copy

import torch
from torch import nn

from src.errors import UsageError, describe

# Image sizes tried for the remedy: from digits to most pretrained weights.
_SIDES = (32, 48, 64, 96, 128, 160, 224, 256, 299, 384, 512)
_IMAGES = 2  # enough for BatchNorm at any size, so no larger batch is tried
_SHOWN = 200  # characters of the network's error


def require_fitting(
    name: str, network: nn.Module, side: int, batch_size: int, *, training: bool
) -> None:
    """Run one batch of blank images through a copy of ``network``.

    Some networks halve a small image until no pixel is left. In training mode BatchNorm needs more
    than one value a channel, and a single image may leave only one.

    Args:
        name: name of the network, for the message.
        network: on the CPU, in any mode; it is not changed.
        side: height and width of the images, in pixels.
        batch_size: size of the smallest batch of the training.
        training: check in training mode.

    Raises:
        UsageError: the network raises an error for this batch.
    """
    trial = copy.deepcopy(network).train(training)
    images = min(batch_size, _IMAGES)
    problem = _problem(trial, images, side)
    if problem is None:
        return
    found = f"{describe(problem)[:_SHOWN]}"
    if images < _IMAGES and _problem(trial, _IMAGES, side) is None:
        raise UsageError(
            "data.batch_size",
            expected=f"at least {_IMAGES} images a batch to train {name} on {side}x{side} pixels",
            found=f"{images} ({found})",
            remedy=f"set data.batch_size={_IMAGES} or more, with as many training images",
        ) from problem
    accepted_side = next((other for other in other_sides(side) if _accepts(trial, other)), None)
    raise UsageError(
        "data.image_size",
        expected=f"images that {name} takes",
        found=f"{side}x{side} pixels ({found})",
        remedy=f"set data.image_size={accepted_side}" if accepted_side else "choose another model",
    ) from problem


def other_sides(side: int) -> list[int]:
    """Return sizes to try instead of ``side``: larger ones, the next first, then smaller ones."""
    larger = [other for other in _SIDES if other > side]
    return [*larger, *(other for other in reversed(_SIDES) if other < side)]


def _accepts(network: nn.Module, side: int) -> bool:
    return _problem(network, _IMAGES, side) is None


def _problem(network: nn.Module, images: int, side: int) -> Exception | None:
    """Return the error that the network raises for a batch of blank images, or None."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # dropout draws random numbers
        try:
            network(torch.zeros(images, 3, side, side))
        except MemoryError:
            raise
        except Exception as error:  # layers raise any type for a wrong shape
            return error
    return None
