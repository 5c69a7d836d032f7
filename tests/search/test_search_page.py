"""The certificate: every candidate with its evidence, on the console, in Markdown and HTML."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from src.benchmark.options import BenchmarkOptions
from src.cli.stage_command import parse
from src.forecast.records import FileCost, Timing
from src.search import page
from src.search.answer import answer_of, standard_error
from src.search.limits import breaches, evidence_of, excess
from src.search.page_notes import NOTES
from src.search.records import JudgedFile, Limits, SearchRecord
from tests.search.planted import Planted, PlantedTrials, plan_of, search

GRID = {
    "<b>x-32px": Planted(0.95, 1.0, 0.01),
    "drop|ped-32px": Planted(0.60, 1.0, 0.01),
    "slow-32px": Planted(0.99, 1.0, 1.0),
    "broken-32px": Planted(0.99, 1.0, 0.01, training_fails=True),
}
LIMITS = Limits(latency_s=0.005, top1=0.9)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> SearchRecord:
    trials = PlantedTrials(GRID)
    return search(tmp_path_factory.mktemp("search"), trials, plan_of(GRID, LIMITS, rungs=1))


def test_every_candidate_has_its_outcome_and_evidence(record: SearchRecord) -> None:
    kinds = {outcome.model: outcome.kind for outcome in record.outcomes}
    assert kinds == {
        "<b>x": "judged",
        "drop|ped": "dropped",
        "slow": "ruled out",
        "broken": "failed",
    }
    console = Console(file=io.StringIO(), width=1000)
    page.show(record, console)
    assert isinstance(console.file, io.StringIO)
    for text in (console.file.getvalue(), page.markdown_page(record), page.html_page(record)):
        assert "planted failure" in text
        assert "rank 2 of 2; 1 went on" in text
        assert "the forecast rules out every format" in text
        assert page.sentence(record)[:8] == "Ship can"
        assert "pass at 90 %" in text


def test_pages_show_names_as_text_and_the_figures_that_ruled_out(record: SearchRecord) -> None:
    text = page.html_page(record)
    assert "<b>x" not in text
    assert "&lt;b&gt;x" in text
    for shown in (text, page.markdown_page(record)):
        assert "forecast 190 to 210 ms, wholly over 5 ms" in shown
        assert record.command in shown
        assert f"seed {record.seed}" in shown
    assert "drop\\|ped" in page.markdown_page(record)


def test_without_a_measured_file_the_candidates_are_counted(record: SearchRecord) -> None:
    outcomes = [outcome for outcome in record.outcomes if outcome.kind != "judged"]
    empty = msgspec.structs.replace(record, outcomes=outcomes, answer=None)
    assert page.sentence(empty).startswith("No file was measured. Of 3 candidates: ")
    assert "Measured files" not in page.html_page(empty)
    assert "1 ruled out" in page.markdown_page(empty)


def test_a_file_keeps_every_limit_or_its_breach_is_named(record: SearchRecord) -> None:
    judged = next(entry for entry in record.measured if entry.files)
    file = judged.files[0]
    assert breaches(file, Limits()) == []
    limits = Limits(latency_s=1e-5, size_bytes=1, memory_bytes=1)
    assert len(breaches(file, limits)) == 3
    doubtful = msgspec.structs.replace(file, keeps_budget=False, peak_rss_bytes=None)
    assert breaches(doubtful, Limits(memory_bytes=1)) == [
        "peak memory not measured",
        "not shown to keep the accuracy of its network",
    ]
    assert file.latency is not None
    between = Limits(latency_s=file.latency.value)
    assert "not wholly under" in breaches(file, between)[0]
    assert standard_error(judged) > 0
    perfect = msgspec.structs.replace(
        judged, rungs=[msgspec.structs.replace(judged.rungs[-1], top1=1.0)]
    )
    assert 0 < standard_error(perfect) < 0.01


def test_a_file_that_is_not_shown_to_keep_its_accuracy_is_passed_over(
    record: SearchRecord,
) -> None:
    judged = next(entry for entry in record.measured if entry.files)
    fastest = min(judged.files, key=lambda file: file.latency.value if file.latency else 1.0)
    files = [
        msgspec.structs.replace(file, keeps_budget=file is not fastest) for file in judged.files
    ]
    assert len(files) > 1
    answer = answer_of([msgspec.structs.replace(judged, files=files)], LIMITS)
    assert answer is not None
    assert answer.format != fastest.format
    assert answer.satisfied


def test_the_interval_of_one_process_is_shown_as_assumed(tmp_path: Path) -> None:
    class OneProcess(PlantedTrials):
        def file(self, name: str, format_: str) -> JudgedFile:
            made = super().file(name, format_)
            assert made.latency is not None
            latency = msgspec.structs.replace(made.latency, processes=1)
            return msgspec.structs.replace(made, latency=latency)

    grid = {"a-32px": GRID["<b>x-32px"]}
    for trials, is_assumed in ((OneProcess(grid), True), (PlantedTrials(grid), False)):
        folder = tmp_path / type(trials).__name__
        record = search(folder, trials, plan_of(grid, LIMITS, rungs=0))
        assert ("(assumed: one process) under 5 ms" in page.sentence(record)) is is_assumed
        assert page.sentence(record).startswith("Ship") is not is_assumed
        for text in (page.markdown_page(record), page.html_page(record)):
            assert ("] one process" in text) is is_assumed
            assert ("holds, assumed" in text) is is_assumed
            assert ("assumes that it is at most a quarter" in text) is is_assumed
        slow = msgspec.structs.replace(record.measured[0].files[0], keeps_budget=True)
        [reason] = breaches(slow, Limits(latency_s=1e-5))
        assert ("assumed" in reason) is is_assumed


def test_a_missing_figure_is_farther_from_its_limit_than_any_other(record: SearchRecord) -> None:
    judged = next(entry for entry in record.measured if entry.files)
    measured = msgspec.structs.replace(judged.files[0], peak_rss_bytes=300)
    limits = Limits(latency_s=10.0, size_bytes=10**9, memory_bytes=100)
    assert excess(measured, limits) == 3
    for name in ("latency", "size_bytes", "peak_rss_bytes"):
        missing = msgspec.structs.replace(measured, **{name: None})
        assert excess(missing, limits) == float("inf")
        assert excess(missing, Limits()) == 0
        files = [missing, measured]
        answer = answer_of([msgspec.structs.replace(judged, files=files)], limits)
        assert answer is not None
        assert f"{300 / 1e6:.1f} MB of peak memory, over" in answer.sentence


def test_memory_and_skipped_formats_are_evidence(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    cost = trials.forecast(plan_of(GRID, LIMITS).requests[0]).files[0]
    timing = msgspec.structs.replace(cost.timings[0], peak_rss_bytes=50_000_000)
    heavy = msgspec.structs.replace(cost, timings=[timing])
    assert evidence_of(heavy, Limits(memory_bytes=60_000_000)).reason is None
    reason = evidence_of(heavy, Limits(memory_bytes=40_000_000)).reason
    assert reason == "forecast 50.0 MB of peak memory, over 40.0 MB"
    skipped = msgspec.structs.replace(cost, status="skipped", reason="no openvino", timings=[])
    assert evidence_of(skipped, Limits()).reason == "skipped in the forecast: no openvino"


def test_a_forecast_that_was_disturbed_says_so_where_it_rules_out() -> None:
    timing = Timing(batch_size=1, p50_s=0.02, low_s=0.019, high_s=0.021, unstable=["busy", "steal"])
    file = FileCost(format="eager", device="cpu", status="ok", size_bytes=1, timings=[timing])
    reason = evidence_of(file, Limits(latency_s=0.005)).reason
    assert reason == "forecast 19 to 21 ms, wholly over 5 ms (unstable: busy, steal)"
    assert evidence_of(file, Limits(latency_s=0.03)).reason is None
    calm = msgspec.structs.replace(file, timings=[msgspec.structs.replace(timing, unstable=[])])
    assert "unstable" not in (evidence_of(calm, Limits(latency_s=0.005)).reason or "")


def test_the_advice_to_measure_again_is_a_command_that_exists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [word] = re.findall(r"python -m src\.benchmark RUN (\S+)\.(?:\s|$)", " ".join(NOTES))
    (tmp_path / "config.yaml").write_text("data: {}\n")
    monkeypatch.setattr(sys, "argv", ["src.benchmark", str(tmp_path), word])
    _, options = parse("benchmark", None, BenchmarkOptions)
    assert options.again
