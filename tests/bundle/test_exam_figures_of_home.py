"""The measured figures in an exam: those of the very file that a bundle ships."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from src.bundle.exam import ShippedFile, versions_at_home
from src.run.reading import convert
from src.run.row import Row
from tests.report import planted

MODEL = b"a model"
INSIDE = hashlib.sha256(MODEL).hexdigest()


def shipped(row: dict[str, Any] | None, **changes: Any) -> ShippedFile:
    values: dict[str, Any] = {
        "name": "onnx_int8",
        "model_files": ("model.onnx",),
        "contents": {"model.onnx": MODEL, "README.md": b"a card"},
        "row": None if row is None else convert(row, Row),
        "tolerance": 1e-3,
        "embedded": False,
        "decoder": "pillow",
        "runtime": "onnxruntime",
        "versions": {},
        "python": "3.12.0",
    }
    return ShippedFile(**(values | changes))


def row(sha256: str = INSIDE, **changes: Any) -> dict[str, Any]:
    """A row that is the same network, whose embedded file fails."""
    inside = planted.embedded("onnx_int8_embedded", sha256={"model.onnx": sha256}, **changes)
    if inside["against_baseline"] is not None:
        inside["against_baseline"] |= {"verdict": "fail"}
    return planted.row("onnx_int8", verdict="pass", pipeline=[planted.pipeline()], embedded=inside)


def test_the_plain_file_has_the_verdict_and_the_time_of_its_row() -> None:
    plain = shipped(row())
    assert plain.measured_verdict == "pass"
    assert plain.row is not None
    cell = plain.row.cell(1)
    assert cell is not None
    assert plain.measured_p50_s == cell.p50_s


def test_a_file_with_its_preprocessing_inside_has_its_own_verdict_and_no_time_of_a_call() -> None:
    inside = shipped(row(), embedded=True)
    assert (inside.measured_verdict, inside.measured_p50_s) == ("fail", None)


@pytest.mark.parametrize(
    "measured",
    [
        None,
        planted.row("onnx_int8", verdict="pass"),  # its embedded file was not measured
        row(sha256="that of another file"),
        row(against_baseline=None),
    ],
    ids=["no row", "not measured", "another file", "no baseline"],
)
def test_a_file_with_its_preprocessing_inside_has_no_verdict_of_another_one(
    measured: dict[str, Any] | None,
) -> None:
    inside = shipped(measured, embedded=True)
    assert (inside.measured_verdict, inside.measured_p50_s) == (None, None)


@pytest.mark.parametrize("decoder", ["pillow_draft", "simplejpeg", "opencv"])
def test_the_verdict_after_one_decoder_is_not_that_after_another(decoder: str) -> None:
    faster = shipped(row(), decoder=decoder)
    assert faster.measured_verdict is None
    assert faster.measured_p50_s is not None  # a call begins after the decoding


def test_the_versions_of_home_have_the_names_that_an_exam_looks_up() -> None:
    """The lock has canonical names, and another package may bring the same modules."""
    versions = {"mnn": "3.4", "numpy": "2.4.6", "opencv-python": "5.0", "tool-kit": "3"}
    assert versions_at_home(shipped(None, versions=versions)) == {
        "MNN": "3.4",
        "numpy": "2.4.6",
        "opencv-python-headless": "5.0",
    }
    # As onnxruntime-gpu is locked: under the name of the modules.
    bundle = shipped(None, versions={"onnxruntime": "1.32.0"})
    assert versions_at_home(bundle) == {"onnxruntime": "1.32.0"}
