"""ONNX files name the oldest versions that their operators allow, and answer as before."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, parser

from src.backends.onnx.oldest_version import name_at_least, name_oldest, read_by

NEWEST = 20
IMAGES = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)


def model(
    nodes: str, constants: str = "", opset: int = NEWEST, element: str = "float"
) -> onnx.ModelProto:
    """Return a file of nodes from ``x``, (N, 3, 8, 8), to ``y``, as an exporter stamps it."""
    return parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : {opset}, "ai.onnx.ml" : 5, "com.microsoft" : 1]>\n'
        f"made ({element}[N, 3, 8, 8] x) => ({element}[N, c, h, w] y) <{constants}> {{ {nodes} }}"
    )


def versions(of: onnx.ModelProto) -> tuple[int, int]:
    """Return the operator set and the IR version."""
    [item] = of.opset_import
    assert item.domain == ""
    return item.version, of.ir_version


def answer(of: onnx.ModelProto) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        of.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    [found] = session.run(None, {"x": IMAGES})
    return np.asarray(found)


SCALES = "float scale = {0.05}, uint8 zero = {128}"
QUANTIZED = "q = QuantizeLinear (x, scale, zero) d = DequantizeLinear (q, scale, zero) y = Relu (d)"
SPLIT = "y = AveragePool <kernel_shape = [3, 3], strides = [2, 2]"


@pytest.mark.parametrize(
    ("nodes", "constants", "expected"),
    [
        ("y = Relu (x)", "", (13, 7)),
        ("a = Shape (x) b = Reshape (x, a) y = Add (b, x)", "", (13, 7)),
        (QUANTIZED, SCALES, (13, 7)),
        (f"{SPLIT}> (x)", "", (13, 7)),
        (f"{SPLIT}, ceil_mode = 1> (x)", "", (19, 9)),  # was computed in another way
        (f"{SPLIT}, dilations = [2, 2]> (x)", "", (19, 9)),  # nothing older has it
        ("y = Reshape <allowzero = 1> (x, s)", "int64[4] s = {-1, 3, 4, 16}", (13, 7)),
        ("a = Shape <start = 0> (x) y = Reshape (x, a)", "", (15, 8)),
        ("y = Gelu (x)", "", (20, 9)),
        ("y = ReduceMax <keepdims = 1> (x, a)", "int64[2] a = {2, 3}", (18, 8)),  # axes as input
        ("y = HardSwish (x)", "", (14, 7)),  # came with this set
        ("y = LayerNormalization <axis = 3> (x, w)", "float[8] w = {1,1,1,1,1,1,1,1}", (17, 8)),
        ("y = ReduceMean <keepdims = 1> (x, a)", "int64[2] a = {2, 3}", (18, 8)),
    ],
)
def test_a_file_names_the_oldest_operator_set_in_which_it_is_the_same(
    nodes: str, constants: str, expected: tuple[int, int]
) -> None:
    before = model(nodes, constants)
    after = model(nodes, constants)
    name_oldest(after)
    assert versions(after) == expected
    onnx.checker.check_model(after, full_check=True)
    # ONNX Runtime has two kernels for AveragePool, which round in another order.
    assert np.allclose(answer(after), answer(before), rtol=1e-5, atol=1e-6)


def test_a_new_shape_with_a_zero_keeps_its_meaning() -> None:
    nodes, constants = "y = Reshape <allowzero = 1> (x, s)", "int64[4] s = {0, 3, 4, 16}"
    made = model(nodes, constants)
    name_oldest(made)
    assert versions(made) == (14, 7)
    assert [each.name for each in made.graph.node[0].attribute] == ["allowzero"]


def test_types_that_an_older_operator_does_not_take_keep_the_newer_set() -> None:
    nodes = "half = Cast <to = 10> (scale) " + QUANTIZED.replace("scale", "half")
    made = model(nodes, SCALES, element="float16")
    name_oldest(made)
    assert versions(made)[0] == 19  # scales in float16 came with it
    made = model("y = Conv (x, x)", opset=22, element="bfloat16")
    name_oldest(made)
    assert versions(made)[0] == 22


def test_a_type_that_is_not_known_keeps_the_newer_set() -> None:
    nodes = "a = com.microsoft.Operator (x) y = Reshape (a, s)"
    made = model(nodes, "int64[4] s = {-1, 3, 4, 16}")
    name_oldest(made)
    assert {item.domain: item.version for item in made.opset_import} == {"": 19, "com.microsoft": 1}
    assert read_by(made) == (
        f"ONNX operator set 19, IR version {made.ir_version} and the operators of com.microsoft"
    )


def test_operators_in_the_branches_of_a_condition_count() -> None:
    inner = helper.make_graph(
        [helper.make_node("Gelu", ["x"], ["inside"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inside", TensorProto.FLOAT, None)],
    )
    made = model("y = Relu (x)")
    made.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    made.graph.node[0].CopyFrom(
        helper.make_node("If", ["yes"], ["y"], then_branch=inner, else_branch=inner)
    )
    name_oldest(made)
    assert versions(made) == (20, 9)


def test_a_newer_set_can_be_named_again() -> None:
    made = model("y = Relu (x)")
    before = answer(made)
    name_oldest(made)
    name_at_least(made, 18)
    assert versions(made) == (18, 8)
    assert np.array_equal(answer(made), before)
    name_at_least(made, 13)
    assert versions(made) == (18, 8)


def test_the_release_that_reads_a_file_is_told() -> None:
    made = model("y = Relu (x)")
    name_oldest(made)
    assert read_by(made) == "onnxruntime 1.7 or newer (ONNX operator set 13, IR version 7)"
    name_at_least(made, 99)
    assert read_by(made).startswith("ONNX operator set 99, IR version ")
