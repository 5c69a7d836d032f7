"""One form and order of the words of a command line.

    --trainer.max_epochs 30 data=digits    data=digits trainer.max_epochs=30
    trainer.max_epochs=30 data=digits      data=digits trainer.max_epochs=30

Two command lines with the same words in this form train the same network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from src.cli import grammar

_OF_A_CLASS = re.compile(r"\.(?:init_args|dict_kwargs)(?=\.|$)")


def in_one_order(words: Sequence[str], configs: Path) -> list[str]:
    """Return the files, then the groups, then the single options by their names.

    A training reads them in this order: see :mod:`src.cli.grammar`. A later file overrides an
    earlier one, and so does a group, so each of these kinds keeps its order. Options of which one
    contains the other, such as ``model.optimizer`` and ``model.optimizer.lr``, keep theirs.

    Args:
        words: without a subcommand.
        configs: the folder of configuration files.

    Raises:
        UsageError: a word is not understood.
    """
    arguments = grammar.sort_arguments(words, configs)
    options = [*_without_dashes(arguments.rest, configs)]
    names = {_name(word) for word in options}
    return [
        *(f"--config={file}" for file in arguments.configs),
        *(f"{group}={name}" for group, name in arguments.groups.items()),
        *sorted(options, key=lambda word: _outermost(_name(word), names)),
    ]


def _without_dashes(options: Sequence[str], configs: Path) -> Iterator[str]:
    """Yield ``--a.b v`` and ``--a.b=v`` as ``a.b=v``, unless a group has that name."""
    pending = iter(options)
    for word in pending:
        if "=" not in word and word not in grammar.FLAGS:
            value = next(pending, None)
            word = word if value is None else f"{word}={value}"  # noqa: PLW2901
        name, equals, _ = word.removeprefix("--").partition("=")
        yield word.removeprefix("--") if equals and not (configs / name).is_dir() else word


def _name(word: str) -> str:
    """Return the name of an option; that of the object for the class of an object."""
    name = _OF_A_CLASS.sub("", word.removeprefix("--").partition("=")[0])
    return name.removesuffix("+").removesuffix(".class_path")


def _outermost(name: str, names: Iterable[str]) -> str:
    """Return the shortest of some names that contains a name."""
    return min((other for other in names if f"{name}.".startswith(f"{other}.")), key=len)
