"""Health check of a trained network: activation outliers and dead channels.

A classifier may have a good accuracy and still answer some images with logits a hundred times as
large as usual: batch statistics bound a rare image's activations in training, running statistics
do not in inference. Such a network loses its accuracy when it is quantized, because the largest
value sets the range of an 8-bit tensor (Nagel et al., 2021, "A white paper on neural network
quantization", arXiv 2106.08295, section 3.1).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils.hooks import RemovableHandle

# Shapes: N images, C channels, K classes.

BATCH = 64
# Figures beyond these bounds are reported as problems. In docs/training.md the largest logit is 1.1
# to 1.2 times the median image's in networks without outliers, and 48 times in one with outliers.
MAX_LOGIT_RATIO = 5.0
MAX_LAYER_RATIO = 20.0
MAX_DEAD = 0.25
# A BatchNorm multiplies by 1 / sqrt(variance + eps): by more than 31 below this value. The
# EfficientNet paper has eps 1e-3, torchvision 1e-5.
MIN_VARIANCE = 1e-3
LISTED_LAYERS = 8

_CHANNELS_FIRST = (_ConvNd, _BatchNorm)
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish)
_RECORDED = (*_CHANNELS_FIRST, nn.Linear, *_ACTIVATIONS)
_CONSTANT = 1e-6  # share of a layer's largest value: below the float32 rounding of a sum


@dataclass(frozen=True)
class Layer:
    """Outputs of one module over all images."""

    name: str  # as in the network, with "#2" for the second call of the same module
    kind: str  # the module's class
    ratio: float  # largest absolute value over that of the median image
    largest: float  # absolute value
    dead: float | None  # share of channels with a constant value; only for activations


@dataclass(frozen=True)
class Health:
    """Outliers and dead channels of a network on some images."""

    images: int
    logit_median: float  # median over images of the largest absolute logit
    logit_largest: float
    vanishing: float | None  # share of BatchNorm channels below MIN_VARIANCE
    dead: float | None  # share of constant channels after activations
    # Largest ratio first, at most LISTED_LAYERS; without layers that are 0 for the median image.
    layers: list[Layer]

    @property
    def logit_ratio(self) -> float:
        """Largest logit over that of the median image; infinite if the latter is 0."""
        return _ratio(self.logit_largest, self.logit_median)

    def problems(self) -> list[str]:
        """Return a clause for each figure beyond its bound; empty for a healthy network."""
        clauses = []
        if self.logit_ratio > MAX_LOGIT_RATIO:
            clauses.append(
                f"its largest logit is {self.logit_largest:.3g}, {self.logit_ratio:.0f} times that "
                "of the median image"
            )
        if self.layers and self.layers[0].ratio > MAX_LAYER_RATIO:
            worst = self.layers[0]
            clauses.append(
                f"the output of {worst.name} reaches {worst.largest:.3g}, {worst.ratio:.0f} times "
                "the median image's largest"
            )
        if self.dead is not None and self.dead > MAX_DEAD:
            clauses.append(f"{self.dead:.0%} of the activations' channels are constant")
        return clauses


def examine(network: nn.Module, images: Tensor) -> Health:
    """Run ``network`` on images that it was not trained on, and measure every layer's outputs.

    Args:
        network: in eval mode.
        images: (N, 3, H, W) with N >= 1, preferably of the validation split: outliers are rarer
            on training images.
    """
    peaks: list[Tensor] = []  # largest absolute logits, (n,) a batch
    with _Recording(network) as recording, torch.inference_mode():
        for batch in torch.split(images, BATCH):
            recording.start_batch()
            peaks.append(_peaks(network(batch)))
    logits, recorders = torch.cat(peaks), recording.recorders
    layers = [recorder.layer(name) for name, recorder in recorders.items()]
    comparable = [layer for layer in layers if math.isfinite(layer.ratio)]
    activations = [recorder for recorder in recorders.values() if recorder.is_activation]
    variances = [
        module.running_var + module.eps
        for module in network.modules()
        if isinstance(module, _BatchNorm) and module.running_var is not None
    ]
    return Health(
        images=len(logits),
        logit_median=float(logits.median()),
        logit_largest=float(logits.max()),
        vanishing=_share(torch.cat(variances) < MIN_VARIANCE) if variances else None,
        dead=_share(torch.cat([recorder.dead() for recorder in activations]))
        if activations
        else None,
        layers=sorted(comparable, key=lambda layer: -layer.ratio)[:LISTED_LAYERS],
    )


class _Recorder:
    """Extremes of one module's outputs, updated batch by batch."""

    def __init__(self, module: nn.Module) -> None:
        self._kind = type(module).__name__
        self.is_activation = isinstance(module, _ACTIVATIONS)
        self._peaks: list[Tensor] = []
        self._low: Tensor | None = None  # (C,)
        self._high: Tensor | None = None

    def add(self, output: Tensor, channel: int) -> None:
        """Add one batch of outputs, whose channels are the dimension ``channel``."""
        self._peaks.append(_peaks(output))
        if not self.is_activation:
            return
        reduced_dims = [dim for dim in range(output.ndim) if dim != channel % output.ndim]
        low, high = output.amin(reduced_dims), output.amax(reduced_dims)
        self._low = low if self._low is None else torch.minimum(self._low, low)
        self._high = high if self._high is None else torch.maximum(self._high, high)

    def dead(self) -> Tensor:
        """Return a mask of the constant channels, (C,)."""
        if self._low is None or self._high is None:
            return torch.zeros(0, dtype=torch.bool)
        scale = torch.maximum(self._low.abs(), self._high.abs()).max()
        return (self._high - self._low) <= _CONSTANT * scale

    def layer(self, name: str) -> Layer:
        peaks = torch.cat(self._peaks)
        largest, median = float(peaks.max()), float(peaks.median())
        dead = _share(self.dead()) if self.is_activation else None
        return Layer(name, self._kind, _ratio(largest, median), largest, dead)


class _Recording:
    """Context manager with forward hooks on every layer and activation of a network."""

    def __init__(self, network: nn.Module) -> None:
        self.recorders: dict[str, _Recorder] = {}
        self._network = network
        self._calls: Counter[str] = Counter()  # by module, in the current batch
        self._channel = 1  # dimension: (N, C, H, W) after a convolution, (..., C) after linear
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for name, module in self._network.named_modules():
            if isinstance(module, _RECORDED):
                self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()

    def start_batch(self) -> None:
        """Reset the call counts: each batch calls the modules in the same order."""
        self._calls.clear()

    def _hook(self, name: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def record(module: nn.Module, _: Any, output: Tensor) -> None:
            if not isinstance(module, _ACTIVATIONS):
                self._channel = 1 if isinstance(module, _CHANNELS_FIRST) else -1
            self._calls[name] += 1
            number = self._calls[name]  # one ReLU module may be called several times in a block
            key = name if number == 1 else f"{name}#{number}"
            if key not in self.recorders:
                self.recorders[key] = _Recorder(module)
            self.recorders[key].add(output, self._channel)

        return record


def _peaks(values: Tensor) -> Tensor:
    """Return the largest absolute value of each image, (N,)."""
    return values.abs().flatten(1).amax(dim=1)


def _ratio(largest: float, median: float) -> float:
    return largest / median if median > 0 else (1.0 if largest == 0 else math.inf)


def _share(mask: Tensor) -> float:
    return float(mask.float().mean()) if len(mask) else 0.0
