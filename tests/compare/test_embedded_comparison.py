"""Files with their preprocessing inside: side by side, and from one measurement to the next."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from rich.console import Console

from src.compare.page import html_page, markdown_page, show
from src.report.sections.scalars import scalars
from src.run.reading import convert
from src.run.results import Results
from tests.compare.test_comparison import comparison, file, keep
from tests.compare.test_regression import compared
from tests.report.planted import embedded, pipeline, results, row

FOLDER = "onnx_int8_embedded"


def measured(p50: float = 0.012, top1: float = 0.98, **changes: Any) -> dict[str, Any]:
    """A run whose onnx_int8 has such a file."""
    inside = embedded(FOLDER, p50)
    inside["pipeline"]["answers"]["top1"] = top1
    int8 = row("onnx_int8", pipeline=[pipeline()], embedded=inside | changes)
    return results(row("eager", pipeline=[pipeline()]), int8)


def failed() -> dict[str, Any]:
    """The same with a file that failed."""
    entry = {"folder": FOLDER, "status": "failed", "reason": "it broke"}
    int8 = row("onnx_int8", pipeline=[pipeline()], embedded=entry)
    return results(row("eager", pipeline=[pipeline()]), int8)


def findings(old: dict[str, Any], new: dict[str, Any], **limits: Any) -> dict[str, str]:
    """The text of each finding on the file, by its outcome."""
    options = {"max_slowdown": None, "max_drop": None, **limits}
    return {
        entry.outcome: f"{entry.figure}: {entry.text}"
        for entry in compared(old, new, **options)
        if entry.format == FOLDER
    }


def test_the_files_of_all_runs_stand_in_a_table_of_their_own(tmp_path: Path) -> None:
    keep(tmp_path, "slow", measured(0.03))
    keep(tmp_path, "fast", measured(0.012))
    console = Console(record=True, width=200)
    show(comparison(tmp_path), console)
    pages = (console.export_text(), markdown_page(comparison(tmp_path)))
    for page in (*pages, html_page(comparison(tmp_path))):
        assert "by files with their preprocessing inside" in page
        assert page.index("fast as onnx_int8_embedded") < page.index("slow as onnx_int8_embedded")
        assert "30.00" in page
        assert "12.00" in page
        assert "--under does not recommend it" in page.replace("\n", " ")
    elsewhere = measured(0.02)
    elsewhere["environment"] |= {"threads": 8}
    keep(tmp_path, "there", elsewhere)
    assert "| a CPU, 8 threads |" in markdown_page(comparison(tmp_path))


def test_a_time_of_calls_beside_one_of_files_is_told(tmp_path: Path) -> None:
    older = measured(0.03)
    keep(tmp_path, "new", measured(0.012))
    keep(tmp_path, "another", measured(0.013))
    assert "image file once" not in markdown_page(comparison(tmp_path))
    del older["rows"][1]["embedded"]["pipeline"]["files_of_round"]
    keep(tmp_path, "old", older)
    by_file = "each image file once in another/version_0, new/version_0"
    for page in (markdown_page(comparison(tmp_path)), html_page(comparison(tmp_path))):
        assert f"{by_file}, and each call in old/version_0" in page


def test_without_such_a_file_nothing_is_said_of_them(tmp_path: Path) -> None:
    keep(tmp_path, "plain", results(file("eager", 0.008, 0.95)))
    for page in (markdown_page(comparison(tmp_path)), html_page(comparison(tmp_path))):
        assert "preprocessing inside" not in page


def test_a_slower_file_has_regressed_from_the_image_file_to_the_label() -> None:
    old = measured()
    assert findings(old, copy.deepcopy(old), max_slowdown=0.05).keys() == {"ok"}
    told = findings(old, measured(0.018), max_slowdown=0.05)
    assert told["regressed"].startswith("from the image file to the label: +50.0 %")


def test_a_file_that_lost_accuracy_has_regressed() -> None:
    assert findings(measured(), measured(), max_drop=0.01).keys() == {"ok"}
    told = findings(measured(), measured(top1=0.9), max_drop=0.01)
    assert told["regressed"].startswith("top-1: 98.00 % to 90.00 %")


def test_a_file_that_is_no_longer_measured_has_regressed_if_pipelines_were() -> None:
    assert findings(measured(), failed()) == {"regressed": "no longer measured: failed: it broke"}
    none = results(row("eager", pipeline=[pipeline()]), row("onnx_int8", pipeline=[pipeline()]))
    assert findings(measured(), none) == {"regressed": "no longer measured: it is not in NEW"}
    assert findings(measured(), results(row("eager"), row("onnx_int8"))) == {}


def test_a_file_that_is_not_timed_because_no_pipeline_was_is_inconclusive() -> None:
    new = results(row("eager"), row("onnx_int8"))
    assert new.get("image_sample") is None
    told = findings(measured(), new, max_slowdown=0.05)
    assert [*told] == ["inconclusive"]
    assert told["inconclusive"].startswith("from the image file to the label: not timed in NEW")
    assert findings(measured(), failed(), max_slowdown=0.05).keys() == {"regressed"}


def test_its_scalars_stand_beside_those_of_the_rows() -> None:
    figures = scalars(convert(measured(), Results))
    tag = f"benchmark/{FOLDER}/cpu"
    assert figures[f"{tag}/size_bytes"] == 12_400_000
    assert figures[f"{tag}/top1"] == 0.98
    assert figures[f"{tag}/delta_top1"] == -0.005  # to the baseline
    assert figures[f"{tag}/agreement_with_file"] == 1 - 3 / 540
    assert figures[f"{tag}/pipeline/pillow/p50_s"] == 0.012
    assert not [name for name in scalars(convert(failed(), Results)) if FOLDER in name]
