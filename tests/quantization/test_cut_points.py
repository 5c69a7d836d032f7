"""Cut points of a graph: after blocks, not within them."""

from __future__ import annotations

import numpy as np
import onnx

from src.quantization.onnx.cut_points import cut_points, nodes_up_to
from tests.quantization.onnx_models import model_of, node

KERNEL = {"kernel": np.ones((3, 3, 1, 1), np.float32)}


def residual() -> onnx.ModelProto:
    """Return a network of a stem with SiLU, a residual block of two convolutions, and a head."""
    return model_of(
        [
            node("Conv", "images kernel", "stem"),
            node("Sigmoid", "stem", "gate"),
            node("Mul", "stem gate", "silu"),
            node("Conv", "silu kernel", "within"),
            node("Conv", "within kernel", "branch"),
            node("Add", "branch silu", "block"),
            node("Conv", "block kernel", "head"),
            node("GlobalAveragePool", "head", "pooled"),
            node("Flatten", "pooled", "logits"),
        ],
        KERNEL,
        classes=3,
    )


def test_a_cut_is_behind_an_activation_or_a_block_and_before_a_convolution() -> None:
    assert cut_points(residual()) == ["silu_node", "block_node"]


def test_a_network_in_one_piece_has_no_cut() -> None:
    model = model_of(
        [
            node("Conv", "images kernel", "first"),
            node("Conv", "first kernel", "second"),
            node("Concat", "images first second", "all", axis=1),
            node("GlobalAveragePool", "all", "pooled"),
            node("Flatten", "pooled", "logits"),
        ],
        KERNEL,
        classes=9,
    )
    assert cut_points(model) == []


def test_the_float_prefix_is_all_nodes_up_to_the_cut() -> None:
    assert nodes_up_to(residual(), "silu_node") == ["stem_node", "gate_node", "silu_node"]
    assert nodes_up_to(residual(), "") == []
