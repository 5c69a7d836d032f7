"""The bundle's program as a module, and model files beside which it finds its description."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

from src.bundle.stage import CONTENTS


def predict_module() -> ModuleType:
    """Import the bundle's ``predict.py`` anew."""
    # In this package, so that it finds the files beside it without sys.path.
    spec = importlib.util.spec_from_file_location("src.shipped.anew", CONTENTS / "predict.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def described(
    model: Path, rule: dict[str, Any], runtime: str = "runtime_onnxruntime", **changes: Any
) -> Path:
    """Write ``model.json`` beside a model file; return their folder."""
    about = {
        "runtime": runtime,
        "model": model.name,
        "sha256": {model.name: hashlib.sha256(model.read_bytes()).hexdigest()},
        "executes": None,
        "mixes_batch": False,
        "needs_dot_product": False,
        "threads": None,
        "preprocessing": rule,
        "input": {"dtype": "float32", "layout": "NCHW", "normalised": True},
    }
    (model.parent / "model.json").write_text(json.dumps(about | changes), encoding="utf-8")
    return model.parent
