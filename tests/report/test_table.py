from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import force_setattr
from rich.console import Console

from src.report.document import Column
from src.report.sections import answers, measurements
from src.report.writers import markdown
from src.report.writers.console import report_table
from src.run.results import Results
from src.run.row import Row
from src.system.console import open_console
from tests.report.pages import Content, markdown_page, record, report


def latency(batch_size: int, p50: float, **changes: Any) -> dict[str, Any]:
    """A cell of ten rounds, or of those in ``seconds``: two in each process."""
    seconds = changes.get("seconds", {str(number): [p50] for number in range(10)})
    process_of_round = {number: int(number) // 2 for number in seconds}
    return {
        "batch_size": batch_size,
        "samples": 100,
        "rounds": len(seconds),
        "processes": len(set(process_of_round.values())),
        "process_of_round": process_of_round,
        "mean_s": p50,
        "p50_s": p50,
        "p90_s": p50 * 1.1,
        "p99_s": None,
        "iqr_s": 0.0,
        "images_per_second": batch_size / p50,
        "busy_cores": 1.9,
        "device_p50_s": None,
        "joules_per_image": None,
        "peak_rss_bytes": 200_000_000,
        "peak_device_bytes": None,
        "stable": True,
        "unstable": [],
        "disturbance": None,
        "speedup": {
            "value": 2.0,
            "low": 1.9,
            "high": 2.1,
            "processes": min(5, len(set(process_of_round.values()))),
        },
        "speedup_same_runtime": None,
        "seconds": seconds,
        **changes,
    }


def row(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "format": name,
        "device": "cpu",
        "precision": "fp32",
        "status": "ok",
        "reason": None,
        "details": None,
        "usage": f'open("{{folder}}/model")  # {name}',
        "runs_with": ["torch"],
        "files": ["model"],
        "sha256": {"model": f"sha of {name}"},
        "size_bytes": 12_345_678,
        "load_seconds": 0.5,
        "first_inference_seconds": 0.045,
        "effective": {"runtime": "fast 1.0"},
        "profile": {
            "time": {"fp32": 0.25, "int8": 0.75},
            "nodes": {"fp32": 3, "int8": 9},
            "operators": {"QLinearConv": 0.75, "Gelu": 0.25},
        },
        "idle_between_turns": True,
        "latency": [latency(1, 0.0123), latency(8, 0.05)],
        "accuracy": {
            "images": 540,
            "top1": 0.9876,
            "top5": 1.0,
            "ece": 0.02,
            "delta_top1": -0.0123,
            "delta_low": -0.0234,
            "delta_high": 0.0012,
            "mcnemar_p": 0.07,
            "agreement": 0.99,
            "lost": 8,
            "gained": 1,
            "delta_ece": 0.001,
            "worst_class": {"name": "7", "index": 7, "images": 54, "delta": -0.05},
            "per_class": [
                {"name": "0", "index": 0, "images": 54, "before": 1.0, "after": 1.0},
                {"name": "7", "index": 7, "images": 54, "before": 1.0, "after": 0.95},
            ],
            "max_abs_logit_diff": 0.5,
            "p99_abs_logit_diff": 0.4,
            "logit_sqnr_db": None,
            "kl": 0.001,
            "rounding_error": 1.5e-6,
            "beyond_rounding": 0,
            "images_needed": 1234,
            "flips": [],
        },
        "verdict": "inconclusive",
        **changes,
    }


FAILED = {"status": "failed", "reason": "it <b>broke</b> | badly", "latency": [], "accuracy": None}


def results(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": 2,
        "run": "planted/version_0",
        "model": "planted",
        "parameters": 1_000_000,
        "macs": 2_000_000,
        "input_shape": [3, 64, 64],
        "num_classes": 10,
        "command": "python -m src.train model=planted",
        "training": {
            "train_loss": {"epochs": [0.5, 1.0, 1.5, 2.0], "values": [2.0, 1.5, 1.0, 0.5]},
            "val_loss": {"epochs": [1.0, 2.0], "values": [1.2, 0.7]},
            "val_top1": {"epochs": [1.0, 2.0], "values": [0.8, 0.9]},
        },
        "checkpoint": {"path": "checkpoints/best.ckpt", "sha256": "abc", "epoch": 3},
        "calibration": {"split": "train", "images": 128},
        "dataset": {
            "name": "digits",
            "split": "test",
            "images": 540,
            "sha256": "a" * 64,
            "also_in_calibration": 0,
        },
        "class_names": [str(digit) for digit in range(10)],
        "baseline": "eager",
        "options": {"max_accuracy_drop": 0.01},
        "recommendation": {
            "cpu": {
                "format": _first_measured(rows),
                "objective": "latency",
                "batch_size": 1,
                "equals": [],
                "inconclusive": [],
                "chosen_from": 1,
                "tested": 0,
            }
        },
        "recommended": {"cpu": _first_measured(rows)},
        "measured_at": "2026-01-02T03:04:05+00:00",
        "measured_seconds": 61.2,
        "environment": {
            "cpu": "a CPU",
            "isa": [],
            "int8_dot_product": True,
            "usable_cores": 2,
            "machine_cores": 4,
            "virtual_machine": True,
            "frequency_governor": None,
            "memory_bytes": 8_000_000_000,
            "container": {"cores": None, "memory_bytes": None},
            "threads": 2,
            "gpu": None,
            "system": "Linux",
            "python": "3.11",
            "packages": {"torch": "2.15"},
            "git_commit": "c0ffee",
        },
        "rows": list(rows),
    }


def _first_measured(rows: Sequence[dict[str, Any]]) -> str | None:
    names = (row["format"] for row in rows if (row["device"], row["status"]) == ("cpu", "ok"))
    return next(names, None)


def of_version_1(measured: dict[str, Any]) -> dict[str, Any]:
    """The same as an earlier version of this project wrote it."""
    older: dict[str, Any] = json.loads(json.dumps(measured))
    older["schema_version"] = 1
    for name in ("sha256", "also_in_calibration"):
        older["dataset"].pop(name)
    for advice in older["recommendation"].values():
        advice.pop("chosen_from")
        advice.pop("tested")
    for each in older["rows"]:
        each |= {"peak_rss_bytes": 200_000_000, "peak_device_bytes": None}
        for cell in each["latency"]:
            cell.pop("peak_rss_bytes")
            cell.pop("peak_device_bytes")
        if each["accuracy"]:
            each["accuracy"] |= {"verdict": each["verdict"], "max_drop": 0.01}
            each["accuracy"].pop("rounding_error")
            each["accuracy"].pop("beyond_rounding")
    return older


def cells(
    measured: dict[str, Any],
    name: str,
    columns: Callable[[Results], list[Column[Row]]] = measurements.columns,
) -> dict[str, str]:
    content = record(measured)
    of_name = next(each for each in content.rows if each.format == name)
    return {
        column.head.replace("\n", " "): column.cell(of_name).text for column in columns(content)
    }


def notes_of(measured: dict[str, Any]) -> Sequence[str]:
    """The footnotes of the main table."""
    return report(measured).unmeasured


def table_of(measured: Content | Results) -> str:
    """The main table in Markdown."""
    return "\n".join(markdown.table_lines(report(measured).measurements.table))


def test_a_rows_cells_are_its_figures_in_the_units_of_their_heads() -> None:
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


def test_what_else_was_measured_is_a_table_of_its_own() -> None:
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


def test_what_changed_in_the_answers_is_a_table_of_its_own() -> None:
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


def test_the_same_network_has_no_interval_and_is_called_so() -> None:
    same = row("onnx", verdict="same")
    same["accuracy"] |= {"delta_top1": 0.0}
    shown = cells(results(row("eager"), same), "onnx")
    assert (shown["verdict"], shown["delta points"]) == ("same network", "+0.00")


def test_an_fp32_file_beyond_rounding_is_named_once_and_no_other() -> None:
    def beyond(name: str, **changes: Any) -> dict[str, Any]:
        found = row(name, **changes)
        found["accuracy"] = {**found["accuracy"], "rounding_error": 1e-4, "beyond_rounding": 7}
        return found

    measured = results(
        row("eager"),
        beyond("onnx_fp32"),
        beyond("onnx_int8", precision="int8"),
        beyond("elsewhere", device="cuda"),  # beside no baseline of its own device
        row("older"),
    )
    (note,) = [note for note in notes_of(measured) if "more than rounding" in note]
    assert note == (
        "onnx_fp32 on cpu: more than rounding is between its logits and those of eager for 7 of "
        "540 images, so its accuracy is tested"
    )


def test_the_baseline_has_no_delta_to_itself() -> None:
    assert cells(results(row("eager")), "eager")["delta points"] == "-"


def test_an_interval_that_holds_one_is_no_difference() -> None:
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
            "at least 2.4 [2.35, 3.56]",
            "at least 2.4x faster than eager [2.35, 3.56]",
        ),
        (1.01, 9.0, 5, "at least 1.0 [1.01, 9.00]", "at least 1.0x faster than eager"),
        (0.25, 0.5, 5, "at most 0.50 [0.25, 0.50]", "at least 2.0x slower than eager [0.25, 0.50]"),
        (0.99, 1.6, 5, "too few rounds to tell [0.99, 1.60]", "too few rounds to tell its speed"),
        (1.0, 1.6, 5, "too few rounds to tell [1.00, 1.60]", "too few rounds to tell its speed"),
        (0.6, 1.0, 5, "too few rounds to tell [0.60, 1.00]", "too few rounds to tell its speed"),
        (2.0, 3.0, 5, "2.45 [2.00, 3.00]", "2.4x faster than eager [2.00, 3.00]"),
        # That of one process is assumed, and wider to begin with.
        (2.0, 4.4, 1, "2.97 [2.00, 4.40] one process", "3.0x faster than eager [2.00, 4.40]"),
        (2.0, 4.6, 1, "at least 2.0 [2.00, 4.60] one process", "at least 2.0x faster than eager"),
        (0.1, 0.6, 1, "at most 0.60 [0.10, 0.60] one process", "at least 1.7x slower than eager"),
    ],
)
def test_the_table_says_of_a_speedup_what_the_recommendation_says(
    low: float, high: float, processes: int, shown: str, said: str
) -> None:
    gain = {"value": (low * high) ** 0.5, "low": low, "high": high, "processes": processes}
    measured = results(row("eager"), row("onnx", latency=[latency(1, 0.01, speedup=gain)]))
    measured["recommendation"]["cpu"] |= {"format": "onnx"}
    assert cells(measured, "onnx")["batch 1 times eager"] == shown
    [sentence] = report(measured).recommendation
    assert said in sentence


