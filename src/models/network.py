"""torchvision networks with a head for the data's classes."""

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
    """Recipe to build a network: plain values, so that a file can store them."""

    builder: str  # torchvision's name: one of src.models.builders.names()
    num_classes: int
    options: dict[str, Any] = field(default_factory=dict)  # more arguments of the builder

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], num_classes: int) -> NetworkSpec:
        """Restore the result of :meth:`to_dict` from an untrusted file.

        Raises:
            ValueError: it is not a network that can be built, or not one for ``num_classes``.
        """
        spec = cls(**values)
        if type(spec.num_classes) is not int or spec.num_classes != num_classes:
            raise ValueError(f"{num_classes} class names for {spec.num_classes!r} classes"[:200])
        spec.outline()
        return spec

    def to_dict(self) -> dict[str, object]:
        """Return plain values for a checkpoint."""
        return asdict(self)

    def outline(self) -> nn.Module:
        """Build the network without memory: see :func:`src.models.builders.outline`.

        Raises:
            ValueError: the builder is unknown, or it rejects these options.
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
        """Build the network with random weights; (N, 3, H, W) float32 -> (N, num_classes) logits.

        Raises:
            UsageError: the builder rejects these options.
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
        """Build the network with torchvision's best weights; tensors of another shape stay random.

        Raises:
            UsageError: the weights are not on this machine and cannot be downloaded.
        """
        network = self.build()
        weights = torchvision.models.get_model_weights(self.builder)["DEFAULT"]
        try:
            # Read the file first with weights_only, which refuses everything but tensors.
            torch.hub.load_state_dict_from_url(weights.url, check_hash=True, weights_only=True)
            source = torchvision.models.get_model(self.builder, weights=weights, **self.options)
        except (URLError, OSError, RuntimeError) as error:
            raise UsageError(
                "model.pretrained",
                expected=f"the weights {weights} at hand, or a network to download them",
                found=describe(error),
                remedy=f"put the file from {weights.url} into {torch.hub.get_dir()}/checkpoints",
            ) from error
        shapes = {name: value.shape for name, value in network.state_dict().items()}
        matching = {
            name: value
            for name, value in source.state_dict().items()
            if shapes.get(name) == value.shape
        }
        network.load_state_dict(matching, strict=False)
        return network


def published_preprocessing(builder: str) -> dict[str, object]:
    """Return the preprocessing that torchvision's best weights of ``builder`` expect.

    Returns:
        Values of the data options ``image_size``, ``resize``, ``crop_share``, ``interpolation``,
        ``mean`` and ``std``.
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
    """Size of a network, independent of the runtime."""

    parameters: int
    macs: int  # multiply-accumulates for one image


def count(network: nn.Module, input_shape: tuple[int, ...]) -> Complexity:
    """Count the parameters, and the multiply-accumulates of convolutions and matrix products.

    Uses torch's FlopCounterMode, which counts a multiply-accumulate as two operations.

    Args:
        network: in any mode, which is restored.
        input_shape: shape of one image, (3, H, W).
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
