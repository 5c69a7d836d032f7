"""Data sets by their options, for a message about an option that another data set has."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from src.system import safe_yaml

_PRESETS = Path(__file__).parents[2] / "configs" / "data"
_OWN_IMAGES = ("image_folder", "csv")


def data_sets_with(option: str) -> list[str]:
    """Return the names of the data sets that have an option, those of a user's images first."""
    found = []
    for path in sorted(_PRESETS.glob("*.yaml")):
        chosen = safe_yaml.load(path.read_text(encoding="utf-8"))["data"]["class_path"]
        module, _, name = str(chosen).rpartition(".")
        # Only the module of the chosen data set is imported by now.
        kind = getattr(importlib.import_module(module), name)
        if option in inspect.signature(kind).parameters:
            found.append(path.stem)
    return sorted(found, key=lambda name: name not in _OWN_IMAGES)