def test_a_speedup_in_a_wide_interval_is_not_the_best_of_its_column() -> None:
    wide = {"value": 2.9, "low": 2.35, "high": 3.56, "processes": 5}
    rows = [row("onnx", latency=[latency(1, 0.01, speedup=wide)]), row("other")]
    table = report(results(row("eager"), *rows)).measurements.table
    [number] = [
        number for number, head in enumerate(table.heads) if head.line == "batch 1 times eager"
    ]
    assert [each.cells[number].is_best for each in table.rows] == [False, False, False]


def test_a_speedup_in_one_process_is_marked_and_what_its_interval_is_explained() -> None:
    one = {"value": 1.83, "low": 1.46, "high": 2.29, "processes": 1}
    compiled = row("compiled", latency=[latency(1, 0.01, speedup=one)])
    measured = results(row("eager"), compiled)
    cell = cells(measured, "compiled")["batch 1 times eager"]
    assert cell == "1.83 [1.46, 2.29] one process"
    (note,) = notes_of(measured)
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


@pytest.mark.parametrize(("processes", "told"), [(2, True), (4, True), (5, False)])
def test_fewer_processes_than_planned_are_told(processes: int, told: bool) -> None:
    gain = {"value": 2.0, "low": 1.8, "high": 2.2, "processes": processes}
    measured = results(row("eager"), row("onnx", latency=[latency(1, 0.01, speedup=gain)]))
    notes = " ".join(notes_of(measured))
    assert (f"few processes (onnx on cpu: {processes})" in notes) is told
    assert "eager" not in notes


