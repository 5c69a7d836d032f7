"""The order of an ONNX model's nodes by their own quantization error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from src.quantization.onnx.calibration import (
    Calibrations,
    operators,
)
from src.quantization.onnx.sensitivity import sensitivity_order
from src.quantization.target import choose
from tests.quantization.onnx_models import RANDOM, chain, images, model_of, node


def quantized_of(model: onnx.ModelProto, drawn: np.ndarray, folder: Path) -> onnx.ModelProto:
    onnx.save(model, folder / "model.onnx")
    options = choose("vnni").quantizer_options()
    ranges = Calibrations(folder / "model.onnx", drawn, folder).ranges("minmax")
    quantizer = QDQQuantizer(
        onnx.load(folder / "model.onnx"), True, False, options["weight_type"],
        options["activation_type"], ranges, [], [], operators(), {},
    )  # fmt: skip
    quantizer.quantize_model()
    return quantizer.model.model


def test_a_concatenation_is_not_more_sensitive_for_reading_many(tmp_path: Path) -> None:
    nodes = [
        *(node("Conv", f"images w{number}", f"c{number}") for number in range(6)),
        node("Concat", " ".join(f"c{number}" for number in range(6)), "all", axis=1),
        node("GlobalAveragePool", "all", "pooled"),
        node("Flatten", "pooled", "logits"),
    ]
    # All channels of the same range, so that none drowns in another.
    signs = RANDOM.choice([-1.0, 1.0], size=(6, 3, 3, 1, 1)) * np.array([1, 0.9, 0.8]).reshape(
        3, 1, 1
    )
    weights = {f"w{number}": signs[number] for number in range(6)}
    model, drawn = model_of(nodes, weights, classes=18), images()
    order = sensitivity_order(model, quantized_of(model, drawn, tmp_path), drawn)
    # A convolution reads and writes as well, and has weights.
    assert order[0] in {f"c{number}_node" for number in range(6)}


def test_the_nodes_about_a_channel_that_drowns_the_others_come_first(tmp_path: Path) -> None:
    model = chain()
    for tensor in model.graph.initializer:
        if tensor.name in {"w1", "b1", "w2"}:
            value = numpy_helper.to_array(tensor).copy()
            if tensor.name == "b1":
                value[:] = 1
            else:
                value[:] = RANDOM.normal(size=value.shape)
            if tensor.name == "w2":
                value[5] *= 1000
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))
    drawn = images()
    order = sensitivity_order(model, quantized_of(model, drawn, tmp_path), drawn)
    # The second convolution writes it, the ReLU passes it on, the third reads it.
    assert set(order[:3]) == {"c2_node", "a2_node", "c3_node"}
    assert {"c1_node", "a1_node"} <= set(order)
