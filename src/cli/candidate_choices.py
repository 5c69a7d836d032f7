"""Choices of a command line that hold for all candidates of a forecast or a search."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from src.cli import grammar
from src.cli.typed_options import in_full
from src.cli.word_order import in_one_order
from src.errors import UsageError, one_line
from src.forecast.named_files import is_file, is_of_path

_LONGEST = 60  # characters of a name, which stands in the names of files
_MODEL = ("model=", "--model=")
_BY_ARCHITECTURE = "AnyNetwork"  # the class of networks that have a name in a library
# The class of a folder of the user. Other data sets are downloaded into their folder or list files.
_OWN_IMAGES = "ImageFolder"


@dataclass(frozen=True)
class Choices:
    """The choices.

    Args:
        words: of the command line, in one form and order.
        network: name of the network without ``model=``: an architecture, a class, or the default.
        images: folder of the user's own images; None for another data set.
        paths: the options that name a file or a folder, on the line and in its files, as words.
    """

    words: tuple[str, ...]
    network: str = grammar.DEFAULT_GROUPS["model"]
    images: str | None = None
    paths: tuple[str, ...] = ()


def choices_of(words: Sequence[str], configs: Path) -> Choices:
    """Return the choices of a command line and of its files.

    A command line that cannot be read has the defaults. Its training reports what is wrong.

    Args:
        words: in the grammar of ``src.train``; ``model=`` may have several values.
        configs: the folder of configuration files.
    """
    try:
        ordered = in_one_order(words, configs)
        translated = grammar.translate(_without_networks(words), configs)
        own, every = grammar.user_options(translated, configs), grammar.all_options(translated)
    except (OSError, ValueError, yaml.YAMLError, UsageError):
        return Choices(tuple(words))
    network = _class_of(own, "model")
    if network in {"", _BY_ARCHITECTURE}:
        network = str(own.get("model.architecture") or network)
    root = every.get("data.root") if _class_of(every, "data") == _OWN_IMAGES else None
    return Choices(
        tuple(ordered),
        one_line(network)[:_LONGEST] or Choices.network,
        root if isinstance(root, str) else None,
        _paths(own, every),
    )


def _without_networks(words: Sequence[str]) -> list[str]:
    """Leave out ``model=``, whose several values the grammar of a training does not have."""
    return [word for word in words if not word.startswith(_MODEL)]


def _class_of(options: dict[str, object], group: str) -> str:
    """Return the last part of the class that a group has; empty without one."""
    return str(options.get(f"{group}.class_path") or "").rpartition(".")[2]


def _paths(own: Mapping[str, object], every: Mapping[str, object]) -> tuple[str, ...]:
    """Return the options that name a file or a folder, as ``name=value`` in one order.

    Folders that a configuration file of this project names are left out: downloads go there.

    Args:
        own: options of the user.
        every: options of the user and of the configuration files of this project.
    """
    named = {(name, text) for name, text in _texts(own) if is_of_path(name)}
    named |= {(name, text) for name, text in _texts(every) if is_file(text)}
    return tuple(sorted(f"{name}={text}" for name, text in named if text))


def _texts(options: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the texts of options, also those within mappings and lists, with their names."""
    for option, value in options.items():
        for name, inner in in_full(option, value):
            if isinstance(inner, str):
                yield name, inner
            elif isinstance(inner, list):
                for item in inner:
                    yield from _texts({name: item})
