"""Expansion of ``~`` in paths that a user typed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from src.errors import UsageError


def expand(text: str, argument: str = "path") -> str:
    """Return a path with the home folder for ``~`` or ``~user`` at its start.

    A shell expands ``~`` only at the start of a word, so not in ``data.root=~/photos``.

    Raises:
        UsageError: the user or the home folder is unknown, and no file has that name literally.
    """
    if not text.startswith("~"):
        return text
    expanded = os.path.expanduser(text)  # noqa: PTH111  # Path's raises, and drops a final slash
    if expanded == text and "/" in text and not os.path.exists(text):  # noqa: PTH110
        raise UsageError(
            argument,
            expected="~ for a home folder that is known",
            found=text,
            remedy="write the path out",
        )
    return expanded


def user_path(text: str | Path, argument: str = "path") -> Path:
    """Return the path that a user typed, with ``~`` expanded: see :func:`expand`.

    Raises:
        UsageError: there is none. Python takes it for the working folder, but a user has rather
            typed the name of a shell variable that has no value, as in ``data.root=$PHOTOS``.
    """
    if not str(text):
        raise UsageError(
            argument,
            expected="a path",
            found="nothing",
            remedy="write . for this folder, or give the variable of the shell a value",
        )
    return Path(expand(str(text), argument))


def expand_all(value: Any, argument: str = "") -> Any:
    """Return a configuration with ``~/`` or ``~user/`` expanded at the start of every text.

    No text other than a path begins like this. Namespaces are changed in place.

    Raises:
        UsageError: see :func:`expand`.
    """
    if isinstance(value, str):
        return expand(value, argument) if "/" in value else value
    if isinstance(value, list):
        return [expand_all(item, argument) for item in value]
    if isinstance(value, dict):
        return {
            name: expand_all(item, _option_name(argument, name)) for name, item in value.items()
        }
    if isinstance(value, argparse.Namespace):
        for name, item in vars(value).items():
            setattr(value, name, expand_all(item, _option_name(argument, name)))
    return value


def _option_name(argument: str, name: object) -> str:
    """Return the name of an option as a user types it: without the parser's ``init_args``."""
    return argument if name == "init_args" else f"{argument}.{name}".lstrip(".")
