from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import force_setattr
from rich.console import Console

from src.report.sections import answers, measurements
from src.report.writers.console import report_table
from tests.report.pages import cells, main_table, markdown_page, record, report
from tests.report.planted import FAILED, latency, of_version_1, results, row


def test_cells_show_the_figures_in_the_units_of_their_heads() -> None:
    same = {"format": "onnx", "value": 3.0, "low": 2.9, "high": 3.1, "processes": 5}
    int8 = row("onnx_int8", latency=[latency(1, 0.0123, speedup_same_runtime=same)])
    assert cells(results(row("eager"), int8), "onnx_int8") == {
        "format": "onnx_int8",
        "device": "cpu",
        "size MB": "12.3",
        "top-1 %": "98.76",
        "delta points": "-1.23 [-2.34, +0.12]",
        "verdict": "inconclusive",
        "batch 1 p50 ms": "12.30",
        "batch 1 p90 ms": "13.53",
        "batch 1 p99 ms": "-",
        "batch 1 times eager": "2.00 [1.90, 2.10]",
        "batch 1 times fp32 there": "3.00 [2.90, 3.10]",
        "batch 8 p50 ms": "-",
        "batch 8 p90 ms": "-",
        "batch 8 p99 ms": "-",
        "batch 8 times eager": "-",
        "batch 8 times fp32 there": "-",
    }


def test_further_figures_have_a_table_of_their_own() -> None:
    only = row("onnx", latency=[latency(8, 0.05, joules_per_image=0.002)])
    assert cells(results(only), "onnx", measurements.more_columns) == {
        "format": "onnx",
        "device": "cpu",
        "load s": "0.50",
        "first call ms": "45.0",
        "batch 8 images/s": "160.0",
        "batch 8 mean ms": "50.00",
        "batch 8 IQR ms": "0.00",
        "batch 8 on GPU p50 ms": "-",
        "batch 8 mJ an image": "2.0",
        "batch 8 busy cores": "1.90",
        "batch 8 peak memory MB": "200",
        "batch 8 peak on GPU MB": "-",
        "ran in": "fp32 25%, int8 75%",
    }


@pytest.mark.parametrize(("classes", "is_shown"), [(2, False), (5, False), (6, True)])
def test_a_top5_that_all_answers_are_among_is_not_shown(classes: int, is_shown: bool) -> None:
    measured = results(row("onnx"))
    measured |= {"num_classes": classes, "class_names": [str(name) for name in range(classes)]}
    measured["rows"][0]["accuracy"] |= {"worst_class": None, "per_class": []}
    assert ("top-5 %" in cells(measured, "onnx", answers.columns)) is is_shown


def test_changed_predictions_have_a_table_of_their_own() -> None:
    assert cells(results(row("onnx")), "onnx", answers.columns) == {
        "format": "onnx",
        "device": "cpu",
        "top-5 %": "100.00",
        "lost": "8",
        "gained": "1",
        "McNemar p": "0.070",
        "agreement %": "99.00",
        "worst class, points": "7 -5.0",
        "ECE %": "2.00",
        "delta ECE points": "+0.10",
        "largest logit difference": "0.5000",
        "its p99": "0.4000",
        "logit SQNR dB": "-",
        "KL nats": "0.001000",
        "rounding error, ppm": "1.50",
        "images that would settle it": "1,234",
    }


def test_an_fp32_file_of_the_same_network_shows_no_accuracy_interval() -> None:
    same = row("onnx", verdict="same")
    same["accuracy"] |= {"delta_top1": 0.0}
    shown = cells(results(row("eager"), same), "onnx")
    assert (shown["verdict"], shown["delta points"]) == ("same network", "+0.00")


def test_the_baseline_has_no_accuracy_delta_to_itself() -> None:
    assert cells(results(row("eager")), "eager")["delta points"] == "-"


@pytest.mark.parametrize("rows", [[row("eager")], [row("eager", **FAILED)], []])
def test_pages_are_made_with_any_set_of_rows(rows: list[dict[str, Any]]) -> None:
    measured = results(*rows)
    console = Console(record=True, width=130)
    console.print(report_table(report(measured)))
    assert "planted/version_0" in console.export_text()
    assert "540 images" in markdown_page(measured)


def test_markup_in_a_format_name_stays_text() -> None:
    measured = record(results(row("eager"), row("other")))
    force_setattr(measured.rows[1], "format", "a|<script>")  # which no file may say
    assert "| a\\|&lt;script> |" in main_table(measured)
    assert "<script>" not in markdown_page(measured)


@pytest.mark.parametrize(
    ("also_in_calibration", "said"),
    [
        (0, "540 images that neither training nor calibration has seen; delta"),
        (1, "540 images, 1 of which is also among the calibration images; delta"),
        (3, "540 images, 3 of which are also among the calibration images; delta"),
        (None, "540 images; delta"),
    ],
)
def test_test_images_are_called_unseen_only_where_no_calibration_image_is_among_them(
    also_in_calibration: int | None, said: str
) -> None:
    measured = results(row("eager"))
    measured["dataset"]["also_in_calibration"] = also_in_calibration
    notes = " ".join(report(measured).measurements.notes)
    assert said in notes
    assert ("has seen" in notes) is (also_in_calibration == 0)


def test_a_measurement_of_an_early_version_claims_nothing_of_its_images() -> None:
    notes = " ".join(report(of_version_1(results(row("eager")))).measurements.notes)
    assert "540 images; delta" in notes
