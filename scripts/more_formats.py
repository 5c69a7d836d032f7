"""Formats of a script's own, beside those in src/formats, for this process and its workers."""

from __future__ import annotations

import os
from pathlib import Path

from src import formats

ROOT = Path(__file__).parent.parent


def plant(folder: Path, scratch: Path) -> None:
    """Make the modules in ``folder`` formats like any other.

    Args:
        folder: one module a format.
        scratch: an empty folder that outlives the last worker.
    """
    formats.__path__.append(str(folder))
    site = scratch / "site"
    site.mkdir()
    # Python imports it at the start of every worker.
    (site / "sitecustomize.py").write_text(
        f"from src import formats\nformats.__path__.append({str(folder)!r})\n", encoding="utf-8"
    )
    os.environ["PYTHONPATH"] = os.pathsep.join([str(site), str(ROOT)])
