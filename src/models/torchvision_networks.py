"""Classifiers of torchvision: their names, constructors, weights and preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.vision_transformer import interpolate_embeddings

from src.errors import UsageError, describe
from src.models import weights_cache

# The auxiliary heads of these two would make the output in training mode a tuple.
_SINGLE_OUTPUT = {"aux_logits": False, "init_weights": True}
_WITH_AUXILIARY_HEADS = ("googlenet", "inception_v3")
_CENTRE = (0.5, 0.5, 0.5)


def names() -> list[str]:
    """Return the names of all classifiers."""
    return list(torchvision.models.list_models(module=torchvision.models))


def construct(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: one of :func:`names`.
        options: arguments of torchvision's builder, ``num_classes`` among them.
    """
    network: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return network


def default_options(name: str, side: int | None) -> dict[str, Any]:
    """Return the builder's arguments that differ from torchvision's defaults.

    Args:
        name: one of :func:`names`.
        side: height and width of the images, which some networks are built for; None if unknown.
    """
    if name in _WITH_AUXILIARY_HEADS:
        return dict(_SINGLE_OUTPUT)
    return {} if side is None else _size_options(name, side)


def _size_options(name: str, side: int) -> dict[str, Any]:
    if name.startswith("vit_"):
        return {"image_size": side}
    if name.startswith("maxvit_"):
        return {"input_size": [side, side]}
    return {}


def pretrained_weights(name: str, tag: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of published weights by name, downloaded once.

    Args:
        name: one of :func:`names`.
        tag: name of the weights, such as ``IMAGENET1K_V2``; empty for torchvision's default.
        options: arguments of the builder, without ``num_classes``.

    Raises:
        UsageError: the weights are not on this machine and cannot be downloaded.
    """
    weights = _weights(name, tag)
    left_out = set(_size_options(name, 0))
    if name in _WITH_AUXILIARY_HEADS:
        # Published weights set these themselves, and refuse other values.
        left_out |= {*_SINGLE_OUTPUT, "transform_input"}
    try:
        # Read the file first with weights_only, which refuses everything but tensors.
        torch.hub.load_state_dict_from_url(weights.url, check_hash=True, weights_only=True)
        # Weights of a fixed image size are those of a network of that size.
        kept = {option: value for option, value in options.items() if option not in left_out}
        source = torchvision.models.get_model(name, weights=weights, **kept)
    except (URLError, OSError, RuntimeError) as error:
        raise UsageError(
            "model.pretrained",
            expected=f"the weights {weights} at hand, or a network to download them",
            found=describe(error),
            remedy=weights_cache.remedy(
                error,
                "TORCH_HOME",
                f"put the file from {weights.url} into {torch.hub.get_dir()}/checkpoints",
            ),
        ) from error
    tensors = source.state_dict()
    side = options.get("image_size")
    if side and name.startswith("vit_") and side != source.image_size:
        # (1, 1 + patches, channels) of another number of patches.
        tensors = interpolate_embeddings(side, source.patch_size, tensors)
    return dict(tensors)


def tags(name: str) -> list[str]:
    """Return the names of the published weights of a network."""
    return [weights.name for weights in torchvision.models.get_model_weights(name)]


def preprocessing(name: str, tag: str = "") -> dict[str, object]:
    """Return the preprocessing that published weights expect.

    Args:
        name: one of :func:`names`.
        tag: name of the weights; empty for torchvision's default.

    Returns:
        Values of the data options ``image_size``, ``resize``, ``crop_share``, ``interpolation``,
        ``mean`` and ``std``.
    """
    preset = _weights(name, tag).transforms()
    # The weights of these two are of pixels from -1 to 1. torchvision's network, if it is built
    # with them, converts its input from ImageNet's mean and deviation to that.
    centred = name in _WITH_AUXILIARY_HEADS
    size, side = int(preset.crop_size[0]), int(preset.resize_size[0])
    return {
        "image_size": size,
        "resize": "crop",
        "crop_share": size / side,
        "interpolation": str(preset.interpolation.value),
        "mean": _CENTRE if centred else tuple(float(value) for value in preset.mean),
        "std": _CENTRE if centred else tuple(float(value) for value in preset.std),
    }


def _weights(name: str, tag: str) -> Any:
    return torchvision.models.get_model_weights(name)[tag or "DEFAULT"]
