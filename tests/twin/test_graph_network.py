"""The ONNX graph as a module that is trained: it computes what the runtime computes."""

from __future__ import annotations

import dataclasses
import re
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from src.backends.base import ExportSource
from src.backends.onnx import tensors, twin
from src.backends.onnx.runtime import OnnxRuntime
from src.quantization import target
from src.quantization.onnx.quantizer import Quantizer
from src.quantization.onnx.recipe import OnnxRecipe
from src.twin import graph_network, operator_support
from src.twin.fake_quantization import FakeQuantization
from src.twin.graph_network import GraphNetwork, UnknownOperatorError
from src.twin.operators import OPERATORS
from tests.twin.conftest import SIZE, quantize, train_a_little


def logits_of(model: onnx.ModelProto, images: torch.Tensor, folder: Path) -> np.ndarray:
    onnx.save_model(model, folder / "model.onnx")
    return OnnxRuntime(folder / "model.onnx", "cpu", 1)(images.numpy())


def step_of(model: onnx.ModelProto) -> float:
    """Return the quantization step of the logits."""
    return float(tensors.constants(model)["logits_scale"])


def test_the_float_graph_gives_the_float_logits(
    quantization: FakeQuantization, images: torch.Tensor
) -> None:
    graph = GraphNetwork(onnx.load(quantization.source.fp32_graph.prepared)).eval()
    with torch.no_grad():
        expected = quantization.source.network(images)
        assert torch.allclose(graph(images), expected, atol=1e-5)


@pytest.mark.parametrize("processor", ["vnni", "avx2", "arm"])
def test_fake_quantized_logits_are_the_runtimes_to_one_step(
    processor: target.Target,
    quantization: FakeQuantization,
    images: torch.Tensor,
    tmp_path: Path,
) -> None:
    choice = target.choose(processor)
    if target.this_processor() == "avx2" and not choice.reduce_range:
        pytest.skip("sums of full-range weights overflow in 16 bits on this processor")
    quantization = quantize(quantization.source, processor)
    model = quantization.quantizer.quantize(OnnxRecipe())
    expected = logits_of(model, images, tmp_path)
    with torch.no_grad():
        logits = quantization.network().eval()(images).numpy()
    assert np.abs(logits - expected).max() <= 1.001 * step_of(model)


def test_constants_of_sums_and_products_keep_their_values(
    quantization: FakeQuantization, images: torch.Tensor
) -> None:
    network = quantization.network()
    before = tensors.dequantized_weights(quantization.quantizer.quantize(OnnxRecipe()))
    fixed = {name for name in before if before[name].shape in {(8, 1, 1), (8, SIZE, SIZE)}}
    assert len(fixed) == 2
    assert not fixed & set(network.names)
    assert all(value.ndim != 0 for value in network.weights().values())
    train_a_little(network, images)
    buffers = [value.numpy() for _, value in network.named_buffers()]
    for name in fixed:
        assert any(np.array_equal(before[name], value) for value in buffers)


