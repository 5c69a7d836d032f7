"""Import of the bundle's program, as a user of an unpacked bundle does it."""

from __future__ import annotations

import importlib.util
from types import ModuleType

from src.bundle.stage import CONTENTS


def predict_module() -> ModuleType:
    """Import the bundle's ``predict.py`` anew."""
    spec = importlib.util.spec_from_file_location("shipped", CONTENTS / "predict.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
