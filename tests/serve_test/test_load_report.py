"""The result of a load test: its record, sentences, table and chart, and where it is shown."""

from __future__ import annotations

import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from src.bundle import serving
from src.bundle.packages import Package, Software
from src.errors import UsageError
from src.report.charts.load import load_chart, probes_of
from src.report.charts.style import NARROW, WIDE
from src.report.sections import load
from src.report.stage import report_run
from src.run.folder import Run
from src.run.reading import convert
from src.run.serve_test import ServeTest
from src.run.serving import current_serve_test
from tests.report.planted import results, row
from tests.report.writers.test_cards import manifest
from tests.serve_test.planted import configuration, probe, serve_test

CONTENT = b"a model"
SHA = sha256(CONTENT).hexdigest()
TORCH = Package("torch", "2.15", None, (), ())  # as in the planted record
SOFTWARE = Software((TORCH,), (TORCH,))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run with one exported file that was measured, also under load."""
    run = Run(tmp_path)
    (run.exports / "onnx").mkdir(parents=True)
    (run.exports / "onnx" / "model").write_bytes(CONTENT)
    described = manifest()
    described["formats"]["onnx"]["files"] = [
        {"path": "model", "bytes": len(CONTENT), "sha256": SHA}
    ]
    run.manifest.write_text(json.dumps(described))
    run.config.write_text("model: {init_args: {lr: 0.1}}\n")
    measured = results(row("eager"), row("onnx", sha256={"model": SHA}))
    run.benchmark.write_text(json.dumps(measured))
    run.serve_test.write_text(json.dumps(serve_test(sha256={"model": SHA})))
    return run


def record(*configurations: dict[str, Any], **changes: Any) -> ServeTest:
    return convert(serve_test(*configurations, **changes), ServeTest)


def test_the_chosen_configuration_and_the_gain_of_batching_are_said_in_words() -> None:
    [sentence] = load.sentences(record())
    assert sentence == (
        "onnx with 1 stream of 1 thread, batching 4 ms holds 310 requests a second [294, 341] at "
        "p99 <= 20.0 ms, 1.41 [1.30, 1.50] times as many as without batching."
    )


def test_one_run_tells_both_rates_and_no_ratio() -> None:
    [sentence] = load.sentences(record(gain=None))
    assert sentence.endswith("at p99 <= 20.0 ms, and 220 without batching.")


@pytest.mark.parametrize("held", range(4))
def test_the_rate_of_the_best_of_several_is_said_to_be_a_little_high(held: int) -> None:
    rates = [configuration(0.001 * index, 200.0 + index) for index in range(held)]
    failed = configuration(0.05, 1.0, bounds=[], highest=None, reason="no rate holds")
    planted = record(*rates, failed, chosen=0 if held else None, gain=None)
    told = [line for line in load.notes(planted) if "a little too high" in line]
    assert [line.split(",")[0] for line in told] == [
        f"The configuration is the best of the {held} that held a rate"
    ] * (held > 1)


def test_batching_that_does_not_help_is_said() -> None:
    gain = {"value": 1.02, "low": 0.95, "high": 1.1, "processes": 3}
    _, sentence = load.sentences(record(chosen=0, gain=gain))
    assert "does not measurably raise the rate: 1.02 [0.95, 1.10]" in sentence
    gain = {"value": 0.8, "low": 0.7, "high": 0.9, "processes": 3}
    _, sentence = load.sentences(record(chosen=0, gain=gain))
    assert "Batching lowers the rate" in sentence


def nothing_held(**changes: Any) -> ServeTest:
    lagged = probe(100.0, 0.3, "lagged")
    none = configuration(0.0, 100.0, probes=[lagged], bounds=[], highest=None, reason="too late")
    return record(none, chosen=None, gain=None, is_complete=False, **changes)


def test_what_is_missing_is_said() -> None:
    section = load.section(nothing_held(own_core=False))
    assert "No configuration of onnx was shown to hold a rate" in section.sentences[0]
    notes = " ".join(section.notes)
    for words in ("1 of 1 probes say nothing", "too late", "not complete", "none of its own"):
        assert words in notes


def test_a_test_whose_time_was_over_names_a_time_that_is_enough() -> None:
    over = record(is_complete=False, max_seconds=300.0, enough_seconds=1260.0)
    again = record(is_complete=False, enough_seconds=1260.0, command="serve_test RUN again=true")
    notes = [" ".join(load.section(each).notes) for each in (over, again, nothing_held())]
    assert "the same command with max_seconds=1260 measures the rest" in notes[0]
    assert "with max_seconds=1260, without again=true, measures the rest" in notes[1]
    assert "The same command goes on with it" in notes[2]
    assert "tries again what was given up" not in notes[0]


def test_the_table_has_a_row_for_each_configuration() -> None:
    table = load.section(record()).table
    heads = [head.line for head in table.heads]
    shown = [dict(zip(heads, (cell.text for cell in row.cells), strict=True)) for row in table.rows]
    assert shown[1]["requests/s"] == "310 [294, 341]"
    assert (shown[1]["p50 ms"], shown[1]["p99 ms"]) == ("9.00", "18.00")
    assert (shown[0]["window ms"], shown[1]["mean batch"]) == ("0.00", "1.67")
    assert [row.is_chosen for row in table.rows] == [False, True]


@pytest.mark.parametrize("width", [NARROW, WIDE])
def test_the_chart_shows_both_percentiles_of_each_configuration_and_the_limit(width: float) -> None:
    chart = load_chart(record())
    assert chart is not None
    [axes] = chart.draw(width).axes
    curves = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()]
    for rate in (220.0, 310.0):
        assert ([rate, 1.1 * rate], pytest.approx([18.0, 25.0])) in curves
        assert ([rate, 1.1 * rate], pytest.approx([9.0, 12.5])) in curves
        assert ([2 * rate], pytest.approx([300.0])) in curves  # saturated, apart
    assert [20.0, 20.0] in [heights for _, heights in curves]
    assert "220/s 18.0 ms held" in chart.description
    assert load_chart(nothing_held()) is None


def test_a_probe_in_which_the_generator_lagged_is_in_no_curve() -> None:
    content = configuration(0.0, 100.0)
    content["probes"].append(probe(50.0, 0.4, "lagged"))
    configured = record(content, chosen=None, gain=None).configurations[0]
    assert [each.rate for each in probes_of(configured)] == pytest.approx([100, 110, 200])


def one(**changes: Any) -> dict[str, Any]:
    """Return changes to a file: one configuration that held 9 requests a second."""
    return {"configurations": [configuration(0.0, 9.0, **changes)]}


def highest(**changes: Any) -> dict[str, Any]:
    return one(highest={"value": 9.0, "low": 8.0, "high": 10.0, "processes": 2, **changes})


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"schema_version": 2}, "schema_version"),
        ({"enough_seconds": 9.0}, "enough_seconds"),
        ({"chosen": 2}, "chosen"),
        ({"p99_limit_s": 0.001}, r"configurations\[0\].probes\[0\].p99_s"),
        ({"p99_limit_s": None}, "p99_limit_s"),
        ({"sha256": {"../model": SHA}}, "sha256"),
        ({"configurations": []}, "configurations"),
        ({"configurations": [configuration(0.0, 9.0, largest_batch=4)]}, "largest_batch"),
        ({"configurations": [configuration(0.0, 9.0, highest=None)]}, "highest"),
        ({"configurations": [configuration(0.0, 9.0, probes=[probe(-1.0, 0.1)])]}, "rate"),
        ({"configurations": [configuration(0.0, 9.0, probes=[probe(1.0, 0.1, "?")])]}, "verdict"),
        (
            {"configurations": [configuration(0.0, 9.0, probes=[probe(1.0, 0.1, p50_s=1.0)])]},
            "p99_s",
        ),
        (
            {"configurations": [configuration(0.0, 9.0, probes=[probe(1.0, 0.1, warm_up=10)])]},
            "warm_up",
        ),
        (
            {
                "configurations": [
                    configuration(0.0, 9.0, probes=[probe(1.0, 0.1, latencies_s=["x"])])
                ]
            },
            "latencies_s",
        ),
        ({"configurations": [configuration(0.0, 9.0, bounds=[{"run": 0}])]}, "bounds"),
        (one(bounds=[{"run": 0, "held": 9.0, "failed": 10.0}] * 2), "bounds"),
        (one(probes=[probe(9.0, 0.01, batches={})]), "batches"),
        (one(probes=[probe(9.0, 0.01, batches={"0": 4})]), "batches"),
        (one(probes=[probe(9.0, 0.01, is_cut=True)]), "is_cut"),
        (one(probes=[probe(9.0, 0.01, p50_s=0.004)]), "p50_s"),
        (one(probes=[probe(9.0, 0.01, p99_s=0.011)]), "p99_s"),
        (highest(value=1e-12, low=5.0, high=1.0), "highest"),
        (highest(low=9.5), "highest"),
        (highest(value=9.1), r"highest\.value"),
        (highest(processes=3), r"highest\.processes"),
        ({"gain": {"value": 2.0, "low": 2.1, "high": 2.2, "processes": 3}}, "gain"),
    ],
)
def test_a_file_that_is_not_as_it_is_written_is_refused_in_one_line(
    run: Run, changes: dict[str, Any], place: str
) -> None:
    run.serve_test.write_text(json.dumps(serve_test(**{"gain": None, "chosen": 0, **changes})))
    with pytest.raises(UsageError, match=place) as refused:
        run.read_serve_test()
    assert "\n" not in str(refused.value)


def test_the_load_of_another_file_is_not_shown_and_not_shipped(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert current_serve_test(run) is not None
    assert json.loads(serving.contents(run, "onnx", SOFTWARE, embedded=False)["serving.json"]) == {
        "threads": 1,
        "streams": 1,
        "window_s": 0.004,
        "largest_batch": 16,
        "p99_limit_s": 0.02,
        "rate": pytest.approx(294.5),
        "cpu": results()["environment"]["cpu"],
        "worker_cores": 1,
    }
    assert serving.contents(run, "onnx", SOFTWARE, embedded=True) == {}
    with monkeypatch.context() as patch:  # as the record of a format whose packages are others now
        environment = SimpleNamespace(has_run=lambda _: False)
        patch.setattr(serving.formats, "names", lambda: ["onnx"])
        patch.setattr(serving.formats, "get", lambda _: SimpleNamespace(environment=environment))
        assert serving.contents(run, "onnx", SOFTWARE, embedded=False) == {}
        environment.has_run = lambda _: True
        assert serving.contents(run, "onnx", SOFTWARE, embedded=False) != {}
    assert serving.contents(run, "eager", SOFTWARE, embedded=False) == {}
    newer = replace(SOFTWARE, direct=(replace(TORCH, version="2.16"),))
    assert serving.contents(run, "onnx", newer, embedded=False) == {}
    assert "other packages than are packed (torch 2.15 instead of 2.16)" in capsys.readouterr().err
    (run.exports / "onnx" / "model").write_bytes(b"another model")
    assert current_serve_test(run) is None
    assert serving.contents(run, "onnx", SOFTWARE, embedded=False) == {}
    (run.exports / "onnx" / "model").unlink()
    assert current_serve_test(run) is None


@pytest.mark.slow
def test_the_report_says_that_a_load_test_is_of_another_file(run: Run) -> None:
    (run.exports / "onnx" / "model").write_bytes(b"another model")
    console = Console(record=True, width=500)
    report_run(run, console)
    assert "Under load" not in run.page.read_text()
    assert "is of other files than the present ones" in console.export_text()


def test_a_load_test_without_a_rate_gives_a_bundle_no_settings(run: Run) -> None:
    none = configuration(0.0, 9.0, bounds=[], highest=None)
    content = serve_test(none, chosen=None, gain=None, sha256={"model": SHA})
    run.serve_test.write_text(json.dumps(content))
    assert current_serve_test(run) is not None
    assert serving.contents(run, "onnx", SOFTWARE, embedded=False) == {}