def test_a_tensor_that_is_read_no_more_takes_no_memory(
    quantization: FakeQuantization, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[weakref.ref[torch.Tensor]] = []
    alive: list[int] = []

    def noting(compute: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any) -> Any:
            result = compute(*arguments)
            made.append(weakref.ref(result))
            alive.append(sum(each() is not None for each in made))
            return result

        return noted

    monkeypatch.setattr(
        graph_network, "OPERATORS", {name: noting(each) for name, each in OPERATORS.items()}
    )
    network = quantization.network().eval()
    with torch.inference_mode():
        network(images)
    assert len(alive) >= 8
    assert max(alive) <= 4  # the residual sum of the network has two inputs


def test_a_planted_scale_is_told_apart(
    quantization: FakeQuantization, images: torch.Tensor, tmp_path: Path
) -> None:
    model = quantization.quantizer.quantize(OnnxRecipe())
    expected = logits_of(model, images, tmp_path)
    floats = tensors.constants(onnx.load(quantization.source.fp32_graph.prepared))
    for initializer in model.graph.initializer:
        if initializer.name == "images_scale":
            scale = onnx.numpy_helper.to_array(initializer) * np.float32(0.3)  # clips
            initializer.CopyFrom(onnx.numpy_helper.from_array(scale, initializer.name))
    with torch.no_grad():
        logits = GraphNetwork(model, floats).eval()(images).numpy()
    assert np.abs(logits - expected).max() > 1.5 * step_of(model)


def test_training_changes_the_file_that_is_written_and_nothing_else(
    quantization: FakeQuantization, images: torch.Tensor, tmp_path: Path
) -> None:
    network = quantization.network()
    before, after = train_a_little(network, images)
    assert after < 0.9 * before

    quantization.write(network, tmp_path / "trained.onnx")
    source = trained_source(quantization.source, tmp_path / "trained.onnx", tmp_path)
    known = {name: (low, high) for name, (low, high) in quantization.ranges().items()}
    model = Quantizer(source, target.choose("auto"), known).quantize(OnnxRecipe())
    original = tensors.constants(quantization.quantizer.quantize(OnnxRecipe()))
    assert tensors.constants(model)["images_scale"] == original["images_scale"]
    with torch.no_grad():
        expected = network.eval()(images).numpy()
    logits = logits_of(model, images, tmp_path)
    assert np.abs(logits - expected).max() <= 1.001 * step_of(model)


def trained_source(source: ExportSource, file: Path, folder: Path) -> ExportSource:
    scratch = folder / "scratch"
    scratch.mkdir()
    return twin.source_of(dataclasses.replace(source, scratch=scratch), file)


def test_an_operator_without_a_gradient_is_refused() -> None:
    node = onnx.helper.make_node("NonMaxSuppression", ["images"], ["logits"])
    value = onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [value]))
    with pytest.raises(UnknownOperatorError, match="NonMaxSuppression"):
        GraphNetwork(graph)


def graph_of(*nodes: onnx.NodeProto, **constants: object) -> onnx.ModelProto:
    """Return a graph from ``images`` to ``logits``; lists are constants of whole numbers."""
    helper, kind = onnx.helper, onnx.TensorProto
    values = [
        onnx.numpy_helper.from_array(
            value if isinstance(value, np.ndarray) else np.array(value, np.int64), name
        )
        for name, value in constants.items()
    ]
    ends = [
        helper.make_tensor_value_info(name, kind.FLOAT, [None] * rank)
        for name, rank in (("images", 4), ("logits", 4))
    ]
    graph = helper.make_graph(list(nodes), "g", ends[:1], ends[1:], values)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    return onnx.helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, size=shape).astype(np.float32)


