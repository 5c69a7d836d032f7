"""Networks by name, safely built with options from an untrusted file.

A **builder** is the name of a classifier of torchvision, such as ``resnet34``, or of another
library, such as ``timm/efficientnet_lite0``, or of :mod:`src.models.own`. Its options decide how
much memory a network takes. So the network is first built on torch's meta device, where tensors
have shapes but no storage.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch.overrides import TorchFunctionMode

from src.errors import describe
from src.models import own_networks, timm_networks, torchvision_networks

if TYPE_CHECKING:
    from torch import Tensor, nn


MAX_PARAMETERS = 10**9  # torchvision's largest classifier has 0.64e9
MAX_BUFFER_VALUES = 10**8  # position indices and masks; 400 MB of float32
MAX_TENSORS = 20_000  # that a constructor makes; the deepest known network makes 3,000
_MAX_NUMBER = 65_536  # in the options
_MAX_LIST_LENGTH = 16  # of one option
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_SHOWN = 100  # characters of a wrong value in a message

# Functions with which layers make parameters and buffers.
_MAKERS = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn}


class Library(Protocol):
    """A collection of classifiers; its module in this room has these functions."""

    def names(self) -> list[str]: ...

    def construct(self, name: str, options: Mapping[str, Any]) -> nn.Module: ...

    def default_options(self, name: str, side: int | None) -> dict[str, Any]: ...

    def pretrained_weights(
        self, name: str, tag: str, options: Mapping[str, Any]
    ) -> dict[str, Tensor]: ...

    def tags(self, name: str) -> list[str]: ...

    def preprocessing(self, name: str, tag: str = "") -> dict[str, object]: ...


TORCHVISION = "torchvision"
OWN = "own"  # no package, but files of this checkout
LIBRARIES: dict[str, Library] = {
    TORCHVISION: torchvision_networks,
    "timm": timm_networks,
    OWN: own_networks,
}


class _Meta(TorchFunctionMode):
    """Creates parameters on the meta device; other tensors stay, as some builders read values.

    Raises:
        ValueError: a builder makes more than ``MAX_TENSORS``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in _MAKERS:
            self._made += 1
            if self._made > MAX_TENSORS:
                raise ValueError(f"a network of more than {MAX_TENSORS} tensors")
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def split(builder: str) -> tuple[str, str]:
    """Return the library of a builder and its name there."""
    library, slash, name = builder.partition("/")
    return (library, name) if slash else (TORCHVISION, builder)


def names(library: str = TORCHVISION) -> list[str]:
    """Return the names of a library's classifiers.

    Raises:
        ModuleNotFoundError: the library is not installed.
    """
    return LIBRARIES[library].names()


def construct(builder: str, options: Mapping[str, Any]) -> nn.Module:
    """Build a network with random weights.

    Args:
        builder: a known one, with options that :func:`outline` has accepted.
        options: its arguments, including ``num_classes``.
    """
    library, name = split(builder)
    return LIBRARIES[library].construct(name, options)


def default_options(builder: str, image_size: int | None) -> dict[str, Any]:
    """Return arguments that a builder needs as a classifier of images of this size.

    Args:
        builder: a known one.
        image_size: height and width in pixels; None if unknown.
    """
    library, name = split(builder)
    return LIBRARIES[library].default_options(name, image_size)


def is_known(builder: object) -> bool:
    """Return True if a builder is one of a library's classifiers.

    Raises:
        ModuleNotFoundError: its library is not installed.
    """
    if not isinstance(builder, str):
        return False
    library, name = split(builder)
    is_short = library != TORCHVISION or "/" not in builder  # one way to write each
    return is_short and library in LIBRARIES and name in names(library)


def outline(builder: Any, options: Any) -> nn.Module:
    """Build a network on the meta device: it has shapes and takes no memory.

    Args:
        builder: see the top of this file.
        options: arguments of the builder, including ``num_classes``: numbers, booleans and short
            lists of them.

    Raises:
        ValueError: the builder is unknown, it rejects these options, or the network has more than
            ``MAX_PARAMETERS``, ``MAX_BUFFER_VALUES`` or ``MAX_TENSORS``.
        ModuleNotFoundError: the builder's library is not installed.
    """
    if not is_known(builder):
        raise ValueError(f"a network that no library has: {builder!r}"[:_SHOWN])
    if not isinstance(options, Mapping):
        raise ValueError(f"options that are none: {options!r}"[:_SHOWN])  # noqa: TRY004  # a file's content, not an argument
    for name, value in options.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"an option called {name!r}"[:_SHOWN])
        if not _is_plain(value, 10**7 if name == "num_classes" else _MAX_NUMBER):
            raise ValueError(
                f"{name}={value!r}"[:_SHOWN] + f", which is neither true, false or a number up "
                f"to {_MAX_NUMBER} nor a list of up to {_MAX_LIST_LENGTH} of them"
            )
    try:
        with warnings.catch_warnings(), _Meta():
            warnings.simplefilter("ignore")  # about weights, which are not loaded here
            network = construct(builder, options)
    except Exception as error:  # builders raise any type for wrong options
        raise ValueError(describe(error)[:300]) from error
    count = sum(parameter.numel() for parameter in network.parameters())
    if count > MAX_PARAMETERS:
        raise ValueError(f"a network of {count} parameters, of at most {MAX_PARAMETERS}")
    # Weights in a file do not tell how large these are: many of them are not stored.
    values = sum(buffer.numel() for buffer in network.buffers())
    if values > MAX_BUFFER_VALUES:
        raise ValueError(f"a network of {values} values in buffers, of at most {MAX_BUFFER_VALUES}")
    return network


def require_weights_of(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights whose names or shapes differ from the network's, before memory is taken.

    Args:
        network: a result of :func:`outline`.
        weights: tensors by name.

    Raises:
        ValueError: a name or a shape differs.
    """
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    actual = {name: tuple(value.shape) for name, value in weights.items()}
    for name in [*expected, *actual]:
        if expected.get(name) != actual.get(name):
            raise ValueError(
                f"{name[:_SHOWN]} of shape {actual.get(name, 'none')} in the weights and "
                f"{expected.get(name, 'none')} in the network"
            )


def asks_for_version(library: str, name: str) -> bool:
    """Return whether a network refuses weights without the version of its modules.

    PyTorch keeps the version in an attribute of a state, which a file of tensors does not have.
    """
    return library == TORCHVISION and name.startswith("mnasnet")


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], *, strict: bool = True) -> None:
    """Put weights into a network.

    Some networks ask for the version of their weights: see :func:`asks_for_version`. They are
    taken to be of the present version.

    Args:
        network: of the weights.
        weights: tensors by name.
        strict: refuse weights that are missing or of no use.

    Raises:
        RuntimeError: a shape differs, or with ``strict`` a name.
    """
    state = network.state_dict()  # has the versions
    for name in [*state]:
        if name not in weights:
            del state[name]
    state.update(weights)
    network.load_state_dict(state, strict=strict)


def _is_plain(value: Any, max_number: int) -> bool:
    """Return True for None, a boolean, a number, or a short flat list of them."""
    if isinstance(value, list | tuple):
        return len(value) <= _MAX_LIST_LENGTH and all(
            not isinstance(item, list | tuple) and _is_plain(item, max_number) for item in value
        )
    if value is None or isinstance(value, bool):
        return True
    return isinstance(value, int | float) and abs(value) <= max_number
