"""The kinds of file to deploy: one module each, found by its name.

A module whose name does not start with an underscore is a format if it satisfies
:class:`src.formats.base.Format`; ``base`` holds the protocols.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import cast

from src.errors import UsageError
from src.formats.base import Format


def names() -> list[str]:
    """Every format there is, by name, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_") and name != "base")


def get(name: str, argument: str = "export.formats") -> Format:
    """The format called ``name``.

    Raises:
        UsageError: there is none.
    """
    if name not in names():
        raise UsageError(
            argument,
            expected=f"names among {', '.join(names())}",
            found=name,
            remedy="see src/formats/",
        )
    return cast("Format", importlib.import_module(f"{__name__}.{name}"))
