"""Names of the file for LiteRT, and of the tensors in it."""

from __future__ import annotations

FILE = "model.tflite"
INPUT, OUTPUT = "images", "logits"
