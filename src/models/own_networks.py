"""Networks of this checkout: see :mod:`src.models.own`."""

# ruff: noqa: ARG001  # the functions of builders.Library

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, NoReturn

from torch import Tensor, nn

from src.errors import UsageError
from src.models import own


def names() -> list[str]:
    """Return the names of all networks. None is imported."""
    modules = (module.name for module in pkgutil.iter_modules(own.__path__))
    return sorted(name for name in modules if not name.startswith("_"))


def construct(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Args:
        name: one of :func:`names`.
        options: arguments of its ``build``, ``num_classes`` among them.

    Raises:
        TypeError: its ``build`` returned no module.
    """
    network = importlib.import_module(f"{own.__name__}.{name}").build(**options)
    if not isinstance(network, nn.Module):
        raise TypeError(f"build of {own.__name__}.{name} returned a {type(network).__name__}")
    return network


def default_options(name: str, side: int | None) -> dict[str, Any]:
    """Return no options: the file has the defaults."""
    return {}


def pretrained_weights(name: str, tag: str, options: Mapping[str, Any]) -> dict[str, Tensor]:
    """Refuse published weights, for there are none.

    Raises:
        UsageError: always.
    """
    _refuse_published(name)


def tags(name: str) -> list[str]:
    """Return no names of published weights."""
    return []


def preprocessing(name: str, tag: str = "") -> dict[str, object]:
    """Refuse the preprocessing of published weights, for there are none.

    Raises:
        UsageError: always.
    """
    _refuse_published(name)


def _refuse_published(name: str) -> NoReturn:
    raise UsageError(
        "model.pretrained",
        expected="a network with published weights",
        found=f"own/{name}, which has none",
        remedy="leave out model.pretrained, or set model.weights=FILE",
    )
