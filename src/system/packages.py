"""Look-up of installed packages."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence


def missing_packages(names: Sequence[str]) -> list[str]:
    """Return those of the packages, by import name, that are not installed."""
    return [name for name in names if importlib.util.find_spec(name) is None]
