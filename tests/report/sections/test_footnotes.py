from __future__ import annotations

from typing import Any

import pytest

from tests.report.pages import cells, footnotes, main_table, report
from tests.report.planted import FAILED, embedded, latency, pipeline, results, row


def test_only_an_fp32_file_beyond_rounding_has_a_footnote_on_it() -> None:
    def beyond(name: str, **changes: Any) -> dict[str, Any]:
        content = row(name, **changes)
        content["accuracy"] = {**content["accuracy"], "rounding_error": 1e-4, "beyond_rounding": 7}
        return content

    measured = results(
        row("eager"),
        beyond("onnx_fp32"),
        beyond("onnx_int8", precision="int8"),
        beyond("elsewhere", device="cuda"),  # beside no baseline of its own device
        row("older"),
    )
    (note,) = [note for note in footnotes(measured) if "more than rounding" in note]
    assert note == (
        "onnx_fp32 on cpu: more than rounding is between its logits and those of eager for 7 of "
        "540 images, so its accuracy is tested"
    )


def test_an_unstable_cell_is_marked_with_its_cause_and_the_mark_explained() -> None:
    shaken = latency(1, 0.01, stable=False, unstable=["busy", "spread"])
    measured = results(row("eager", latency=[shaken]))
    assert cells(measured, "eager")["batch 1 p50 ms"] == "10.00 ~busy"
    assert [note for note in footnotes(measured) if note.startswith("~busy: unstable")]
    assert not list(footnotes(results(row("eager"))))


@pytest.mark.parametrize("place", ["call", "pipeline", "embedded"])
def test_a_cold_cell_is_explained_wherever_it_is_shown(place: str) -> None:
    cold = {"stable": False, "unstable": ["cold"]}
    timed, file, calls = pipeline(), embedded("onnx_embedded"), latency(1, 0.01)
    whole = {"call": calls, "pipeline": timed["whole"], "embedded": file["pipeline"]["whole"]}
    whole[place] |= cold
    measured = results(row("eager", latency=[calls], pipeline=[timed], embedded=file))
    (note,) = [note for note in footnotes(measured) if note.startswith("~cold: unstable")]
    assert "benchmark.warmup_seconds" in note
    assert "benchmark.max_seconds" in note


def test_a_row_that_used_the_cpu_between_its_turns_has_a_footnote() -> None:
    measured = results(row("eager", idle_between_turns=False))
    assert list(footnotes(measured)) == ["eager on cpu went on using the CPU between its turns"]


def test_a_format_whose_export_is_not_reproducible_has_one_footnote() -> None:
    rows = [row("eager"), row("pt2", varies="it has a date"), row("pt2", device="cuda")]
    rows[2]["varies"] = "it has a date"
    assert list(footnotes(results(*rows))) == [
        "pt2: its files are not the same bytes from export to export, for it has a date"
    ]


def test_an_unmeasured_row_has_a_footnote_with_the_reason_and_no_line_in_the_table() -> None:
    measured = results(row("eager"), row("onnx", **FAILED))
    assert list(footnotes(measured)) == ["onnx on cpu: failed (it <b>broke</b> | badly)"]
    assert main_table(measured).count("\n") == 2


def test_a_row_with_other_probabilities_is_marked_and_explained() -> None:
    lost = row("onnx_int8", verdict="pass")
    lost["accuracy"] |= {"departures": ["delta_ece"], "delta_ece": 0.08}
    measured = results(row("eager"), lost)
    bounds = {"logit_sqnr_db": 10.0, "kl": 0.1, "delta_ece": 0.05}
    rows = report(measured).measurements.table.rows
    verdicts = [cell.text for shown in rows for cell in shown.cells if cell.verdict]
    assert verdicts == ["inconclusive", "pass ~function"]
    notes = [*footnotes(measured | {"function_bounds": bounds})]
    assert any(
        "onnx_int8 on cpu: ~function" in note and "ECE +8.0 points" in note for note in notes
    )
    assert any("ECE over 5 points worse" in note for note in notes)
    assert not any("~function" in note for note in footnotes(results(row("eager"))))


@pytest.mark.parametrize(
    ("changes", "environment", "is_told"),
    [
        ({"reduce_range": False}, {}, True),
        ({"reduce_range": False, "asked_for": "auto"}, {}, True),
        ({"reduce_range": False, "asked_for": "vnni"}, {}, False),  # its note has the target
        ({"reduce_range": True}, {}, False),
        ({}, {}, False),
        ({"reduce_range": False}, {"int8_dot_product": True}, False),
        ({"reduce_range": False}, {"architecture": "aarch64"}, False),
        ({"reduce_range": "no"}, {}, False),
    ],
)
def test_a_file_of_a_processor_with_a_dot_product_is_told_where_there_is_none(
    changes: dict[str, Any], environment: dict[str, Any], is_told: bool
) -> None:
    details = {"summary": ["Made elsewhere."], **changes}
    rows = [row("eager"), row("onnx_int8", precision="int8", details=details)]
    measured = results(*rows, row("onnx_int8", device="cuda", details=details))
    measured["environment"] |= {"architecture": "x86_64", "int8_dot_product": False, **environment}
    told = [note for note in footnotes(measured) if "int8 dot product, which" in note]
    assert len(told) == is_told
    assert all(note.startswith("onnx_int8: quantized for processors") for note in told)


@pytest.mark.parametrize(
    ("threads", "cores", "is_told"), [(3, 2, True), (2, 2, False), (1, 2, False)]
)
def test_more_threads_than_cores_are_told(threads: int, cores: int, is_told: bool) -> None:
    measured = results(row("eager"))
    measured["environment"] |= {"threads": threads, "usable_cores": cores}
    told = [note for note in footnotes(measured) if "waited for each other" in note]
    assert len(told) == is_told
    assert all("Each runtime had 3 threads where 2 may run at a time" in note for note in told)


def test_a_file_whose_sums_are_exact_there_is_told_as_such() -> None:
    settings = {"runtime": "onnxruntime 1.32.0", "exact_int8_sums": True}
    details = {"summary": ["Made elsewhere."], "reduce_range": False}
    measured = results(row("eager"), row("onnx_int8", details=details, effective=settings))
    measured["environment"] |= {"architecture": "x86_64", "int8_dot_product": False}
    (note,) = [note for note in footnotes(measured) if "int8 dot product, which" in note]
    assert "it sums in 32 bits here, by slower kernels" in note
    assert "may saturate" not in note