GRAPHS = {
    "convolution of a sequence": graph_of(
        node("Reshape", "images row", "a"),
        node("Conv", "a w", "b", kernel_shape=[3], pads=[1, 1]),
        node("Conv", "b v bias", "c", pads=[2, 1], strides=[2], dilations=[2], group=2),
        node("Reshape", "c image", "logits"),
        row=[0, 1, -1],
        image=[0, 4, 1, -1],
        w=drawn(2, 1, 3),
        v=drawn(4, 1, 3),
        bias=drawn(4),
    ),
    "convolution of a volume": graph_of(
        node("Reshape", "images volume", "a"),
        node("Conv", "a w", "b"),
        node("Reshape", "b image", "logits"),
        volume=[0, 3, 4, 8, 8],
        image=[0, 2, 1, -1],
        w=drawn(2, 3, 2, 3, 3),
    ),
    "poolings of a sequence": graph_of(
        node("Reshape", "images row", "a"),
        node("MaxPool", "a", "b", kernel_shape=[3], pads=[1, 0]),
        node("AveragePool", "b", "c", kernel_shape=[3], pads=[1, 1], strides=[2]),
        node("GlobalAveragePool", "c", "d"),
        node("Reshape", "d image", "logits"),
        row=[0, 3, -1],
        image=[0, 3, 1, 1],
    ),
    "a maximum with dilations": graph_of(
        node("MaxPool", "images", "logits", kernel_shape=[2, 3], dilations=[2, 3], pads=[1] * 4)
    ),
    "a maximum with a border on one side": graph_of(
        node("MaxPool", "images", "logits", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    ),
    "a mean whose border counts on one side": graph_of(
        node(
            *("AveragePool", "images", "logits"),
            kernel_shape=[3, 3],
            pads=[0, 1, 1, 1],
            count_include_pad=1,
        )
    ),
    "a mean whose border does not count": graph_of(
        node("AveragePool", "images", "logits", kernel_shape=[3, 3], pads=[1] * 4)
    ),
    "no border in words": graph_of(
        node("Conv", "images w", "a", auto_pad="VALID"),
        node("MaxPool", "a", "logits", kernel_shape=[2, 2], auto_pad="NOTSET", storage_order=1),
        w=drawn(2, 3, 3, 3),
    ),
    "a matrix of any axis": graph_of(
        node("Flatten", "images", "a", axis=2),
        node("Transpose", "a", "b"),
        node("Flatten", "b", "c", axis=0),
        node("Reshape", "c image", "logits"),
        image=[SIZE, SIZE, -1, 3],
    ),
    "axes in reverse": graph_of(node("Transpose", "images", "logits")),
    "a mean of everything": graph_of(node("ReduceMean", "images", "logits")),
    "split by sizes": graph_of(
        node("Split", "images sizes", "a b", axis=1),
        node("Concat", "b a", "logits", axis=1),
        sizes=[1, 2],
    ),
    "split in parts": graph_of(
        node("Split", "images", "a b c", axis=2, num_outputs=3),
        node("Concat", "c b a", "logits", axis=2),
    ),
    "slice": graph_of(
        node("Slice", "images starts ends axes steps", "logits"),
        starts=[1, -3],
        ends=[3, 2**62],
        axes=[1, 3],
        steps=[1, 2],
    ),
    "expand": graph_of(
        node("Slice", "images zero one axes", "a"),
        node("Expand", "a shape", "logits"),
        zero=[0],
        one=[1],
        axes=[1],
        shape=[1, 5, 1, 1],
    ),
    "erf of a computed shape": graph_of(
        node("Shape", "images", "a", end=2),
        node("Concat", "a rest", "b", axis=0),
        node("Reshape", "images b", "c"),
        node("Erf", "c", "logits"),
        rest=[-1, 1],
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_an_operator_computes_what_the_runtime_computes(
    name: str, images: torch.Tensor, tmp_path: Path
) -> None:
    expected = logits_of(GRAPHS[name], images, tmp_path)
    with torch.no_grad():
        logits = GraphNetwork(GRAPHS[name]).eval()(images).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-6)


REFUSED = {
    "MaxPool with auto_pad=SAME_UPPER": node(
        "MaxPool", "images", "logits", kernel_shape=[3, 3], auto_pad="SAME_UPPER"
    ),
    "Conv with auto_pad=SAME_LOWER": node("Conv", "images w", "logits", auto_pad="SAME_LOWER"),
    "AveragePool with pads=[0, 0, 1, 1] that are not counted": node(
        "AveragePool", "images", "logits", kernel_shape=[3, 3], pads=[0, 0, 1, 1]
    ),
    "AveragePool with dilations=[2, 2]": node(
        "AveragePool", "images", "logits", kernel_shape=[3, 3], dilations=[2, 2]
    ),
    "MaxPool with kernel_shape=[1, 1, 1, 1]": node(
        "MaxPool", "images", "logits", kernel_shape=[1, 1, 1, 1]
    ),
    "MaxPool with more than one output": node("MaxPool", "images", "logits at", kernel_shape=[3]),
    "LayerNormalization with stash_type=10": node(
        "LayerNormalization", "images w", "logits", stash_type=10
    ),
    "ReduceMean with noop_with_empty_axes=1": node(
        "ReduceMean", "images", "logits", noop_with_empty_axes=1
    ),
    "Clip with max=6.0": node("Clip", "images", "logits", max=6.0),  # of old operator sets
    "Squeeze with axes=[1]": node("Squeeze", "images", "logits", axes=[1]),
    "Split with split=[1, 2]": node("Split", "images sizes", "logits b", split=[1, 2]),
    "Split with neither sizes nor their number": node("Split", "images", "logits b"),
    "ScatterND with reduction=add": node("ScatterND", "images w v", "logits", reduction="add"),
    "Gelu with planted=1": node("Gelu", "images", "logits", planted=1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operator_that_would_be_computed_otherwise_is_refused(name: str) -> None:
    with pytest.raises(UnknownOperatorError, match=re.escape(f"no training through {name}")):
        GraphNetwork(graph_of(REFUSED[name], w=drawn(2, 3, 3, 3), sizes=[1, 2]))


def test_the_attributes_that_are_read_are_of_known_operators() -> None:
    assert set(operator_support._READ) <= set(OPERATORS)
