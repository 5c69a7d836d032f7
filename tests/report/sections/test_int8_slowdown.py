from __future__ import annotations

from typing import Any

from src.report.sections.int8_slowdown import explanations
from tests.report.pages import record
from tests.report.planted import latency, results, row

PROFILE = {
    "time": {"conversion": 0.15, "fp32": 0.3, "int8": 0.55},
    "nodes": {"conversion": 47, "fp32": 1, "int8": 53},
    "operators": {"ConvInteger": 0.51, "Mul": 0.2},
}


def lines(low: float, high: float, *, dot_product: bool = True, **changes: Any) -> list[str]:
    interval = {"value": (low + high) / 2, "low": low, "high": high, "processes": 5}
    gain = {"format": "onnx_fp32", **interval}
    cell = latency(1, 0.01, speedup_same_runtime=gain)
    quantized = row("onnx_int8", precision="int8", latency=[cell], profile=PROFILE) | changes
    measured = results(row("eager"), quantized)
    measured["environment"]["int8_dot_product"] = dot_product
    return list(explanations(record(measured)))


def test_a_slow_int8_row_is_explained_by_where_its_time_goes() -> None:
    assert lines(0.6, 0.7) == [
        "onnx_int8 on cpu is slower than onnx_fp32: its time goes 55% in int8 (53 nodes), 30% in "
        "fp32 (1 node), 15% converting between the two (47 nodes), most of it into ConvInteger "
        "(51%)"
    ]


def test_an_int8_row_that_may_be_as_fast_is_not_called_slower() -> None:
    (line,) = lines(0.9, 1.1, dot_product=False)
    assert line.startswith("onnx_int8 on cpu is not measurably faster than onnx_fp32: ")
    assert line.endswith(", this CPU has no instruction for int8 dot products")


def test_a_faster_row_or_one_in_fp32_needs_no_explanation() -> None:
    assert lines(1.01, 1.2) == []
    assert lines(0.6, 0.7, precision="fp32") == []
    assert lines(0.6, 0.7, latency=[]) == []


def test_an_int8_row_without_a_profile_has_no_made_up_explanation() -> None:
    nothing: dict[str, Any] = {"time": {}, "nodes": {}, "operators": {}}
    assert lines(0.6, 0.7, profile=nothing) == ["onnx_int8 on cpu is slower than onnx_fp32"]
