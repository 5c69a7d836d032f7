"""The parts of which recipes are made: ranges, biases, equalisation, the order of sensitivity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from src.backends.onnx import tensors
from src.quantization.onnx import bias_correction
from src.quantization.onnx.calibration import (
    Calibrations,
    entropy_range,
    least_divergence,
    operators,
    percentile_range,
)
from src.quantization.onnx.equalization import equalise
from src.quantization.onnx.sensitivity import sensitivity_order
from src.quantization.target import choose

RANDOM = np.random.default_rng(0)


def model_of(
    nodes: list[onnx.NodeProto],
    floats: dict[str, Any],
    classes: int = 4,
    constants: Sequence[onnx.TensorProto] = (),
) -> onnx.ModelProto:
    """A checked graph from ``images`` to ``logits``."""
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


# --- calibration


def test_ranges_are_the_extremes_or_the_mean_of_the_batches_extremes(tmp_path: Path) -> None:
    model = model_of(
        [node("Relu", "images", "positive"), node("GlobalAveragePool", "positive", "pooled"),
         node("Flatten", "pooled", "logits")], {}, classes=3,
    )  # fmt: skip
    onnx.save(model, tmp_path / "model.onnx")
    drawn = images(48)
    drawn[20, 0, 0, 0] = 500.0
    calibrations = Calibrations(tmp_path / "model.onnx", drawn, tmp_path)
    low, high = calibrations.ranges("minmax")["images"].range_value
    assert (low, high) == (drawn.min(), 500)
    low, high = calibrations.ranges("average")["images"].range_value
    batches = drawn.reshape(3, 16, -1)
    assert high == pytest.approx(batches.max(axis=(1, 2)).mean())
    assert low == pytest.approx(batches.min(axis=(1, 2)).mean())
    # One value of 9,216 is within 99.999 %, and not within 99.9 %.
    assert calibrations.ranges("percentile 99.999")["images"].range_value[1] == 500
    clipped = calibrations.ranges("percentile 99.9")["images"]  # type: ignore[arg-type]
    assert 3 < clipped.range_value[1] < 6
    # What the quantizer does to a set of ranges is not in the next one.
    ranges = calibrations.ranges("minmax")
    ranges["images"] = ranges["positive"]
    assert calibrations.ranges("minmax")["images"].range_value == (drawn.min(), 500)


def histogram(values: np.ndarray, bins: int = 2048) -> Any:
    ends = np.abs(values).max()
    counts, edges = np.histogram(values, bins, (-ends, ends))
    return counts, edges, values.min(), values.max()


def test_a_percentile_keeps_as_much_as_it_says_and_no_bin_more() -> None:
    values = RANDOM.normal(size=200_000)
    low, high = percentile_range(histogram(values), 99.0)
    for end, share in ((low, 0.005), (high, 0.995)):
        assert end == pytest.approx(np.quantile(values, share), abs=0.01)
    positive = np.maximum(values, 0)
    assert percentile_range(histogram(positive), 99.99)[0] == 0
    assert percentile_range(histogram(values), 100.0) == (values.min(), values.max())


def test_a_percentile_keeps_what_an_outlier_has_pressed_into_one_bin() -> None:
    values = np.append(RANDOM.uniform(size=200_000), 5000.0)
    _, high = percentile_range(histogram(values), 99.99)
    assert 1 <= high < 5


def test_entropy_clips_a_thin_tail_and_keeps_a_full_range() -> None:
    uniform = RANDOM.uniform(size=100_000)
    assert entropy_range(histogram(uniform))[1] == pytest.approx(1, abs=0.02)
    tailed = np.append(np.abs(RANDOM.normal(size=100_000)), [40.0, 41.0])
    low, high = entropy_range(histogram(tailed))
    assert 2 < high < 10
    assert low == tailed.min()


def test_entropy_of_nothing_is_no_error() -> None:
    assert least_divergence(np.zeros(1024, np.int64)) >= 128


# --- bias correction


def rounded(weights: np.ndarray, step: float = 0.25) -> np.ndarray:
    return (np.round(weights / step) * step).astype(np.float32)


CONVOLUTIONS = {
    "plain": ({}, (6, 3, 3, 3), True),
    "without a bias": ({}, (6, 3, 3, 3), False),
    "grouped": ({"group": 3}, (6, 1, 3, 3), True),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_a_convolutions_mean_output_is_that_of_the_float_weights_again(kind: str) -> None:
    options, shape, has_bias = CONVOLUTIONS[kind]
    weights = RANDOM.normal(size=shape)
    constants = {"weight": weights} | ({"bias": RANDOM.normal(size=6)} if has_bias else {})
    names = "images weight bias" if has_bias else "images weight"
    nodes = [
        node("Conv", names, "features", **options),
        node("GlobalAveragePool", "features", "pooled"),
        node("Flatten", "pooled", "logits"),
    ]
    drawn = images(64) + np.array([1.0, -2.0, 0.5], np.float32).reshape(3, 1, 1)
    # Pixels at the border are read less often than others; all the same, they have the same mean.
    drawn -= drawn.mean(axis=(0, 2, 3), keepdims=True) - np.array([1, -2, 0.5]).reshape(3, 1, 1)
    drawn = drawn.astype(np.float32)
    original = model_of(nodes, constants, classes=6)
    means = bias_correction.mean_inputs(original, drawn)
    np.testing.assert_allclose(means["images"], [1, -2, 0.5], atol=1e-5)

    crude = {"weight": rounded(weights)}
    quantized = model_of(nodes, constants | crude, classes=6)
    wanted = run(original, drawn).mean(axis=0)
    error = np.abs(run(quantized, drawn).mean(axis=0) - wanted).max()

    corrected = model_of(nodes, constants, classes=6)
    assert bias_correction.correct(corrected, crude, means) == 1
    found = tensors.constants(corrected)
    bias = found[corrected.graph.node[0].input[2]]
    with_bias = [node("Conv", "images weight bias", "features", **options), *nodes[1:]]
    after = run(model_of(with_bias, {**crude, "bias": bias}, classes=6), drawn).mean(axis=0)
    assert error > 0.1
    assert np.abs(after - wanted).max() < 0.1 * error


@pytest.mark.parametrize("kind", ["Gemm", "transposed Gemm", "MatMul"])
def test_a_linear_layers_mean_output_too(kind: str) -> None:
    weights = RANDOM.normal(size=(192, 5))
    stored = weights.T if kind == "transposed Gemm" else weights
    flat = node("Flatten", "images", "flat")
    if kind == "MatMul":
        nodes = [
            flat,
            node("MatMul", "flat weight", "product"),
            node("Add", "bias product", "logits"),
        ]
    else:
        nodes = [flat, node("Gemm", "flat weight bias", "logits", transB=int("trans" in kind))]
    constants = {"weight": stored, "bias": RANDOM.normal(size=5)}
    drawn = images(32) + 1
    original = model_of(nodes, constants, classes=5)
    crude = {"weight": rounded(stored)}
    corrected = model_of(nodes, constants, classes=5)
    means = bias_correction.mean_inputs(original, drawn)
    assert bias_correction.correct(corrected, crude, means) == 1
    adder = corrected.graph.node[-1]
    name = next(each for each in adder.input if each.endswith("corrected_bias"))
    bias = tensors.constants(corrected)[name]
    after = run(model_of(nodes, {**crude, "bias": bias}, classes=5), drawn)
    before = run(model_of(nodes, constants | crude, classes=5), drawn)
    wanted = run(original, drawn).mean(axis=0)
    np.testing.assert_allclose(after.mean(axis=0), wanted, atol=1e-3)
    assert np.abs(before.mean(axis=0) - wanted).max() > 0.1


def test_what_stays_in_float_is_not_corrected() -> None:
    nodes = [node("Flatten", "images", "flat"), node("Gemm", "flat weight bias", "logits")]
    model = model_of(nodes, {"weight": RANDOM.normal(size=(192, 4)), "bias": np.zeros(4)})
    before = model.SerializeToString()
    assert bias_correction.correct(model, {}, bias_correction.mean_inputs(model, images())) == 0
    assert model.SerializeToString() == before


# --- equalisation


def chain(activation: str = "Relu", groups: int = 1, *, branches: bool = False) -> onnx.ModelProto:
    """Convolution, activation, convolution, activation, convolution; ranges far apart."""
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


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_equalising_leaves_the_logits_and_evens_the_ranges(groups: int) -> None:
    model, drawn = chain(groups=groups), images()
    before = run(model, drawn)

    def unevenness() -> float:
        ranges = np.abs(tensors.constants(model)["w1"]).max(axis=(1, 2, 3))
        return float(ranges.max() / ranges.min())

    uneven = unevenness()
    assert equalise(model) == 2
    assert unevenness() < 0.2 * uneven
    np.testing.assert_allclose(
        run(model, drawn), before, rtol=1e-4, atol=1e-4 * np.abs(before).max()
    )
    values = tensors.constants(model)
    for first, second, of in (("w1", "w2", groups), ("w2", "w3", 1)):
        outgoing = np.abs(values[first]).max(axis=(1, 2, 3))
        by_group = np.abs(values[second]).reshape(of, -1, *values[second].shape[1:])
        incoming = by_group.max(axis=(1, 3, 4)).reshape(8)
        np.testing.assert_allclose(outgoing, incoming, rtol=0.01)


@pytest.mark.parametrize("activation", ["HardSwish", "Sigmoid", "Tanh"])
def test_no_other_activation_is_equalised_across(activation: str) -> None:
    model = chain(activation)
    before = model.SerializeToString()
    assert equalise(model) == 0
    assert model.SerializeToString() == before


def test_what_something_else_reads_is_not_equalised() -> None:
    model, drawn = chain(branches=True), images()
    before = run(model, drawn)
    assert equalise(model) == 1  # two layers read what the first one gives
    np.testing.assert_allclose(run(model, drawn), before, rtol=1e-4, atol=1e-3)


def test_a_channel_without_weights_is_left_as_it_is() -> None:
    model = chain()
    for each in model.graph.initializer:
        if each.name in {"w1", "b1"}:
            value = numpy_helper.to_array(each).copy()
            value[3] = 0
            each.CopyFrom(numpy_helper.from_array(value, each.name))
    drawn = images()
    before = run(model, drawn)
    equalise(model)
    after = run(model, drawn)
    assert np.isfinite(after).all()
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-3)


# --- the order of sensitivity


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


def test_a_concatenation_is_not_hurt_the_more_for_reading_many(tmp_path: Path) -> None:
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
    for each in model.graph.initializer:
        if each.name in {"w1", "b1", "w2"}:
            value = numpy_helper.to_array(each).copy()
            if each.name == "b1":
                value[:] = 1
            else:
                value[:] = RANDOM.normal(size=value.shape)
            if each.name == "w2":
                value[5] *= 1000
            each.CopyFrom(numpy_helper.from_array(value, each.name))
    drawn = images()
    order = sensitivity_order(model, quantized_of(model, drawn, tmp_path), drawn)
    # The second convolution writes it, the ReLU passes it on, the third reads it.
    assert set(order[:3]) == {"c2_node", "a2_node", "c3_node"}
    assert {"c1_node", "a1_node"} <= set(order)
