"""Rows whose output is not usable as logits, for a test image or for a timed batch."""

from __future__ import annotations

from dataclasses import replace

from src.benchmark.suite import measure
from src.run.folder import Run
from tests.benchmark.planted_formats import (
    OPTIONS,
    StrangeData,
    only,
    silent,
)
from tests.report.pages import markdown_page

NOT_FINITE = "logits of 1 images are not finite"
# By fault and its trigger (an unusual test image, or a timed batch of three): the message.
ANSWERS = {
    "nan-of-the-strange": NOT_FINITE,
    "inf-of-the-strange": NOT_FINITE,
    "classes-of-the-strange": "an answer of int64 instead of floating-point logits",
    "objects-of-the-strange": "an answer of object instead of floating-point logits",
    "wide-of-the-strange": "logits of shape [64, 6] instead of [64, 3]",
    "few-of-the-strange": "logits of shape [63, 3] instead of [64, 3]",
    "nan-of-three": NOT_FINITE,
    "inf-of-three": NOT_FINITE,
    "classes-of-three": "an answer of int64 instead of floating-point logits",
    "wide-of-three": "logits of shape [3, 6] instead of [3, 3]",
    "few-of-three": "logits of shape [2, 3] instead of [3, 3]",
}


def test_an_unusable_output_fails_its_row_in_scoring_and_in_timing(run: Run) -> None:
    only(run, "eager", *ANSWERS)
    measure(run, StrangeData(), OPTIONS, silent)
    rows = {row.format: row for row in run.read_benchmark().rows}
    assert {name: row.reason for name, row in rows.items()} == {"eager": None, **ANSWERS}
    assert rows["eager"].accuracy
    assert rows["eager"].accuracy.images == 50


def test_a_baseline_that_fails_at_a_test_image_leaves_the_other_rows_their_figures(
    run: Run,
) -> None:
    only(run, "nan-of-the-strange", "talking")
    options = replace(OPTIONS, baseline="nan-of-the-strange")
    measure(run, StrangeData(), options, silent)
    written = run.read_benchmark()
    failed, talking = written.rows
    assert failed.reason == NOT_FINITE
    assert talking.status == "ok"
    assert talking.accuracy
    assert talking.accuracy.images == 50
    assert talking.accuracy.paired is None
    assert written.recommended == {"cpu": None}
    assert "nan-of-the-strange" in markdown_page(written)
