"""The bare network: torchvision's, with a head for the data's classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from src.errors import UsageError, describe
from src.models import builders


@dataclass(frozen=True)
class NetworkSpec:
    """What it takes to build a network again: plain values, so that a file can carry them."""

    builder: str  # torchvision's name for it: one of src.models.builders.names()
    num_classes: int
    options: dict[str, Any] = field(default_factory=dict)  # further arguments of the builder

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], num_classes: int) -> NetworkSpec:
        """What :meth:`to_dict` gave, from a file that may be anybody's.

        Raises:
            ValueError: it is no such network, or not one for as many classes.
        """
        spec = cls(**values)
        if type(spec.num_classes) is not int or spec.num_classes != num_classes:
            raise ValueError(f"{num_classes} class names for {spec.num_classes!r} classes"[:200])
        spec.outline()
        return spec

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def outline(self) -> nn.Module:
        """The network's shapes, in no memory: see :func:`src.models.builders.outline`.

        Raises:
            ValueError: there is no such builder, or it does not take these options.
        """
        if isinstance(self.options, dict) and "num_classes" in self.options:
            raise ValueError("num_classes among the options, which the data have")
        return builders.outline(
            self.builder,
            {"num_classes": self.num_classes, **self.options}
            if isinstance(self.options, dict)
            else self.options,
        )

    def build(self) -> nn.Module:
        """The network with random weights; (N, 3, H, W) float32 -> (N, num_classes) logits.

        Raises:
            UsageError: the builder does not take these options.
        """
        try:
            self.outline()
            network: nn.Module = torchvision.models.get_model(
                self.builder, weights=None, num_classes=self.num_classes, **self.options
            )
        except (TypeError, ValueError) as error:
            raise UsageError(
                "model.network_options",
                expected=f"options of torchvision's {self.builder}",
                found=describe(error),
                remedy="see torchvision's documentation of it",
            ) from error
        return network

    def build_pretrained(self) -> nn.Module:
        """The network with torchvision's best weights, and a random head where it does not fit.

        Raises:
            UsageError: the weights are not there and cannot be downloaded.
        """
        network = self.build()
        weights = torchvision.models.get_model_weights(self.builder)["DEFAULT"]
        try:
            # Read once with pickle's power taken away: what passes holds tensors only.
            torch.hub.load_state_dict_from_url(weights.url, check_hash=True, weights_only=True)
            source = torchvision.models.get_model(self.builder, weights=weights, **self.options)
        except (URLError, OSError, RuntimeError) as error:
            raise UsageError(
                "model.pretrained",
                expected=f"the weights {weights} at hand, or a network to download them",
                found=describe(error),
                remedy=f"put the file from {weights.url} into {torch.hub.get_dir()}/checkpoints",
            ) from error
        wanted = {name: value.shape for name, value in network.state_dict().items()}
        fitting = {
            name: value
            for name, value in source.state_dict().items()
            if wanted.get(name) == value.shape
        }
        network.load_state_dict(fitting, strict=False)
        return network


def published_preprocessing(builder: str) -> dict[str, Any]:
    """What the pictures went through that torchvision's best weights of ``builder`` were made for.

    Returns:
        Options of the data of the same names: ``image_size``, ``resize``, ``crop_share``,
        ``interpolation``, ``mean`` and ``std``.
    """
    preset = torchvision.models.get_model_weights(builder)["DEFAULT"].transforms()
    size, side = int(preset.crop_size[0]), int(preset.resize_size[0])
    return {
        "image_size": size,
        "resize": "crop",
        "crop_share": size / side,
        "interpolation": str(preset.interpolation.value),
        "mean": tuple(float(value) for value in preset.mean),
        "std": tuple(float(value) for value in preset.std),
    }


@dataclass(frozen=True)
class Complexity:
    """What a network costs by counting, whatever runs it."""

    parameters: int
    macs: int  # multiply-accumulates for one image


def count(network: nn.Module, input_shape: tuple[int, ...]) -> Complexity:
    """Parameters, and multiply-accumulates in convolutions and matrix products for one image.

    Counted by torch's FlopCounterMode, which takes a multiply-accumulate for two operations.

    Args:
        network: in any mode; it is left in the mode it had.
        input_shape: of one image, (3, H, W).
    """
    training = network.training
    parameter = next(network.parameters())
    counter = FlopCounterMode(display=False)
    try:
        with counter, torch.inference_mode():
            network.eval()(torch.zeros(1, *input_shape, device=parameter.device))
    finally:
        network.train(training)
    return Complexity(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=counter.get_total_flops() // 2,
    )
