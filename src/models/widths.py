"""The width of a network: a factor on the channels of its layers.

Constructors pass their arguments on, so a signature does not show all of them, and some ignore an
argument that they do not know. So a constructor is tried: it has an option if the network with 1 is
the network without it, and the one with a half has clearly fewer weights. No network takes memory
for that: see :func:`src.models.builders.outline`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

from src.errors import UsageError
from src.models import builders

OWN = 1.0  # the width that a network has by its name
LEAST, MOST = 0.1, 4.0
# The names that the libraries give to the factor.
OPTIONS = (
    "width_mult",
    "width_factor",
    "widen_factor",
    "width_multiplier",
    "channel_multiplier",
    "width",
)
_CLASSES = 2  # a small head, which most networks do not scale
_TRIED = 0.5
_MOST_LEFT = 0.8  # share of the weights at half the width

Shapes = dict[str, tuple[int, ...]]


@functools.cache
def option_of(builder: str) -> str | None:
    """Return the option of a builder that is a factor of its width; None if it has none.

    Args:
        builder: a known one, see :mod:`src.models.builders`.
    """
    own = _shapes(builder, {})
    if own is None:
        return None
    for option in OPTIONS:
        if _shapes(builder, {option: OWN}) != own:
            continue
        narrow = _shapes(builder, {option: _TRIED})
        if narrow and _weights(narrow) < _MOST_LEFT * _weights(own):
            return option
    return None


def problem_of(builder: str, width: float) -> str | None:
    """Return why a builder with such an option refuses a width; None if it takes it."""
    try:
        _outline(builder, {str(option_of(builder)): width})
    except ValueError as error:
        return str(error)
    return None


def with_width(builder: str, width: float, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a builder for a width.

    Args:
        builder: a known one.
        width: factor on the channels; 1 for the network's own.
        options: the other arguments.

    Raises:
        UsageError: the width is out of range, the builder has no such option, or ``options`` have
            it already.
    """
    if width == OWN:
        return dict(options)
    if not LEAST <= width <= MOST:
        raise _wrong(f"a number from {LEAST:g} to {MOST:g}", f"{width:g}")
    option = option_of(builder)
    library, name = builders.split(builder)
    if option is None:
        raise _wrong(f"1, because the constructor of {library}'s {name} has no width", f"{width:g}")
    if option in options:
        raise _wrong(
            f"no {option} in model.network_options beside it, which is the same option",
            f"{option}={options[option]}",
        )
    return {**options, option: width}


def require_own(builder: str, options: Mapping[str, Any]) -> None:
    """Refuse a network of another width than its own, which no published weights are of.

    Args:
        builder: a known one.
        options: its arguments.

    Raises:
        UsageError: it has another width.
    """
    for option in OPTIONS:
        value = options.get(option, OWN)
        if value != OWN and option_of(builder) == option:
            raise UsageError(
                "model.pretrained",
                expected="the network's own width, which its published weights are of",
                found=f"{option}={value}",
                remedy="leave out the width, or start from random weights",
            )


def suffix(width: float) -> str:
    """Return the end of a name, such as ``_x0.5``; empty for a network's own width."""
    return "" if width == OWN else f"_x{width:g}"


def _wrong(expected: str, found: str) -> UsageError:
    return UsageError(
        "model.width", expected=expected, found=found, remedy="leave it out for the own width"
    )


def _outline(builder: str, options: Mapping[str, Any]) -> Shapes:
    defaults = builders.default_options(builder, None)
    network = builders.outline(builder, {**defaults, **options, "num_classes": _CLASSES})
    return {name: tuple(value.shape) for name, value in network.named_parameters()}


def _shapes(builder: str, options: Mapping[str, Any]) -> Shapes | None:
    """Return the shapes of all weights by name; None if the builder refuses the options."""
    try:
        return _outline(builder, options)
    except ValueError:
        return None


def _weights(shapes: Shapes) -> int:
    return sum(math.prod(shape) for shape in shapes.values())
