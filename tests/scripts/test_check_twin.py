"""The table of twins over networks and seeds, from planted cells."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from src.run.results import Results
from tests.conftest import ROOT
from tests.report.pages import record
from tests.report.planted import results, row
from tests.report.sections.test_twin_section import OF_TWIN, account

sys.path.insert(0, str(ROOT / "scripts"))

import check_twin


def measured(**of_twin: Any) -> Results:
    twin = row(check_twin.TWIN, **{**OF_TWIN, "verdict": "pass", **of_twin})
    content = results(
        row(check_twin.EAGER), row(check_twin.BASELINE), row(check_twin.INT8, verdict="fail"), twin
    )
    return record({**content, "twin": account()})


@pytest.fixture
def page(tmp_path: Path) -> Path:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{check_twin.BEGIN}\n{check_twin.END}\nafter\n")
    return page


def test_the_page_has_the_marks() -> None:
    text = (ROOT / "docs" / "quantization.md").read_text(encoding="utf-8")
    assert text.count(check_twin.BEGIN) == text.count(check_twin.END) == 1


def test_a_finished_cell_is_kept_and_a_line_of_the_table(
    tmp_path: Path, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []

    def planted(folder: Path, setting: str, network: str, seed: int) -> Results:
        calls.append((network, seed))
        return measured()

    monkeypatch.setattr(check_twin, "measured", planted)
    words = ["check_twin.py", str(tmp_path / "root"), "--networks", "resnet34", "--seeds", "0", "1"]
    words += ["--settings", "hard_digits", "--page", str(page)]
    monkeypatch.setattr(sys, "argv", words)
    check_twin.main()
    check_twin.main()
    assert calls == [("resnet34", 0), ("resnet34", 1)]
    text = page.read_text()
    [line] = [line for line in text.splitlines() if line.startswith("| hard digits | resnet34 | 1")]
    assert line == (
        "| hard digits | resnet34 | 1 | 98.76 | -1.23 [-2.34, +0.12] | fail | 2.00 [1.90, 2.10] "
        "| -1.23 [-2.34, +0.12] | pass | 2.00 [1.90, 2.10] | 1.5, 1.80 | 2.0, 1.20 |"
    )
    assert "`onnx_int8`: pass 0, inconclusive 0, fail 2, of 2 files in 2 cells." in text
    assert "`onnx_int8_twin`: pass 2, inconclusive 0, fail 0, of 2 files in 2 cells." in text
    assert text.startswith("before")
    assert text.endswith("after\n")


def test_a_cell_without_a_twin_has_the_reason() -> None:
    skipped = measured(
        status="skipped", reason="nothing is gained", latency=[], accuracy=None, verdict=None
    )
    cell = {"setting": "digits", "network": "resnet34", "seed": 0, **check_twin.figures_of(skipped)}
    json.dumps(cell)
    lines = check_twin.table([cell, {**cell, "seed": 1}])
    assert sum("| no twin |" in line for line in lines) == 2
    assert lines.count("- resnet34 without a twin: nothing is gained.") == 1


def test_a_page_without_marks_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").write_text("no marks")
    words = ["check_twin.py", str(tmp_path), "--page", str(tmp_path / "page.md")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="expected a page with the marks"):
        check_twin.main()
