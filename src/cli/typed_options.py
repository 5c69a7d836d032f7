"""Names of the options on a command line, in each form in which an option can be written.

    --model.lr=1e-3                        --model.init_args.lr=1e-3
    --model.lr 1e-3                        --model.init_args={lr: 1e-3}
    --model={init_args: {lr: 1e-3}}        --model.dict_kwargs.lr=1e-3

Each is the option ``model.lr``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from src.cli import grammar
from src.system import safe_yaml

_OF_A_CLASS = (".init_args", ".dict_kwargs")  # between a group and an option of its class


def names(args: Sequence[str]) -> list[str]:
    """Return the names of the options that a user typed, without those of files.

    Args:
        args: the translated command line.
    """
    typed = grammar.line_options(args)
    return [name for option, value in typed.items() for name, _ in in_full(option, value)]


def in_full(option: str, value: object) -> Iterator[tuple[str, object]]:
    """Yield an option and, for a value that is a mapping, the options in the mapping."""
    yield _short(option), value
    try:
        content = safe_yaml.load(value) if isinstance(value, str) else value
    except (ValueError, yaml.YAMLError):
        return  # the parser reports it
    if isinstance(content, dict):
        for name, inner in content.items():
            yield from in_full(f"{option}.{name}", inner)


def _short(name: str) -> str:
    for part in _OF_A_CLASS:
        name = name.replace(f"{part}.", ".")
    return name
