"""The file beside a network that has no place for class names and preprocessing."""

from __future__ import annotations

import json
from pathlib import Path

from src.backends.base import ExportSource

FILE = "metadata.json"


def write(source: ExportSource, folder: Path) -> None:
    """Write class names and preprocessing into the folder of a network."""
    text = json.dumps({**source.metadata(), "image_shape": list(source.example.shape[1:])})
    (folder / FILE).write_text(text, encoding="utf-8")
