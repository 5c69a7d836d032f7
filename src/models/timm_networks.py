"""Classifiers of timm (pytorch-image-models): names, constructors, weights and preprocessing.

timm is an optional package: without it, each function raises ModuleNotFoundError.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from src.errors import UsageError, describe
from src.models import weights_cache

# Arguments of timm.create_model that change more than the network's layers.
_REFUSED = ("features_only", "pretrained", "out_indices")
_INTERPOLATIONS = ("nearest", "bilinear", "bicubic")


def _timm() -> ModuleType:
    import timm

    module: ModuleType = timm
    return module


@functools.cache
def names() -> list[str]:
    """Return the names of all classifiers, without the tags of their weights."""
    return list(_timm().list_models(include_tags=False))


def construct(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: one of :func:`names`.
        options: arguments of ``timm.create_model``, ``num_classes`` among them.

    Raises:
        ValueError: an option would load weights or return features.
    """
    wrong = [option for option in options if option.startswith(_REFUSED)]
    if wrong:
        raise ValueError(f"{wrong[0]} is no option of a classifier's layers")
    network: nn.Module = _timm().create_model(name, pretrained=False, **options)
    return network


def default_options(name: str, side: int | None) -> dict[str, Any]:
    """Return the image size for networks that are built for one size.

    Args:
        name: one of :func:`names`.
        side: height and width of the images; None if unknown.
    """
    config = _timm().get_pretrained_cfg(name)
    is_fixed = config is not None and config.fixed_input_size
    return {"img_size": side} if is_fixed and side is not None else {}


def pretrained_weights(name: str, tag: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of published weights by name, downloaded once.

    timm reads files of tensors only (safetensors, or torch's with ``weights_only``).

    Args:
        name: one of :func:`names`.
        tag: of the weights, such as ``in12k_ft_in1k``; empty for timm's default.
        options: arguments of the builder, without ``num_classes``.

    Raises:
        UsageError: there are none, or they are not on this machine and cannot be downloaded.
    """
    full_name = f"{name}.{tag}" if tag else name
    if not tags(name):
        raise UsageError(
            "model.pretrained",
            expected="a network with published weights",
            found=f"timm/{name}, of which timm has none",
            remedy="leave out model.pretrained, or set model.weights=FILE",
        )
    try:
        source = _timm().create_model(full_name, pretrained=True, **options)
    except Exception as error:  # the hub's client has its own errors, for a missing network too
        raise UsageError(
            "model.pretrained",
            expected=f"timm's weights of {full_name} at hand, or a network to download them",
            found=describe(error),
            remedy=weights_cache.remedy(
                error,
                "HF_HOME",
                "download the file elsewhere, and set model.weights=FILE with "
                f"model=timm/{full_name}",
            ),
        ) from error
    return dict(source.state_dict())


def tags(name: str) -> list[str]:
    """Return the tags of the published weights of a network."""
    return [full.partition(".")[2] for full in _timm().list_pretrained(f"{name}.*")]


def preprocessing(name: str, tag: str = "") -> dict[str, object]:
    """Return the preprocessing that published weights expect.

    Args:
        name: one of :func:`names`.
        tag: of the weights; empty for timm's default.

    Returns:
        Values of the data options ``image_size``, ``resize``, ``crop_share``, ``interpolation``,
        ``mean`` and ``std``.

    Raises:
        UsageError: these weights expect a step that this project does not have.
    """
    config = _timm().get_pretrained_cfg(f"{name}.{tag}" if tag else name)
    values = _timm().data.resolve_data_config(pretrained_cfg=config.to_dict())
    interpolation = values["interpolation"]
    if values["crop_mode"] not in {"center", "squash"} or interpolation not in _INTERPOLATIONS:
        raise UsageError(
            "model",
            expected="weights whose images are cut from the middle",
            found=f"{name}, with crop_mode {values['crop_mode']} and {interpolation}",
            remedy="choose other weights of it, or random ones",
        )
    is_squashed = values["crop_mode"] == "squash"
    _, height, width = values["input_size"]
    crop_pct = float(values["crop_pct"])
    if height != width or crop_pct > 1 or (is_squashed and crop_pct != 1):
        raise UsageError(
            "model",
            expected="weights of square images that are cut from a resized image or resized whole",
            found=f"{name}, with {height}x{width} pixels, crop_mode {values['crop_mode']} and "
            f"crop_pct {crop_pct:g}",
            remedy="choose other weights of it, or random ones",
        )
    return {
        "image_size": int(height),
        "resize": "squash" if is_squashed else "crop",
        # timm cuts off the fraction of a pixel where this project rounds.
        "crop_share": 1.0 if is_squashed else height / math.floor(height / crop_pct),
        "interpolation": interpolation,
        "mean": tuple(float(value) for value in values["mean"]),
        "std": tuple(float(value) for value in values["std"]),
    }
