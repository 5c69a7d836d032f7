from __future__ import annotations

from typing import Any

from src.report.writers import markdown
from tests.report.pages import markdown_page, report
from tests.report.planted import results, row

DETAILS: dict[str, Any] = {
    "target": "vnni",
    "summary": ["For vnni, which it is.", "Judged | by 256 images."],
    "within_budget": True,
    "table": {
        "head": [["recipe", "text"], ["top-1", "share"], ["call", "seconds"], ["holds", "truth"]],
        "rows": [
            ["fp32", 0.98765, 0.0123, None],
            ["a | b", 0.5, 0.001, False],
            ["c", 0.98, 0.002, True],
        ],
        "chosen": 2,
    },
}


def lines_of(measured: dict[str, Any]) -> list[str]:
    """Return the lines of ``report.md`` on how each file was made."""
    return [
        line
        for section in report(measured).export_notes
        for line in markdown.export_notes_lines(section)
    ]


def test_the_recipes_that_were_tried_are_a_table_in_the_units_of_its_head() -> None:
    lines = lines_of(results(row("eager"), row("int9", details=DETAILS)))
    assert lines == [
        "",
        "## How int9 was made",
        "",
        "- For vnni, which it is.",
        "- Judged \\| by 256 images.",
        "",
        "| recipe | top-1 | call | holds |",
        "| --- | ---: | ---: | ---: |",
        "| fp32 | 98.77 % | 12.30 ms | - |",
        "| a \\| b | 50.00 % | 1.00 ms | no |",
        "| **c** | **98.00 %** | **2.00 ms** | **yes** |",
    ]
    measured = results(row("eager"), row("int9", details=DETAILS))
    assert "\n".join(lines) in markdown_page(measured)


def test_a_format_on_two_devices_has_one_section_on_its_export() -> None:
    measured = results(row("int9", details=DETAILS), row("int9", device="cuda", details=DETAILS))
    assert markdown_page(measured).count("## How int9 was made") == 1
    assert "How eager" not in markdown_page(results(row("eager")))


def test_a_file_over_the_accuracy_budget_has_a_footnote() -> None:
    over = row("int9", details={**DETAILS, "within_budget": False})
    notes = list(report(results(row("eager"), over)).unmeasured)
    assert len(notes) == 1
    assert notes[0].startswith("int9: no way of making it that was tried kept the accuracy budget")
    for within in (True, None):
        fine = row("int9", details={**DETAILS, "within_budget": within})
        assert not list(report(results(row("eager"), fine)).unmeasured)


def test_a_file_that_was_not_evaluated_has_no_table_of_recipes() -> None:
    details = {"summary": ["Not judged."], "within_budget": None}
    assert lines_of(results(row("int9", details=details))) == [
        "",
        "## How int9 was made",
        "",
        "- Not judged.",
    ]


def test_a_format_whose_export_left_values_alone_has_no_section() -> None:
    measured = results(row("eager"), row("int9", details={"most_images": 1}))
    assert not report(measured).export_notes
