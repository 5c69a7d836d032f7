"""Paths as users write them: ``~`` is a home folder."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from src.errors import UsageError


def expand(text: str, argument: str = "path") -> str:
    """A path with the home folder in the place of ``~`` or ``~user`` at its start.

    A shell does so only where a word begins with it, which ``data.root=~/photos`` does not.

    Raises:
        UsageError: there is no such user, or the home folder is not known, and nothing has that
            name as it is written.
    """
    if not text.startswith("~"):
        return text
    expanded = os.path.expanduser(text)  # noqa: PTH111  # Path's raises, and drops a last slash
    if expanded == text and "/" in text and not os.path.exists(text):  # noqa: PTH110
        raise UsageError(
            argument,
            expected="~ for a home folder that is known",
            found=text,
            remedy="write the path out",
        )
    return expanded


def user_path(text: str | Path, argument: str = "path") -> Path:
    """The path that a user means: see :func:`expand`."""
    return Path(expand(str(text), argument))


def expand_all(value: Any, argument: str = "") -> Any:
    """A configuration with every path that begins with ``~/`` or ``~user/`` expanded.

    Every text is taken for a path: nothing else begins so. Namespaces are changed in place.

    Raises:
        UsageError: see :func:`expand`.
    """
    if isinstance(value, str):
        return expand(value, argument) if "/" in value else value
    if isinstance(value, list):
        return [expand_all(each, argument) for each in value]
    if isinstance(value, dict):
        return {name: expand_all(each, _below(argument, name)) for name, each in value.items()}
    if isinstance(value, argparse.Namespace):
        for name, each in vars(value).items():
            setattr(value, name, expand_all(each, _below(argument, name)))
    return value


def _below(argument: str, name: object) -> str:
    """The name of an option, as it is typed: without what the parser puts between."""
    return argument if name == "init_args" else f"{argument}.{name}".lstrip(".")
