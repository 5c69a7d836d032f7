"""Exported files of a "network" whose logits are its flattened input.

What a program prints for an image then shows which values it passed to the network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import parser

from src.backends.onnx import embedding, file


def metadata(rule: dict[str, Any]) -> dict[str, Any]:
    """Return a file's metadata: the preprocessing, and a class for each value of the input."""
    names = [f"value {number}" for number in range(3 * rule["image_size"] ** 2)]
    return {"preprocessing": rule, "class_names": names}


def onnx_file(rule: dict[str, Any], folder: Path) -> Path:
    """Write an ONNX file into ``folder``; return its path."""
    size = rule["image_size"]
    model = parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 20]> g (float[batch, 3, {size}, {size}] images)'
        " => (float[batch, k] logits) { logits = Flatten (images) }"
    )
    texts = {name: json.dumps(value) for name, value in metadata(rule).items()}
    onnx.helper.set_model_props(model, texts)
    folder.mkdir(exist_ok=True)
    onnx.save_model(model, folder / file.FILE)
    return folder / file.FILE


def embedded_file(rule: dict[str, Any], folder: Path) -> Path:
    """Write the same with embedded preprocessing and softmax; return its path."""
    (folder / "plain").mkdir(parents=True, exist_ok=True)
    onnx_file(rule, folder / "plain")
    embedding.embed(folder / "plain", folder)
    return folder / file.FILE


def differences(probabilities: Any, expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the absolute differences of the input from ``expected``, (3, S, S).

    The input is known from the softmax: its logarithm is the logits plus a constant.
    """
    logits = np.log(np.asarray(probabilities, np.float64)).reshape(expected.shape)
    difference = logits - expected
    return np.abs(difference - np.median(difference))
