"""Exported files whose "network" gives its own input, flat, as the logits.

What a program prints for a picture then says which values it gave the network.
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
    """A file's metadata: the rule, and a class for each value of the input."""
    names = [f"value {number}" for number in range(3 * rule["image_size"] ** 2)]
    return {"preprocessing": rule, "class_names": names}


def onnx_file(rule: dict[str, Any], folder: Path) -> Path:
    """An ONNX file in ``folder``."""
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
    """The same with the preprocessing and the softmax inside."""
    (folder / "plain").mkdir(parents=True, exist_ok=True)
    onnx_file(rule, folder / "plain")
    embedding.embed(folder / "plain", folder)
    return folder / file.FILE


def differences(probabilities: Any, expected: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far the input was from ``expected``, (3, S, S), judged by the softmax of the logits.

    But for a constant, the logarithm of the softmax is the logits.
    """
    logits = np.log(np.asarray(probabilities, np.float64)).reshape(expected.shape)
    difference = logits - expected
    return np.abs(difference - np.median(difference))
