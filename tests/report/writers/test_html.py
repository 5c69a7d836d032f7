"""The page: its figures are those of benchmark.json, its names stay text, it asks for nothing."""

from __future__ import annotations

import copy
import functools
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from msgspec.structs import force_setattr
from PIL import Image

from src.benchmark.flipped import FlippedPictures
from src.report.charts import chart, style, tradeoff
from src.report.charts.measured import charts
from src.report.document import MISSING
from src.report.sections import measurements
from src.report.sections.rows import measured as measured_rows
from src.report.sections.rows import paired_of
from src.report.writers import html
from tests.report.charts.test_figures import GREY
from tests.report.pages import html_page, record
from tests.report.test_table import FAILED, latency, results, row

SKIPPED = {**FAILED, "status": "skipped"}
SCRIPT = "<script>alert('$1')</script>"


class Page(HTMLParser):
    """What a browser makes of it, as far as is asked here."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[tuple[str, str | None]]] = {}  # of the first table, by name
        self.rows_in_order: list[list[tuple[str, str | None]]] = []
        self.heads: list[str] = []
        self.words: list[str] = []
        self._tables = 0
        self._row: list[tuple[str, str | None]] | None = None
        self._text: list[str] | None = None
        self._value: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self._tables += tag == "table"
        if tag == "tr" and found.get("data-row") and self._tables == 1:
            self._row = self.rows[str(found["data-row"])] = []
            self.rows_in_order.append(self._row)
        if tag in {"td", "th"}:
            self._text, self._value = [], found.get("data-value")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th"} and self._text is not None:
            text = re.sub(r"\s+", " ", " ".join(self._text)).strip()
            if self._row is not None:
                self._row.append((text, self._value))
            elif self._tables == 1:
                self.heads.append(text)
            self._text = None
        if tag == "tr":
            self._row = None

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self._text is not None:
            self._text.append(data)


def page_of(measured: dict[str, Any], folder: Path) -> Page:
    return Page(html_page(json.loads(json.dumps(measured)), folder))


@functools.cache
def planted(kind: str) -> Page:
    """The page of one of ``KINDS``, made once: drawing takes a second."""
    return page_of(results(*KINDS[kind]), Path("nowhere"))


def shaken() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    samples = {
        str(number): [float(value) for value in generator.gamma(50, 0.0123 / 50, 8)]
        for number in range(6)
    }
    cell = latency(1, 0.0123456, stable=False, unstable=["busy"], seconds=samples)
    return row("onnx_int8", size_bytes=3_086_420, latency=[cell, latency(8, 0.04)])


KINDS: dict[str, list[dict[str, Any]]] = {
    "many": [
        row("eager"),
        shaken(),
        row("onnx", **FAILED),
        row("other", **FAILED | {"status": "skipped"}),
    ],
    "single": [row("eager")],
    "all failed": [row("eager", **FAILED)],
    "none": [],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_figures_are_those_of_the_file(kind: str) -> None:
    measured = record(results(*KINDS[kind]))
    page = planted(kind)
    assert len(page.rows) == len(measured.rows)
    for each in measured.rows:
        cells = page.rows[f"{each.format} {each.device}"]
        if each.status != "ok":
            assert cells[-1][0] == f"{each.status} : {each.reason}"
            continue
        found = dict(zip(page.heads, cells, strict=True))
        for column in measurements.columns(measured):
            head = column.head.replace("\n", " ")
            if head not in found:  # in which no row has a figure
                assert {column.cell(it).figure for it in measured_rows(measured)} == {MISSING}
                continue
            text, value = found[head]
            shown = text.replace(" (best)", "").replace(" (unstable)", "")
            cell = column.cell(each)
            assert shown.replace(" (recommended)", "") == cell.text, head
            if cell.value is not None:
                assert float(str(value)) == cell.value, head
        assert float(str(found["batch 1 p50 ms"][1])) == each.latency[0].p50_s
        assert float(str(found["size MB"][1])) == each.size_bytes


def test_an_unstable_cell_and_the_best_of_a_column_are_marked() -> None:
    page = planted("many")
    found = {name: dict(zip(page.heads, cells, strict=False)) for name, cells in page.rows.items()}
    assert found["onnx_int8 cpu"]["batch 1 p50 ms"][0] == "12.35 ~busy (unstable)"
    assert found["onnx_int8 cpu"]["size MB"][0] == "3.1 (best)"
    assert found["eager cpu"]["size MB"][0] == "12.3"
    # What looks the same is marked the same.
    assert {found[name]["top-1 %"][0] for name in ("eager cpu", "onnx_int8 cpu")} == {
        "98.76 (best)"
    }


def test_the_plots_points_are_those_of_the_file() -> None:
    measured = record(results(*KINDS["many"]))
    figures = {each.name: each for each in charts(measured)}
    assert list(figures) == ["tradeoff", "latency_batch_1", "latency_batch_8", "size", "training"]
    rows = measured_rows(measured)
    points = tradeoff.points_of_run(measured, rows, 1, style.colors(["eager", "onnx_int8"]))
    for point, each in zip(points, rows, strict=True):
        assert each.accuracy is not None
        assert (point.seconds, point.top1) == (each.latency[0].p50_s, each.accuracy.top1)
        assert point.bytes == each.size_bytes
    int8 = paired_of(rows[1])
    assert int8 is not None
    assert points[1].high_top1 - points[1].low_top1 == pytest.approx(
        int8.delta_high - int8.delta_low
    )
    assert points[0].low_top1 == points[0].high_top1 == points[0].top1  # the baseline to itself
    quarter = np.percentile(chart.samples_of(rows[1].latency[0]), 25)
    assert points[1].low_seconds == pytest.approx(min(quarter, points[1].seconds))

    (axes,) = figures["tradeoff"].draw().axes
    bubbles = [it for it in axes.collections if isinstance(it, PathCollection)]
    drawn = [tuple(it.get_offsets()[0]) for it in bubbles]
    assert np.allclose(drawn, [(1e3 * it.seconds, 100 * it.top1) for it in points])
    areas = [it.get_sizes()[0] for it in bubbles]
    assert areas[0] / areas[1] == pytest.approx(points[0].bytes / points[1].bytes)

    (bars,) = figures["size"].draw().axes
    assert [bar.get_width() for bar in bars.patches] == [it.size_bytes / 1e6 for it in rows]
    losses, accuracies = figures["training"].draw().axes
    assert measured.training is not None
    assert measured.training.train_loss is not None
    assert list(losses.lines[0].get_ydata()) == measured.training.train_loss.values
    assert np.allclose(accuracies.lines[0].get_ydata(), [80, 90])


def test_nothing_is_drawn_of_rows_without_figures(tmp_path: Path) -> None:
    measured = results(*KINDS["all failed"]) | {"training": None}
    assert list(charts(record(measured))) == []
    page = page_of(measured, tmp_path)
    assert not [tag for tag, _ in page.tags if tag == "svg"]


@pytest.mark.parametrize("classes", [1, 1000])
def test_any_number_of_classes_is_a_page(classes: int, tmp_path: Path) -> None:
    measured = results(row("eager"), row("onnx"))
    names = [f"class {number} of a thousand" for number in range(classes)]
    measured |= {"class_names": names, "num_classes": classes}
    per_class = [
        {"name": name, "index": index, "images": 1, "before": 1.0, "after": index % 2 / 2}
        for index, name in enumerate(names)
    ]
    measured["rows"][1]["accuracy"]["per_class"] = per_class
    measured["rows"][0]["accuracy"]["per_class"] = []
    page = page_of(measured, tmp_path)
    assert f"{classes} classes" in "".join(page.words)
    assert len(html_page(measured, tmp_path)) < 600_000


def test_markup_in_a_name_stays_text_wherever_it_stands(tmp_path: Path) -> None:
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
    FlippedPictures(tmp_path, GREY).keep(
        np.zeros((1, 3, 8, 8), np.float32), np.ones(1, dtype=bool), start=0
    )
    content = record(measured)
    # No file may say these.
    force_setattr(content, "class_names", [SCRIPT] * 10)
    force_setattr(content.rows[0], "format", SCRIPT)
    force_setattr(content.recommendation["cpu"], "format", SCRIPT)
    page = Page(html_page(content, tmp_path))
    assert [tag for tag, _ in page.tags].count("script") == 1  # its own
    assert not [name for _, found in page.tags for name in found if name.startswith("on")]
    assert "".join(page.words).count(SCRIPT) > 10


def test_the_page_says_where_the_time_of_a_call_goes(tmp_path: Path) -> None:
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
    assert "operators" not in [found.get("id") for _, found in without.tags]


def test_the_page_asks_for_nothing(tmp_path: Path) -> None:
    measured = results(row("eager"))
    flip = {"position": 0, "true": 3, "before": 3, "after": 7}
    measured["rows"][0]["accuracy"]["flips"] = [flip]
    Image.new("RGB", (8, 8)).save(tmp_path / "0.png")
    text = html_page(measured, tmp_path)
    page = Page(text)
    sources = [found["src"] for _, found in page.tags if "src" in found]
    assert len(sources) == 1
    assert all(str(each).startswith("data:image/png;base64,") for each in sources)
    links = [
        found[name] for _, found in page.tags for name in ("href", "xlink:href") if name in found
    ]
    assert links
    assert all(str(each).startswith("#") for each in links)
    ids = [found["id"] for _, found in page.tags if "id" in found]
    assert len(ids) == len(set(ids))
    assert {str(each)[1:] for each in links} <= set(ids)
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "embed", "video"}
    assert not re.search(r"@import|url\((?!#|['\"]?data:)", text)
    (policy,) = [it["content"] for tag, it in page.tags if it.get("http-equiv")]
    assert str(policy).startswith("default-src 'none'")


def test_the_page_can_be_read_aloud() -> None:
    page = planted("many")
    for tag, found in page.tags:
        if tag == "svg":
            assert found["role"] == "img"
            assert found["aria-label"]
        if tag == "img":
            assert found["alt"]
        if tag == "th":
            assert found["scope"] in {"col", "row"}
    names = [tag for tag, _ in page.tags]
    assert names.count("caption") == names.count("table") > 2
    assert dict(page.tags)["html"] == {"lang": "en"}


def luminance(color: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def test_colours_have_contrast_in_light_and_dark() -> None:
    css = (Path(html.__file__).parents[1] / "templates" / "page.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    light, dark, _ = (dict(re.findall(r"--(\w+): (#\w+)", block)) for block in blocks)
    assert (light["page"], dark["page"]) == (style.LIGHT, style.DARK)
    for theme in (light, dark):
        for name in ("ink", "faint", "accent", "good", "bad", "open"):
            assert contrast(theme[name], theme["page"]) >= 4.5, name
            assert contrast(theme[name], theme["card"]) >= 4.5, name
        for color in style.PALETTE:
            assert contrast(color, theme["page"]) >= 3, color


def test_it_says_how_to_reproduce_and_to_use_it_as_the_formats_say() -> None:
    words = "".join(planted("single").words)
    assert "git checkout c0ffee" in words
    assert "python -m src.train model=planted" in words
    assert "python -m src.train fit --config lightning_logs/planted/version_0/config.yaml" in words
    assert 'open("lightning_logs/planted/version_0/exports/eager/model")  # eager' in words
    assert "sha of eager" in words


def test_the_page_changes_nothing_of_what_it_is_given(tmp_path: Path) -> None:
    measured = results(*KINDS["single"])
    before = copy.deepcopy(measured)
    html_page(measured, tmp_path)
    assert measured == before