def test_an_unstable_cell_is_marked_with_its_cause_and_the_mark_explained() -> None:
    shaken = latency(1, 0.01, stable=False, unstable=["busy", "spread"])
    measured = results(row("eager", latency=[shaken]))
    assert cells(measured, "eager")["batch 1 p50 ms"] == "10.00 ~busy"
    assert [note for note in notes_of(measured) if note.startswith("~busy: unstable")]
    assert not list(notes_of(results(row("eager"))))


def test_a_row_that_burnt_cpu_while_it_waited_is_named() -> None:
    measured = results(row("eager", idle_between_turns=False))
    assert list(notes_of(measured)) == ["eager on cpu went on using the CPU between its turns"]


def test_a_format_that_is_not_the_same_bytes_again_is_named_once() -> None:
    rows = [row("eager"), row("pt2", varies="it has a date"), row("pt2", device="cuda")]
    rows[2]["varies"] = "it has a date"
    assert list(notes_of(results(*rows))) == [
        "pt2: its files are not the same bytes from export to export, for it has a date"
    ]


def test_a_row_that_was_not_measured_says_why_and_takes_no_line() -> None:
    measured = results(row("eager"), row("onnx", **FAILED))
    assert list(notes_of(measured)) == ["onnx on cpu: failed (it <b>broke</b> | badly)"]
    assert table_of(measured).count("\n") == 2


