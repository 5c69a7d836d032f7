"""Small ONNX models, made node by node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(0)


def model_of(
    nodes: list[onnx.NodeProto],
    floats: dict[str, Any],
    classes: int = 4,
    constants: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """Return a checked model from ``images`` to ``logits``."""
    graph = helper.make_graph(
        nodes,
        "planted",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [
            *(numpy_helper.from_array(np.asarray(v, np.float32), k) for k, v in floats.items()),
            *constants,
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 10
    onnx.checker.check_model(model, full_check=True)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"images": images})[0]


def images(count: int = 16) -> np.ndarray:
    return RANDOM.normal(size=(count, 3, 8, 8)).astype(np.float32)


def node(kind: str, inputs: str, output: str, **options: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs.split(), [output], name=f"{output}_node", **options)


def chain(activation: str = "Relu", groups: int = 1, *, branches: bool = False) -> onnx.ModelProto:
    """Return three convolutions with activations between them, whose channels' ranges differ."""
    ranges = 10.0 ** RANDOM.uniform(-2, 2, size=(8, 1, 1, 1))
    constants = {
        "w1": RANDOM.normal(size=(8, 3, 3, 3)) * ranges,
        "b1": RANDOM.normal(size=8) * ranges.reshape(8),
        "w2": RANDOM.normal(size=(8, 8 // groups, 3, 3)),
        "b2": RANDOM.normal(size=8),
        "w3": RANDOM.normal(size=(4, 8, 1, 1)),
    } | ({"w4": RANDOM.normal(size=(4, 8, 1, 1))} if branches else {})
    nodes = [
        node("Conv", "images w1 b1", "c1", pads=[1] * 4),
        node(activation, "c1", "a1"),
        node("Conv", "a1 w2 b2", "c2", pads=[1] * 4, group=groups),
        node(activation, "c2", "a2"),
        node("Conv", "a2 w3", "c3"),
        *([node("Conv", "a1 w4", "c4"), node("Add", "c3 c4", "sum")] if branches else []),
        node("GlobalAveragePool", "sum" if branches else "c3", "pooled"),
        node("Flatten", "pooled", "logits"),
    ]
    return model_of(nodes, constants)
