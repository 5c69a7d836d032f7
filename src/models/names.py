"""Names of the folders of runs, from the options of a model."""

from __future__ import annotations

from src.models import widths
from src.models.architecture import Architecture


def of_class(module: str, width: float) -> str:
    """Return the name of a class of networks: that of its module, and another width."""
    return module.rpartition(".")[2] + widths.suffix(width)


def of_architecture(architecture: str, width: float) -> str:
    """Return the name of a library's network, with the library unless it is torchvision.

    Raises:
        UsageError: no library has this architecture.
    """
    return of_builder(Architecture.parse(architecture).builder, width)


def of_builder(builder: str, width: float) -> str:
    """Return the name of a builder's network: see :mod:`src.models.builders`."""
    return builder.replace("/", "_") + widths.suffix(width)
