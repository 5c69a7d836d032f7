from __future__ import annotations

import pytest

from tests.report.pages import cells, footnotes, report
from tests.report.planted import latency, results, row


def test_a_speedup_interval_that_contains_one_is_no_difference() -> None:
    even = [latency(1, 0.01, speedup={"value": 1.01, "low": 0.98, "high": 1.04, "processes": 5})]
    measured = results(row("eager"), row("onnx", latency=even))
    cell = cells(measured, "onnx")["batch 1 times eager"]
    assert cell == "no measurable difference [0.98, 1.04]"


@pytest.mark.parametrize(
    ("low", "high", "processes", "shown", "said"),
    [
        (
            2.35,
            3.56,
            5,
            "at least 2.3 [2.35, 3.56]",
            "at least 2.3x faster than eager [2.35, 3.56]",
        ),
        (1.01, 9.0, 5, "at least 1.01 [1.01, 9.00]", "at least 1.01x faster than eager"),
        (1.001, 9.0, 5, "at least 1.001 [1.001, 9.00]", "at least 1.001x faster than eager"),
        (1.006, 9.0, 5, "at least 1.006 [1.01, 9.00]", "at least 1.006x faster than eager"),
        (1.1, 9.0, 5, "at least 1.1 [1.10, 9.00]", "at least 1.1x faster than eager"),
        (0.1, 0.98, 5, "at most 0.98 [0.10, 0.98]", "at least 1.02x slower than eager"),
        (0.1, 0.994, 5, "at most 0.994 [0.10, 0.99]", "at least 1.006x slower than eager"),
        (0.1, 0.999, 5, "at most 0.999 [0.10, 0.999]", "at least 1.001x slower than eager"),
        (1.02, 1.06, 5, "1.04 [1.02, 1.06]", "1.04x faster than eager"),
        (1.001, 1.005, 5, "1.003 [1.001, 1.005]", "1.003x faster than eager"),
        (0.94, 0.98, 5, "0.96 [0.94, 0.98]", "1.04x slower than eager"),
        (0.996, 0.998, 5, "0.997 [0.996, 0.998]", "1.003x slower than eager"),
        (0.002, 0.0026, 5, "0.002 [0.002, 0.003]", "438.5x slower than eager"),
        (0.25, 0.5, 5, "at most 0.50 [0.25, 0.50]", "at least 2.0x slower than eager [0.25, 0.50]"),
        (0.99, 1.6, 5, "too few rounds to tell [0.99, 1.60]", "too few rounds to tell its speed"),
        (1.0, 1.6, 5, "too few rounds to tell [1.00, 1.60]", "too few rounds to tell its speed"),
        (0.6, 1.0, 5, "too few rounds to tell [0.60, 1.00]", "too few rounds to tell its speed"),
        (2.0, 3.0, 5, "2.45 [2.00, 3.00]", "2.4x faster than eager [2.00, 3.00]"),
        # That of one process is assumed, and wider to begin with.
        (2.0, 4.4, 1, "2.97 [2.00, 4.40] one process", "3.0x faster than eager [2.00, 4.40]"),
        (2.0, 4.6, 1, "at least 2.0 [2.00, 4.60] one process", "at least 2.0x faster than eager"),
        (0.1, 0.6, 1, "at most 0.60 [0.10, 0.60] one process", "at least 1.6x slower than eager"),
    ],
)
def test_the_table_and_the_recommendation_agree_on_a_speedup(
    low: float, high: float, processes: int, shown: str, said: str
) -> None:
    gain = {"value": (low * high) ** 0.5, "low": low, "high": high, "processes": processes}
    measured = results(row("eager"), row("onnx", latency=[latency(1, 0.01, speedup=gain)]))
    measured["recommendation"]["cpu"] |= {"format": "onnx"}
    assert cells(measured, "onnx")["batch 1 times eager"] == shown
    [sentence] = report(measured).recommendation
    assert said in sentence


def test_a_speedup_with_a_wide_interval_is_not_the_best_of_its_column() -> None:
    wide = {"value": 2.9, "low": 2.35, "high": 3.56, "processes": 5}
    rows = [row("onnx", latency=[latency(1, 0.01, speedup=wide)]), row("other")]
    table = report(results(row("eager"), *rows)).measurements.table
    [number] = [
        number for number, head in enumerate(table.heads) if head.line == "batch 1 times eager"
    ]
    assert [row_of_table.cells[number].is_best for row_of_table in table.rows] == [
        False,
        False,
        False,
    ]


def test_a_speedup_of_one_process_is_marked_and_its_interval_explained() -> None:
    one = {"value": 1.83, "low": 1.46, "high": 2.29, "processes": 1}
    compiled = row("compiled", latency=[latency(1, 0.01, speedup=one)])
    measured = results(row("eager"), compiled)
    cell = cells(measured, "compiled")["batch 1 times eager"]
    assert cell == "1.83 [1.46, 2.29] one process"
    (note,) = footnotes(measured)
    assert note.startswith(
        "one process (compiled on cpu, or what it is compared with): the difference"
    )
    assert "not measured" in note
    same = {**one, "value": 1.0, "low": 0.8, "high": 1.25}
    even = row("even", latency=[latency(1, 0.01, speedup=same)])
    assert cells(results(row("eager"), even), "even")["batch 1 times eager"] == (
        "no measurable difference [0.80, 1.25] one process"
    )
    lost = {**one, "low": 0.5, "high": 4.0}
    noisy = row("noisy", latency=[latency(1, 0.01, speedup=lost)])
    assert cells(results(row("eager"), noisy), "noisy")["batch 1 times eager"] == (
        "too few rounds to tell [0.50, 4.00] one process"
    )


@pytest.mark.parametrize(("processes", "has_footnote"), [(2, True), (4, True), (5, False)])
def test_a_footnote_names_rows_with_fewer_processes_than_planned(
    processes: int, has_footnote: bool
) -> None:
    gain = {"value": 2.0, "low": 1.8, "high": 2.2, "processes": processes}
    measured = results(row("eager"), row("onnx", latency=[latency(1, 0.01, speedup=gain)]))
    notes = " ".join(footnotes(measured))
    assert (f"few processes (onnx on cpu: {processes})" in notes) is has_footnote
    assert "eager" not in notes
