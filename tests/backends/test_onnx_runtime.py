from __future__ import annotations

from typing import Any

import pytest

from src.backends.base import Profile
from src.backends.onnx.runtime import operations


def kernel(at: int, operator: str, microseconds: int, *types: str) -> dict[str, Any]:
    return {
        "name": f"{operator}_{at % 200}_kernel_time",
        "ts": at,
        "dur": microseconds,
        "args": {"op_name": operator, "input_type_shape": [{each: [1, 3]} for each in types]},
    }


def test_time_is_shared_by_what_operators_take_without_the_first_call() -> None:
    events = [
        {"name": "session_initialization", "ts": 0, "dur": 5},
        {"name": "model_run", "ts": 10, "dur": 100},
        kernel(11, "Conv", 9_999, "float"),
        {"name": "model_run", "ts": 200, "dur": 100},
        {"name": "Conv_fence_before", "ts": 201, "dur": 77, "args": {"op_name": "Conv"}},
        kernel(201, "QuantizeLinear", 10, "float", "float", "uint8"),
        kernel(211, "QLinearConv", 60, "uint8", "float", "uint8", "int8"),
        kernel(271, "DequantizeLinear", 10, "uint8", "float"),
        kernel(281, "Gelu", 15, "float"),
        kernel(296, "MatMul", 5, "float16", "float16"),
    ]
    profile = Profile.of(operations(events))
    assert profile.time == {
        "16 bit": pytest.approx(0.05),
        "conversion": pytest.approx(0.20),
        "fp32": pytest.approx(0.15),
        "int8": pytest.approx(0.60),
    }
    assert profile.nodes == {"16 bit": 1, "conversion": 2, "fp32": 1, "int8": 1}
    assert list(profile.operators)[:2] == ["QLinearConv", "Gelu"]
    assert profile.operators["QLinearConv"] == pytest.approx(0.60)


def test_a_node_that_runs_in_each_call_is_one_node() -> None:
    runs = [{"name": "model_run", "ts": at, "dur": 9} for at in (0, 200, 400)]
    calls = [kernel(at, "Conv", 5, "float") for at in (1, 201, 401)]
    assert Profile.of(operations([*runs, *calls])).nodes == {"fp32": 1}


def test_a_profile_without_kernels_tells_nothing() -> None:
    assert Profile.of(operations([{"name": "model_run", "ts": 1, "dur": 2}])) == Profile()
