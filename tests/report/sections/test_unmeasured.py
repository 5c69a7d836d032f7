"""Long tables: rows by runtime, and those without figures in one line; short tables stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from src.compare.collection import collect
from src.compare.comparison import Comparison
from src.compare.page import html_page as comparison_page
from src.compare.page import markdown_page as comparison_in_markdown
from src.compare.page import show
from src.report.sections.rows import MOST_UNGROUPED, measured
from src.report.writers import console, markdown
from tests.compare.test_comparison import keep
from tests.report.pages import footnotes, html_page, main_table, record, report
from tests.report.planted import FAILED, results, row, twenty
from tests.report.writers.parsed_page import Page, cached_page

# By runtime, in the order of the first row of each.
RUNTIMES = {
    "torch": ["eager", "torchscript", "torch_export"],
    "onnxruntime": [
        *("onnx_fp32", "onnx_int8_dynamic", "onnx_int8", "onnx_openvino"),
        *("onnx_fp32", "onnx_int8", "onnx_int8_twin"),
    ],
    "openvino": ["openvino_fp32", "openvino_bf16", "openvino_int8"],
    "MNN": ["mnn"],
}
NAMES = [name for names in RUNTIMES.values() for name in names]
GPU = "no CUDA device: this system has no driver of a GPU"
BROKEN = "it <b>broke</b> | badly"
LINE = (
    f"6 not measured: eager_fp16 on cuda, onnx_fp16 on cuda (exported, not run: {GPU}); "
    "torch_compile on cpu (skipped: not installed: a C++ compiler); "
    "ncnn on cpu (skipped: ncnn has no layer for Gather); "
    f"executorch on cpu, executorch_int8 on cpu (failed: {BROKEN})"
)


def first_words(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines if line.split()]


def printed(shown: Callable[[Console], None]) -> list[str]:
    screen = Console(record=True, width=200, force_terminal=False)
    shown(screen)
    return screen.export_text().splitlines()


def test_rows_without_figures_are_one_line_with_the_reasons_grouped() -> None:
    notes = footnotes(results(*twenty()))
    assert [note for note in notes if "not measured" in note] == [LINE]
    assert LINE in printed(lambda screen: console.show(report(results(*twenty())), screen))


def test_a_long_table_is_grouped_by_runtime_in_the_order_of_first_rows() -> None:
    expected = [word for runtime, names in RUNTIMES.items() for word in (runtime, *names)]
    content = results(*twenty())
    _, _, *lines = main_table(content).splitlines()
    assert [line.strip("|* ").split()[0].strip("*") for line in lines] == expected
    assert lines[0] == "| **torch** |" + "  |" * (lines[1].count("|") - 2)
    text = printed(lambda screen: console.show(report(content), screen))
    words = [word.removesuffix(":") for word in first_words(text)]
    start = words.index("torch")
    assert words[start : start + len(expected)] == expected
    page = cached_page("twenty")
    assert page.groups == list(RUNTIMES)
    assert [name.split()[0] for name in page.rows] == NAMES
    assert [row.format for row in measured(record(content))] == NAMES


def test_a_row_of_a_long_table_has_two_lines_on_a_terminal() -> None:
    screen = Console(record=True, width=120)
    content = report(results(*twenty()))
    screen.print(console.report_table(content))
    lines = [line.split() for line in screen.export_text().splitlines()]
    start = lines.index(["torch:"])
    shown = [words for words in lines[start:] if words]
    heads = [words for words in shown if words[0].endswith(":")]
    assert len(heads) == len(RUNTIMES)
    assert len(shown) == len(heads) + 2 * len(NAMES)
    assert "[1.90, 2.10]" in " ".join(shown[2])


def test_the_page_folds_the_rows_without_figures() -> None:
    page = cached_page("twenty")
    words = "".join(page.words)
    assert "details" in [tag for tag, _ in page.tags]
    assert "6 not measured" in words
    assert f"executorch on cpu, executorch_int8 on cpu (failed: {BROKEN})" in words
    assert len(page.rows) == len(NAMES)


def test_every_table_of_a_report_has_the_same_order() -> None:
    shown = report(results(*twenty()))
    for section in (shown.measurements, shown.more, shown.answers):
        assert [row.cells[0].text for row in section.table.measured] == NAMES
        assert [group.name for group in section.table.groups] == list(RUNTIMES)


@pytest.mark.parametrize("count", [MOST_UNGROUPED, MOST_UNGROUPED + 1])
def test_a_table_of_eight_rows_stays_as_it_was_measured(count: int, tmp_path: Path) -> None:
    rows = [row(f"format_{at}", runs_with=["ab"[at % 2]]) for at in range(count - 1)]
    content = results(*rows, row("onnx", **FAILED))
    is_long = count > MOST_UNGROUPED
    table = report(content).measurements.table
    assert [group.name for group in table.groups] == (["a", "b"] if is_long else [""])
    assert [shown.name for shown in table.rows][-1] == ("format_7 cpu" if is_long else "onnx cpu")
    (note,) = [note for note in footnotes(content) if "broke" in note]
    assert note == (
        f"1 not measured: onnx on cpu (failed: {BROKEN})"
        if is_long
        else f"onnx on cpu: failed ({BROKEN})"
    )
    page = html_page(content, tmp_path)
    assert ("<details" in page) == is_long
    assert ('class="group"' in page) == is_long


def test_a_file_that_was_made_and_cannot_run_here_is_said_to_be_exported(tmp_path: Path) -> None:
    made = row("onnx_fp16", **FAILED | {"status": "skipped", "reason": GPU})
    content = results(row("eager"), made)
    assert list(footnotes(content)) == [f"onnx_fp16 on cpu: exported, not run ({GPU})"]
    page = Page(html_page(content, tmp_path))
    assert page.rows["onnx_fp16 cpu"][-1][0] == f"exported, not run : {GPU}"
    content = results(row("eager"), made | {"files": []})
    assert list(footnotes(content)) == [f"onnx_fp16 on cpu: skipped ({GPU})"]


def test_an_older_measurement_is_grouped_by_the_runtime_that_it_reports() -> None:
    rows = [row(f"format_{at}", runs_with=[]) for at in range(MOST_UNGROUPED + 1)]
    rows[3]["effective"] = {"runtime": "slow 2.0"}
    groups = report(results(*rows)).measurements.table.groups
    assert [group.name for group in groups] == ["fast", "slow"]


def test_nothing_measured_of_a_long_table_still_makes_the_pages(tmp_path: Path) -> None:
    content = results(*(row(f"format_{at}", **FAILED) for at in range(MOST_UNGROUPED + 1)))
    assert f"{MOST_UNGROUPED + 1} not measured" in html_page(content, tmp_path)
    assert markdown.page(report(content))


def compared(folder: Path, *contents: dict[str, Any]) -> Comparison:
    for number, content in enumerate(contents):
        keep(folder, f"run{number}", content)
    return Comparison.of(collect([str(folder)]), None, None)


def test_a_long_comparison_has_the_same_order_with_the_fastest_first(tmp_path: Path) -> None:
    comparison = compared(tmp_path, results(*twenty()))
    rows = comparison.rows()
    runtimes = list(dict.fromkeys(shown.row.runs_with[0] for shown in rows))
    # The last row of the planted ones is the fastest, and so on.
    assert runtimes == ["onnxruntime", "MNN", "torch", "openvino"]
    for runtime in runtimes:
        seconds = [shown.cell.p50_s for shown in rows if shown.row.runs_with[0] == runtime]
        assert seconds == sorted(seconds)
    (note,) = [note for note in comparison.notes() if "broke" in note]
    assert note == (
        "2 not measured: run0/version_0, executorch on cpu, run0/version_0, executorch_int8 on cpu "
        f"(failed: {BROKEN})"
    )
    assert Page(comparison_page(comparison)).groups == runtimes
    in_markdown = comparison_in_markdown(comparison)
    places = [in_markdown.index(f"| **{runtime}** |") for runtime in runtimes]
    assert places == sorted(places)
    words = first_words(printed(lambda screen: show(comparison, screen)))
    assert [word for word in words if word.removesuffix(":") in runtimes] == [
        f"{runtime}:" for runtime in runtimes
    ]


def test_a_short_comparison_stays_in_the_order_of_speed(tmp_path: Path) -> None:
    comparison = compared(tmp_path, results(*twenty()[:3]))
    assert [shown.row.format for shown in comparison.rows()] == [
        "onnx_fp32",
        "torchscript",
        "eager",
    ]
    assert Page(comparison_page(comparison)).groups == []
