"""The formats of the int8 twin in a training that makes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from src import formats
from src.cli import grammar
from src.system.packages import missing_packages

_OPTION = "export.formats"


def add(config: Any, args: Sequence[str], configs: Path) -> None:
    """Add the formats of the twin to those that are exported, unless the user named formats.

    Formats whose packages are not installed are left out.

    Args:
        config: the parsed configuration of one subcommand; changed in place.
        args: the translated command line.
        configs: the folder of configuration files.
    """
    if not config.twin.enabled or _are_named(args, configs):
        return
    chosen = config.export.formats
    config.export.formats = [*chosen, *(name for name in _installed() if name not in chosen)]


def notices(config: Any) -> list[str]:
    """Return a line if a twin is made and not exported, or exported and not made.

    Args:
        config: the parsed configuration of ``fit``.
    """
    if not config.export.enabled or config.trainer.fast_dev_run:
        return []
    named = [name for name in config.export.formats if formats.get(name, _OPTION).of_twin]
    if config.twin.enabled and not named:
        return [f"twin: {_OPTION} names none of its formats, so it is made and not exported"]
    if named and not config.twin.enabled:
        return [f"{_OPTION}: {', '.join(named)} need a twin, which twin=true makes"]
    return []


def _installed() -> list[str]:
    """Return the formats of the twin that can be exported here."""
    known = [formats.get(name, _OPTION) for name in formats.names()]
    return [kind.name for kind in known if kind.of_twin and not missing_packages(kind.requires)]


def _are_named(args: Sequence[str], configs: Path) -> bool:
    """Return True if the user names formats: by ``export=``, as an option or in a file."""
    folder = configs / "export"
    files = [word.removeprefix("--config=") for word in args if word.startswith("--config=")]
    if any(Path(file).is_relative_to(folder) for file in files):
        return True
    options = grammar.user_options(args, configs)
    return any(name.removesuffix("+") in {_OPTION, "export"} for name in options)
