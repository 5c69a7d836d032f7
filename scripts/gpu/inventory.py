"""The packages of this Python. It needs none of them, because it runs where they are missing."""

from __future__ import annotations

import contextlib
import importlib.metadata
import re
import sys
from collections.abc import Iterator

_OURS = ("gpu", "marked_page", "src")  # a module of these that is missing is a defect


def inventory() -> list[str]:
    """The packages of this Python, ``name==version`` each, with normalised names (PEP 503)."""
    found = {
        re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(): each.version
        for each in importlib.metadata.distributions()
    }
    return [f"{name}=={version}" for name, version in sorted(found.items())]


@contextlib.contextmanager
def missing_packages_named() -> Iterator[None]:
    """Turn the import of a missing package into one line that says how to get it.

    Raises:
        SystemExit: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if not package or package in _OURS:
            raise
        sys.exit(
            f"check_gpu: {sys.executable} has no package {package}. With a network use the "
            "project's environment (PYTHON=.venv/bin/python scripts/check_gpu); without one "
            "install what --inventory and --wheels prepare (docs/gpu.md)"
        )
