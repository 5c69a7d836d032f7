"""Networks with a head for the data's classes, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from src.errors import UsageError, describe
from src.models import builders, widths
from src.models.input_check import other_sides
from src.models.random_head import shrink_large_head

_replaces_weights: ContextVar[bool] = ContextVar("_replaces_weights", default=False)


@contextmanager
def without_published_weights(is_replaced: bool) -> Iterator[None]:
    """Build networks with random weights in the block, if a checkpoint replaces all weights."""
    token = _replaces_weights.set(is_replaced)
    try:
        yield
    finally:
        _replaces_weights.reset(token)


@dataclass(frozen=True)
class NetworkSpec:
    """Recipe to build a network: plain values, so that a file can store them."""

    builder: str  # see src.models.builders
    num_classes: int
    options: dict[str, Any] = field(default_factory=dict)  # more arguments of the builder

    @classmethod
    def of(
        cls, builder: str, num_classes: int, image_size: int | None, options: Mapping[str, Any]
    ) -> Self:
        """Return the recipe of a network for a data set.

        Args:
            builder: a known one, see :mod:`src.models.builders`.
            num_classes: number of classes.
            image_size: height and width of the images in pixels; None if unknown. Some networks are
                built for one size.
            options: further arguments of the builder, which go before the defaults.

        Raises:
            UsageError: the network cannot be built for this size, but for another one.
        """
        defaults = builders.default_options(builder, image_size)
        spec = cls(builder, num_classes, {**defaults, **options})
        if image_size is not None and defaults != builders.default_options(builder, None):
            spec._require_size(image_size)
        return spec

    def _require_size(self, side: int) -> None:
        """Refuse an image size that the builder of a network for one size rejects."""
        problem = _problem_of(self)
        if problem is None:
            return
        for other in other_sides(side):
            defaults = builders.default_options(self.builder, other)
            if _problem_of(replace(self, options={**self.options, **defaults})) is None:
                raise UsageError(
                    "data.image_size",
                    expected=f"images that {self.builder} takes",
                    found=f"{side}x{side} pixels ({problem})",
                    remedy=f"set data.image_size={other}",
                )

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
        options = self._arguments if isinstance(self.options, dict) else self.options
        return builders.outline(self.builder, options)

    def build(self) -> nn.Module:
        """Build the network with random weights; (N, 3, H, W) float32 -> (N, num_classes) logits.

        A head that its library draws too large for few classes is scaled down.

        Raises:
            UsageError: the builder rejects these options.
        """
        library, name = builders.split(self.builder)
        try:
            self.outline()
            network = builders.construct(self.builder, self._arguments)
        except (TypeError, ValueError) as error:
            raise UsageError(
                "model.network_options",
                expected=f"options of {library}'s {name}",
                found=describe(error),
                remedy="see its documentation",
            ) from error
        shrink_large_head(network, self.num_classes)
        return network

    def build_pretrained(self, tag: str = "") -> nn.Module:
        """Build the network with published weights; tensors of another shape stay random.

        Within :func:`without_published_weights`, all weights are random.

        Args:
            tag: name of the weights; empty for the library's default.

        Raises:
            UsageError: the weights are not on this machine and cannot be downloaded, or the network
                has another width than its own.
        """
        widths.require_own(self.builder, self.options)
        network = self.build()
        if _replaces_weights.get():
            return network
        library, name = builders.split(self.builder)
        weights = builders.LIBRARIES[library].pretrained_weights(name, tag, self.options)
        shapes = {key: value.shape for key, value in network.state_dict().items()}
        matching = {key: value for key, value in weights.items() if shapes.get(key) == value.shape}
        builders.load_weights(network, matching, strict=False)
        return network

    @property
    def _arguments(self) -> dict[str, Any]:
        return {"num_classes": self.num_classes, **self.options}


def published_preprocessing(builder: str, tag: str = "") -> dict[str, object]:
    """Return the preprocessing that published weights expect.

    Args:
        builder: see :mod:`src.models.builders`.
        tag: name of the weights; empty for the library's default.

    Returns:
        Values of the data options ``image_size``, ``resize``, ``crop_share``, ``interpolation``,
        ``mean`` and ``std``.
    """
    library, name = builders.split(builder)
    return builders.LIBRARIES[library].preprocessing(name, tag)


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
    trained = [each for each in network.parameters() if each.requires_grad]
    # In inference, nn.MultiheadAttention calls one fused operator, for which the counter has no
    # formula: the products of attention would not be counted.
    is_fused = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)
        # The counter asks inputs that need a gradient for its history, which a parameter that is
        # given to a layer does not have here.
        for each in trained:
            each.requires_grad_(False)
        with counter, torch.inference_mode():
            network.eval()(torch.zeros(1, *input_shape, device=parameter.device))
    finally:
        torch.backends.mha.set_fastpath_enabled(is_fused)
        network.train(training)
        for each in trained:
            each.requires_grad_(True)
    return Complexity(
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=counter.get_total_flops() // 2,
    )


def _problem_of(spec: NetworkSpec) -> str | None:
    """Describe why a network cannot be built; None if it can."""
    try:
        spec.outline()
    except (TypeError, ValueError) as error:
        return describe(error)
    return None
