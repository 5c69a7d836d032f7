"""Rows of the device ``browser``, with a planted runtime that times itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from src.backends.browser import packages
from src.benchmark import up_to_date
from src.benchmark.plan import planned_with_baseline
from src.benchmark.suite import measure
from src.compare import comparability
from src.report.charts.tradeoff import points_of_run
from src.report.sections import measurements, recommendation
from src.run.folder import Run
from tests.benchmark.planted_formats import OPTIONS, Data, only, silent

BROWSER = replace(OPTIONS, browser=True, memory=True, batch_sizes=[1])


def test_a_browser_is_measured_as_rows_of_their_own_when_it_is_asked_for(run: Run) -> None:
    only(run, "eager", "talking", "shifted", "no-browser", "no-memory")
    results = measure(run, Data(), BROWSER, silent)
    assert [row.device for row in results.rows] == ["cpu"] * 5 + ["browser"] * 5
    row = results.row("talking", "browser")
    assert row is not None
    assert row.is_ok
    # By the page's clock, with the memory of its process, and scored against the baseline.
    assert row.latency[0].p50_s == 7.0
    assert row.latency[0].peak_memory is not None
    assert row.latency[0].peak_memory.peak_rss_bytes == 123
    assert (row.verdict, row.setting("threads")) == ("same", 1)
    assert row.nice == 3  # of the page, not of the worker beside it
    shifted = results.row("shifted", "browser")
    assert shifted is not None
    assert "logits differ by" in str(shifted.reason)
    # It has a recommendation of its own.
    assert set(results.recommendation) == {"cpu", "browser"}
    sentences = [*recommendation.sentences(results)]
    assert sentences[1].startswith("In a web page on this CPU ship ")
    notes = " ".join(measurements.section(results).notes)
    assert "web in headless B 1, WebAssembly with one thread" in notes
    # Without a browser its row is skipped, and a peak that is not known has its reason.
    row = results.row("no-browser", "browser")
    assert row is not None
    assert (row.status, row.reason) == ("skipped", "no browser; install Chromium")
    other = results.row("no-memory", "browser")
    assert other is not None
    assert other.is_ok
    memory = other.latency[0].peak_memory
    assert memory is not None
    assert "does not tell the memory of another process" in str(memory.memory_reason)


def test_a_browser_is_not_measured_by_default(run: Run) -> None:
    rows = planned_with_baseline(run.read_manifest(), OPTIONS)
    assert {row.device for row in rows} == {"cpu"}


def test_a_skipped_browser_is_measured_once_there_is_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(run, "eager", "no-browser")
    options = replace(BROWSER, memory=False)
    measure(run, Data(), options, silent)
    monkeypatch.setattr(packages, "may_be_had", lambda: False)
    assert up_to_date.find(run, options, lambda: None) is not None
    monkeypatch.setattr(packages, "may_be_had", lambda: True)
    assert up_to_date.find(run, options, lambda: None) is None


def test_a_page_is_another_place_than_its_processor(run: Run) -> None:
    only(run, "eager", "talking")
    results = measure(run, Data(), replace(BROWSER, memory=False), silent)
    native, page = (comparability.testbed_of(results, device) for device in ("cpu", "browser"))
    assert str(page).startswith(native.processor)
    assert str(page).endswith(", in a web page, 1 thread")
    points = points_of_run(results, results.rows, 1, dict.fromkeys(["eager", "talking"], "black"))
    assert [point.holds for point in points] == [True, True, False, False]
    assert len({point.marker for point in points}) == 2
