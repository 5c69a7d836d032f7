"""The guard on the time from the image file to the label, of rows whose pipelines decide."""

from __future__ import annotations

from typing import Any

import pytest

from src.compare.finding import Finding
from tests.compare.test_regression import compared
from tests.report.planted import embedded, latency, pipeline, results, row

NAMES = ("eager", "torchscript", "onnx_fp32", "onnx_int8")
WHOLE = "from the image file to the label"


def measured(
    names: tuple[str, ...] = NAMES,
    whole: float = 1.0,
    call: float = 1.0,
    objective: str | None = None,
    **pipelines: float,
) -> dict[str, Any]:
    """A measurement of image files, whose pipelines and calls take so many times as long.

    Args:
        names: the rows.
        whole: factor of all pipelines.
        call: factor of all calls.
        objective: the user's; None for the pipeline, because the images are files.
        pipelines: factors of the pipelines of single rows.
    """
    rows = []
    for name in names:
        timed = pipeline()
        factor = pipelines.get(name, whole)
        timed["whole"] = with_times(timed["whole"], 0.01 * factor)
        rows.append(row(name, pipeline=[timed], latency=[latency(1, 0.004 * call)]))
    content = results(*rows)
    content["options"]["objective"] = objective
    return content


def with_times(whole: dict[str, Any], seconds: float) -> dict[str, Any]:
    return {**whole, "p50_s": seconds, "seconds": {str(number): [seconds] for number in range(10)}}


def findings(old: dict[str, Any], new: dict[str, Any]) -> list[Finding]:
    return compared(old, new, max_slowdown=0.05, max_drop=None)


def outcomes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, str]:
    """The outcome of each row's whole time."""
    return {it.format: it.outcome for it in findings(old, new) if it.figure == WHOLE}


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_a_slower_decoder_of_all_rows_is_found(count: int) -> None:
    names = NAMES[:count]
    assert outcomes(measured(names), measured(names)) == dict.fromkeys(names, "ok")
    slower = findings(measured(names), measured(names, whole=1.4))
    kinds = {(it.format, it.figure): it.outcome for it in slower}
    assert kinds == {(name, WHOLE): "regressed" for name in names} | {
        (name, "batch 1"): "ok" for name in names
    }
    assert "+40.0 % [+40.0, +40.0] over the calls" in slower[0].text


def test_a_slower_machine_is_no_slower_decoder() -> None:
    assert outcomes(measured(), measured(whole=1.3, call=1.3)) == dict.fromkeys(NAMES, "ok")


def test_a_faster_runtime_is_no_slower_decoder() -> None:
    assert outcomes(measured(), measured(whole=0.9, call=0.5)) == dict.fromkeys(NAMES, "ok")


def test_one_slower_pipeline_is_found_alone() -> None:
    expected = dict.fromkeys(NAMES, "ok") | {"onnx_int8": "regressed"}
    assert outcomes(measured(), measured(onnx_int8=1.2)) == expected
    # On a slower machine too.
    slower = measured(whole=1.3, call=1.3, onnx_int8=1.56)
    assert outcomes(measured(), slower) == expected


@pytest.mark.parametrize("objectives", [("latency", None), (None, "latency"), ("size", "size")])
def test_pipelines_that_do_not_decide_are_not_checked(objectives: tuple[str, str]) -> None:
    old, new = (
        measured(whole=factor, objective=objective)
        for factor, objective in zip((1.0, 2.0), objectives, strict=True)
    )
    assert outcomes(old, new) == {}
    assert outcomes(measured(objective="pipeline"), measured(whole=2.0)) == dict.fromkeys(
        NAMES, "regressed"
    )


def test_pipelines_that_new_did_not_time_are_inconclusive() -> None:
    new = measured()
    new["image_sample"] = None
    for entry in new["rows"]:
        entry["pipeline"] = []
    assert outcomes(measured(), new) == dict.fromkeys(NAMES, "inconclusive")


def test_a_pipeline_that_fails_now_has_regressed() -> None:
    new = measured()
    new["rows"][3] |= {"pipeline": [], "pipeline_reason": "it broke"}
    worst, *others = findings(measured(), new)
    assert str(worst) == (f"regressed: onnx_int8 on cpu, no longer measured: {WHOLE}: it broke")
    assert {it.outcome for it in others} == {"ok"}


def test_the_file_with_its_preprocessing_has_a_line_beside_the_pipelines() -> None:
    old, new = measured(), measured()
    for content, seconds in ((old, 0.012), (new, 0.018)):
        content["rows"][3]["embedded"] = embedded("onnx_int8_embedded", seconds)
    expected = dict.fromkeys(NAMES, "ok") | {"onnx_int8_embedded": "regressed"}
    assert outcomes(old, new) == expected
