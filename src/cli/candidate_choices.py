"""Choices of a command line that hold for all candidates of a forecast or a search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from src.cli import grammar
from src.errors import UsageError, one_line

_LONGEST = 60  # characters of a name, which stands in the names of files
_MODEL = ("model=", "--model=")
_BY_ARCHITECTURE = "AnyNetwork"  # the class of networks that have a name in a library
# The class of a folder of the user. Other data sets are downloaded into their folder or list files.
_OWN_IMAGES = "ImageFolder"


@dataclass(frozen=True)
class Choices:
    """The choices.

    Args:
        network: name of the network without ``model=``: an architecture, a class, or the default.
        images: folder of the user's own images; None for another data set.
    """

    network: str = grammar.DEFAULT_GROUPS["model"]
    images: str | None = None


def choices_of(words: Sequence[str], configs: Path) -> Choices:
    """Return the choices of a command line and of its files.

    A command line that cannot be read has the defaults. Its training reports what is wrong.

    Args:
        words: in the grammar of ``src.train``; ``model=`` may have several values.
        configs: the folder of configuration files.
    """
    try:
        translated = grammar.translate(_without_networks(words), configs)
        own, every = grammar.user_options(translated, configs), grammar.all_options(translated)
    except (OSError, ValueError, yaml.YAMLError, UsageError):
        return Choices()
    network = _class_of(own, "model")
    if network in {"", _BY_ARCHITECTURE}:
        network = str(own.get("model.architecture") or network)
    root = every.get("data.root") if _class_of(every, "data") == _OWN_IMAGES else None
    return Choices(
        one_line(network)[:_LONGEST] or Choices.network,
        root if isinstance(root, str) else None,
    )


def _without_networks(words: Sequence[str]) -> list[str]:
    """Leave out ``model=``, whose several values the grammar of a training does not have."""
    return [word for word in words if not word.startswith(_MODEL)]


def _class_of(options: dict[str, object], group: str) -> str:
    """Return the last part of the class that a group has; empty without one."""
    return str(options.get(f"{group}.class_path") or "").rpartition(".")[2]
