from __future__ import annotations

from pathlib import Path
from typing import Any

from src.report.sections import health
from tests.report.pages import html_page, markdown_page
from tests.report.pages import record as record_of
from tests.report.planted import results, row

SICK = {
    "images": 180,
    "logit_median": 3.9,
    "logit_largest": 162.5,
    "vanishing": 0.127,
    "dead": 0.0,
    "layers": [
        {"name": "features.8.0", "kind": "Conv2d", "ratio": 208.4, "largest": 241.8, "dead": None},
        {"name": "features.8.2", "kind": "SiLU", "ratio": 170.4, "largest": 44.1, "dead": 0.25},
    ],
    "problems": ["its largest logit is 162, 42 times that of the median image"],
}
HEALTHY = {**SICK, "problems": []}


def measured(found: dict[str, Any] | None) -> dict[str, Any]:
    return {**results(row("eager"), row("onnx")), "health": found}


def test_an_unhealthy_network_has_a_warning_and_a_table_of_its_layers(tmp_path: Path) -> None:
    record = record_of(measured(SICK))
    warning = health.warning(record.health)
    assert warning is not None
    assert "42 times that of the median image" in warning
    text = markdown_page(record)
    assert f"**{warning}**" in text
    assert "| features.8.2 | SiLU | 44.1 | 170 | 25% |" in text
    shown = html_page(record, tmp_path)
    assert "42 times that of the median image" in shown
    assert "features.8.0" in shown


def test_a_healthy_or_unchecked_network_has_no_warning(tmp_path: Path) -> None:
    for found in (HEALTHY, None):
        record = record_of(measured(found))
        assert health.warning(record.health) is None
        assert "outliers" not in markdown_page(record)
        assert "outliers" not in html_page(record, tmp_path)
    assert health.warning(record_of(results(row("eager"))).health) is None  # of an earlier version


def test_markup_in_layer_names_stays_text(tmp_path: Path) -> None:
    layer = {**SICK["layers"][0], "name": "<script>alert(1)</script>|x"}
    record = measured({**SICK, "layers": [layer], "problems": ["<img src=x>"]})
    page = html_page(record, tmp_path)
    assert "<script>alert(1)" not in page
    assert "<img src=x>" not in page
    assert "<script>" not in markdown_page(record)
