"""torchvision's builders of networks, as far as a file that may be anybody's can name them.

A builder's options decide how much memory a network takes. So a network is first built on torch's
meta device, on which tensors have shapes and no values.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torchvision
from torch.overrides import TorchFunctionMode

from src.errors import describe

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_PARAMETERS = 10**9  # torchvision's largest classifier has 0.64 of them
_LARGEST = 65_536  # of a number among the options
_MOST_LISTED = 16  # numbers in one option
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_SHOWN = 100  # characters of what is wrong

# What torchvision's layers make their parameters and buffers with.
_MAKERS = {torch.empty, torch.zeros, torch.ones}


class _Meta(TorchFunctionMode):
    """Makes parameters on the meta device; not all tensors, of which some builders need values."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _MAKERS:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def names() -> list[str]:
    """Every builder of a classifier that torchvision has."""
    return list(torchvision.models.list_models(module=torchvision.models))


def outline(builder: Any, options: Any) -> nn.Module:
    """The network that ``builder`` makes with ``options``: its shapes, in no memory.

    Args:
        builder: one of :func:`names`.
        options: of the builder, ``num_classes`` among them: numbers, truth values and short
            lists of them.

    Raises:
        ValueError: it is no such builder, it does not take these options, or the network has
            more parameters than any that is of use.
    """
    if not isinstance(builder, str) or builder not in names():
        raise ValueError(f"a network that torchvision does not have: {builder!r}"[:_SHOWN])
    if not isinstance(options, Mapping):
        raise ValueError(f"options that are none: {options!r}"[:_SHOWN])  # noqa: TRY004  # of a file
    for name, value in options.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"an option called {name!r}"[:_SHOWN])
        if not _is_plain(value, 10**7 if name == "num_classes" else _LARGEST):
            raise ValueError(
                f"{name}={value!r}"[:_SHOWN] + f", which is neither true, false or a number up "
                f"to {_LARGEST} nor a list of up to {_MOST_LISTED} of them"
            )
    try:
        with warnings.catch_warnings(), _Meta():
            warnings.simplefilter("ignore")  # of weights, of which there are none yet
            network: nn.Module = torchvision.models.get_model(builder, weights=None, **options)
    except Exception as error:  # a builder raises whatever its options lead it to
        raise ValueError(describe(error)[:300]) from error
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > MOST_PARAMETERS:
        raise ValueError(f"a network of {count} parameters, of at most {MOST_PARAMETERS}")
    return network


def require_weights_of(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights whose names or shapes are not the network's, before that takes any memory.

    Args:
        network: as :func:`outline` gives it.
        weights: by name.

    Raises:
        ValueError: they are of another network.
    """
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    for name in [*wanted, *found]:
        if wanted.get(name) != found.get(name):
            raise ValueError(
                f"{name[:_SHOWN]} of shape {found.get(name, 'none')} in the weights and "
                f"{wanted.get(name, 'none')} in the network"
            )


def _is_plain(value: Any, largest: int) -> bool:
    if isinstance(value, list | tuple):
        return len(value) <= _MOST_LISTED and all(
            not isinstance(each, list | tuple) and _is_plain(each, largest) for each in value
        )
    if value is None or isinstance(value, bool):
        return True
    return isinstance(value, int | float) and abs(value) <= largest
