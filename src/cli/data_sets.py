"""Data sets by their options, for a message about an option that another data set has."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Collection
from pathlib import Path

from src.system import safe_yaml

_PRESETS = Path(__file__).parents[2] / "configs" / "data"
_OWN_IMAGES = ("image_folder", "csv")


def data_sets_with(option: str) -> list[str]:
    """Return the names of the data sets that have an option, those of a user's images first."""
    presets = sorted(_PRESETS.glob("*.yaml"))
    found = [preset.stem for preset in presets if option in _options_of(preset)]
    return sorted(found, key=lambda name: name not in _OWN_IMAGES)


def _options_of(preset: Path) -> Collection[str]:
    """Return the options of a preset's class; none without a class that can be imported."""
    content = safe_yaml.load(preset.read_text(encoding="utf-8"))
    data = content.get("data") if isinstance(content, dict) else None
    chosen = data.get("class_path") if isinstance(data, dict) else None
    module, _, name = str(chosen).rpartition(".")
    if not module:
        return ()  # it sets options of another preset's class
    try:
        # Only the module of the chosen data set is imported by now.
        kind = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return ()  # it needs a package that is not installed, so it is no advice
    return inspect.signature(kind).parameters
