"""The HTML page: figures of benchmark.json, names as text, and no reference to anything else."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import force_setattr
from PIL import Image

from src.benchmark.flipped import FlippedImages
from src.report.document import MISSING
from src.report.sections import measurements
from src.report.sections.rows import measured as measured_rows
from src.run.paths import thumbnail_name
from tests.report.charts.test_figures import GREY, TEST_SET
from tests.report.pages import html_page, record
from tests.report.planted import FAILED, results, row
from tests.report.writers.parsed_page import ROWS, Page, cached_page, page_of

SCRIPT = "<script>alert('$1')</script>"


@pytest.mark.parametrize("kind", ROWS)
def test_the_figures_in_the_html_table_are_those_of_the_file(kind: str) -> None:
    measured = record(results(*ROWS[kind]))
    page = cached_page(kind)
    rows = measurements.shown_rows(measured)  # a long table folds those without figures
    assert len(page.rows) == len(rows)
    for measured_row in rows:
        cells = page.rows[f"{measured_row.format} {measured_row.device}"]
        if measured_row.status != "ok":
            assert cells[-1][0] == f"{measured_row.status} : {measured_row.reason}"
            continue
        by_head = dict(zip(page.heads, cells, strict=True))
        for column in measurements.columns(measured):
            head = column.head.replace("\n", " ")
            if head not in by_head:  # no row has a figure in this column
                figures = {column.cell(other).figure for other in measured_rows(measured)}
                assert figures == {MISSING}
                continue
            text, value = by_head[head]
            shown = text.replace(" (best)", "").replace(" (unstable)", "")
            cell = column.cell(measured_row)
            assert shown.replace(" (recommended)", "") == cell.text, head
            if cell.value is not None:
                assert float(str(value)) == cell.value, head
        assert float(str(by_head["batch 1 p50 ms"][1])) == measured_row.latency[0].p50_s
        assert float(str(by_head["size MB"][1])) == measured_row.size_bytes


def test_the_html_table_marks_unstable_cells_and_the_best_of_a_column() -> None:
    page = cached_page("many")
    rows = {name: dict(zip(page.heads, cells, strict=False)) for name, cells in page.rows.items()}
    assert rows["onnx_int8 cpu"]["batch 1 p50 ms"][0] == "12.35 ~busy (unstable)"
    assert rows["onnx_int8 cpu"]["size MB"][0] == "3.1 (best)"
    assert rows["eager cpu"]["size MB"][0] == "12.3"
    # Cells that show the same figure are marked alike.
    assert {rows[name]["top-1 %"][0] for name in ("eager cpu", "onnx_int8 cpu")} == {"98.76 (best)"}


@pytest.mark.parametrize("classes", [1, 1000])
def test_a_page_can_show_any_number_of_classes(classes: int, tmp_path: Path) -> None:
    measured = results(row("eager"), row("onnx"))
    names = [f"class {number} of a thousand" for number in range(classes)]
    measured |= {"class_names": names, "num_classes": classes}
    per_class = [
        {"name": name, "index": index, "images": 1, "before": 1.0, "after": index % 2 / 2}
        for index, name in enumerate(names)
    ]
    measured["rows"][1]["accuracy"]["per_class"] = per_class
    measured["rows"][0]["accuracy"]["per_class"] = []
    text = html_page(measured, tmp_path)
    assert f"{classes} classes" in "".join(Page(text).words)
    assert len(text) < 600_000


def test_markup_in_any_name_stays_text_in_the_page(tmp_path: Path) -> None:
    bad = row("onnx_int8")
    bad["accuracy"]["worst_class"]["name"] = SCRIPT
    bad["accuracy"]["flips"] = [{"position": 0, "true": 0, "before": 0, "after": 1}]
    bad["accuracy"]["per_class"][0]["name"] = SCRIPT
    bad |= {"usage": SCRIPT, "files": [SCRIPT], "sha256": {SCRIPT: SCRIPT}, "runs_with": [SCRIPT]}
    bad["damage"] = [{"tensor": SCRIPT, "kind": SCRIPT, "sqnr_db": 1.0}]
    bad["details"] = {
        "summary": [SCRIPT],
        "table": {"head": [[SCRIPT, "text"]], "rows": [[SCRIPT]], "chosen": 0},
    }
    failed = row("onnx", **FAILED | {"reason": SCRIPT})
    measured = results(bad, row("eager"), failed)
    measured |= {"run": SCRIPT, "model": SCRIPT, "command": SCRIPT}
    measured["dataset"]["name"] = measured["environment"]["cpu"] = SCRIPT
    FlippedImages(tmp_path, GREY, TEST_SET).keep(
        np.zeros((1, 3, 8, 8), np.float32), np.ones(1, dtype=bool), start=0
    )
    content = record(measured)
    # Reading a file would refuse these names.
    force_setattr(content, "class_names", [SCRIPT] * 10)
    force_setattr(content.rows[0], "format", SCRIPT)
    force_setattr(content.recommendation["cpu"], "format", SCRIPT)
    page = Page(html_page(content, tmp_path))
    assert [tag for tag, _ in page.tags].count("script") == 1  # its own
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "".join(page.words).count(SCRIPT) > 10


def test_the_page_shows_the_operators_of_each_file(tmp_path: Path) -> None:
    profile = {
        "time": {"int8": 0.75, "fp32": 0.25},
        "nodes": {"int8": 1, "fp32": 1},
        "call_seconds": 0.01,
        "operators": {"QLinearConv": 0.75, SCRIPT: 0.25},
        "by_precision": {"int8": {"QLinearConv": 0.75}, "fp32": {SCRIPT: 0.25}},
    }
    measured = results(
        row(
            "onnx_int8", precision="int8", trace={"file": "a.json.gz", "bytes": 5}, profile=profile
        ),
        row("other", trace_reason=f"no profiler for {SCRIPT}"),
    )
    page = page_of(measured, tmp_path)
    words = "".join(page.words)
    assert "QLinearConv 7.50 ms (75%)" in words
    assert f"{SCRIPT} 2.50 ms (25%)" in words
    assert f"Not in int8 in onnx_int8 on cpu, of the time of a call: {SCRIPT} 25.0%." in words
    assert f"No trace of other on cpu: no profiler for {SCRIPT}" in words
    assert ("a", {"href": "#operators"}) in page.tags
    without = page_of(results(row("eager")), tmp_path)
    assert "operators" not in [attributes.get("id") for _, attributes in without.tags]


def test_the_page_refers_to_no_other_file_and_no_network(tmp_path: Path) -> None:
    measured = results(row("eager"))
    flip = {"position": 0, "true": 3, "before": 3, "after": 7}
    measured["rows"][0]["accuracy"]["flips"] = [flip]
    Image.new("RGB", (8, 8)).save(tmp_path / thumbnail_name(0, TEST_SET))
    text = html_page(measured, tmp_path)
    page = Page(text)
    sources = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    assert len(sources) == 1
    assert all(str(source).startswith("data:image/png;base64,") for source in sources)
    links = [
        attributes[name]
        for _, attributes in page.tags
        for name in ("href", "xlink:href")
        if name in attributes
    ]
    assert links
    assert all(str(link).startswith("#") for link in links)
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {str(link)[1:] for link in links} <= set(ids)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "video"}
    assert not re.search(r"@import|url\((?!#|['\"]?data:)", text)
    (policy,) = [
        attributes["content"] for _, attributes in page.tags if attributes.get("http-equiv")
    ]
    assert str(policy).startswith("default-src 'none'")


def test_the_page_has_text_for_screen_readers() -> None:
    page = cached_page("many")
    for tag, attributes in page.tags:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert attributes["aria-label"]
        if tag == "img":
            assert attributes["alt"]
        if tag == "th":
            assert attributes["scope"] in {"col", "row"}
    names = [tag for tag, _ in page.tags]
    assert names.count("caption") == names.count("table") > 2
    assert dict(page.tags)["html"] == {"lang": "en"}


def test_the_page_has_commands_to_reproduce_and_programs_to_use_the_files() -> None:
    words = "".join(cached_page("single").words)
    assert "git checkout c0ffee" in words
    assert "python -m src.train model=planted" in words
    assert "python -m src.train fit --config lightning_logs/planted/version_0/config.yaml" in words
    assert 'open("lightning_logs/planted/version_0/exports/eager/model")  # eager' in words
    assert "sha of eager" in words


def test_making_the_page_does_not_change_its_input(tmp_path: Path) -> None:
    measured = results(*ROWS["single"])
    before = copy.deepcopy(measured)
    html_page(measured, tmp_path, anew=True)
    assert measured == before