@pytest.mark.parametrize("rows", [[row("eager")], [row("eager", **FAILED)], []])
def test_any_set_of_rows_can_be_shown(rows: list[dict[str, Any]]) -> None:
    measured = results(*rows)
    console = Console(record=True, width=130)
    console.print(report_table(report(measured)))
    assert "planted/version_0" in console.export_text()
    assert "540 images" in markdown_page(measured)


def test_the_console_table_fits_a_terminal() -> None:
    console = Console(record=True, width=120)
    console.print(report_table(report(results(row("eager"), row("onnx_int8_dynamic")))))
    text = console.export_text()
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 120
    assert "[1.90, 2.10]" in text
    assert "[-2.34, +0.12]" in text
    assert "50.00" in text


LONG = "a_format_with_a_name_that_takes_half_of_a_line_by_itself_" * 2


@pytest.mark.parametrize("names", [("eager", "onnx_int8"), ("eager", LONG), (LONG, f"{LONG}2")])
def test_a_row_is_one_line_where_a_file_or_a_pipe_takes_the_table(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    buffer = io.StringIO()
    monkeypatch.setattr(sys, "stdout", buffer)
    console = open_console()
    measured = record(results(row("eager"), row("other")))
    for each, name in zip(measured.rows, names, strict=True):
        force_setattr(each, "format", name)  # longer than a file may say
    force_setattr(measured.recommendation["cpu"], "format", names[0])
    console.print(report_table(report(measured), narrow=console.is_terminal))
    lines = buffer.getvalue().splitlines()
    for name in names:
        [line] = [each for each in lines if each.split()[:1] == [name]]
        assert "2.00 [1.90, 2.10]" in line
        assert "50.00" in line
    [head] = [each for each in lines if each.split()[:1] == ["format"]]
    assert "size MB" in head


def test_markup_in_a_name_stays_text() -> None:
    measured = record(results(row("eager"), row("other")))
    force_setattr(measured.rows[1], "format", "a|<script>")  # which no file may say
    assert "| a\\|&lt;script> |" in table_of(measured)
    assert "<script>" not in markdown_page(measured)


def test_a_row_with_the_top1_but_not_the_function_is_marked_and_explained() -> None:
    lost = row("onnx_int8", verdict="pass")
    lost["accuracy"] |= {"departures": ["delta_ece"], "delta_ece": 0.08}
    measured = results(row("eager"), lost)
    bounds = {"logit_sqnr_db": 10.0, "kl": 0.1, "delta_ece": 0.05}
    shown = [each.cells for each in report(measured).measurements.table.rows]
    verdicts = [each.text for cells_of_row in shown for each in cells_of_row if each.verdict]
    assert verdicts == ["inconclusive", "pass ~function"]
    notes = [*notes_of(measured | {"function_bounds": bounds})]
    assert any(
        "onnx_int8 on cpu: ~function" in note and "ECE +8.0 points" in note for note in notes
    )
    assert any("ECE over 5 points worse" in note for note in notes)
    assert not any("~function" in note for note in notes_of(results(row("eager"))))
