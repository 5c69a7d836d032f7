"""The training recipe of a network that is chosen by its name in a library.

``model=torchvision/swin_t`` trains by the first recipe of ``configs/families.yaml`` with a pattern
that the name matches.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

from src.system import safe_yaml

GROUP = "family"  # the folder of the recipes in configs/, and its option
_PATTERNS = "families.yaml"


def is_of_library(model: str) -> bool:
    """Return True for ``LIBRARY/NAME``, False for a name of ``configs/model/``."""
    return "/" in model


def recipe_of(model: str, configs: Path) -> str:
    """Return the name of the recipe for ``LIBRARY/NAME`` or ``LIBRARY/NAME.WEIGHTS``."""
    name = model.partition("/")[2].partition(".")[0]
    families = safe_yaml.load((configs / _PATTERNS).read_text(encoding="utf-8"))
    for recipe, patterns in families.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return str(recipe)
    raise AssertionError(f"{_PATTERNS} must end with a pattern for any name")
