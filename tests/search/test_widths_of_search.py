"""A search over networks of several widths, of which not all have the same ones."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from src.forecast.candidate import Request
from src.search import page, training
from src.search.notebook import RECORD, Notebook
from src.search.plan import Plan
from src.search.records import Limits
from src.search.trials import slug
from tests.search.planted import ENVIRONMENT, Planted, PlantedTrials, search

LIMITS = Limits(latency_s=0.008)
GRID = {
    "own-32px": Planted(0.90, 0.9, 0.010),
    "wide-32px": Planted(0.95, 0.9, 0.100),
    "wide-x0.5-32px": Planted(0.94, 0.9, 0.012),
    "wide-x0.75-32px": Planted(0.80, 0.9, 0.020),
}
WIDTHS = (None, 0.5, 0.75)


def plan(widths: tuple[float | None, ...] = WIDTHS) -> Plan:
    requests = [Request("own", 32, ()), *(Request("wide", 32, (), width=width) for width in widths)]
    return Plan(
        requests=requests,
        limits=LIMITS,
        environment=ENVIRONMENT,
        command="python -m src.search planted",
        rungs=1,
        own_width_only=["own"],
    )


def test_a_width_is_a_candidate_of_its_own(tmp_path: Path) -> None:
    record = search(tmp_path, PlantedTrials(GRID), plan())
    kinds = {outcome.network: outcome.kind for outcome in record.outcomes}
    assert kinds == {
        "own": "judged",
        "wide": "ruled out",
        "wide x0.5": "judged",
        "wide x0.75": "dropped",
    }
    assert len({outcome.key for outcome in record.outcomes}) == 4
    assert record.answer is not None
    assert record.answer.folder.startswith("candidates/wide-x0.5-32px/")
    assert "wide x0.5 at 32 px as onnx_int8" in record.answer.sentence
    assert {entry.network: entry.width for entry in record.measured} == {
        "own": None, "wide": None, "wide x0.5": 0.5, "wide x0.75": 0.75,
    }  # fmt: skip


def test_every_page_names_the_widths_and_the_networks_without(tmp_path: Path) -> None:
    record = search(tmp_path, PlantedTrials(GRID), plan())
    console = Console(file=io.StringIO(), width=1000)
    page.show(record, console)
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    for text in (printed, page.markdown_page(record), page.html_page(record)):
        assert "wide x0.75" in text
    for text in (page.markdown_page(record), page.html_page(record)):
        assert "At their own width only, because their constructors have no other: own" in text


def test_more_widths_use_what_was_measured(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    search(tmp_path, trials, plan((None,)))
    before = list(trials.steps)
    record = search(tmp_path, trials, plan())
    assert len(record.outcomes) == 4
    new = trials.steps[len(before) :]
    assert {name for kind, name in new if kind == "forecast"} == {
        "wide-x0.5-32px",
        "wide-x0.75-32px",
    }
    assert ("judge", "own-32px") in before
    assert ("judge", "own-32px") not in new


def test_a_killed_search_over_widths_goes_on(tmp_path: Path) -> None:
    whole = PlantedTrials(GRID)
    expected = search(tmp_path / "whole", whole, plan())
    trials = PlantedTrials(GRID)
    for _ in range(20):
        trials.dies_after = len(trials.steps) + 2
        try:
            record = search(tmp_path / "killed", trials, plan())
            break
        except KeyboardInterrupt:
            continue
    assert record.outcomes == expected.outcomes
    assert trials.steps == whole.steps


def test_the_order_without_widths_is_that_of_the_networks(tmp_path: Path) -> None:
    record = search(tmp_path, PlantedTrials(GRID), plan((None,)))
    wider = search(tmp_path / "wider", PlantedTrials(GRID), plan())
    assert {outcome.network for outcome in record.outcomes} == {"own", "wide"}
    assert {outcome.network for outcome in wider.outcomes} == {
        "own", "wide", "wide x0.5", "wide x0.75",
    }  # fmt: skip


def test_a_record_of_an_earlier_version_has_the_own_widths(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    search(tmp_path, trials, plan((None,)))
    content = json.loads((tmp_path / RECORD).read_text())
    del content["own_width_only"]
    for entry in (*content["measured"], *content["outcomes"]):
        del entry["width"]
    (tmp_path / RECORD).write_text(json.dumps(content))
    before = len(trials.steps)
    record = search(tmp_path, trials, plan((None,)))
    assert len(trials.steps) == before
    assert [entry.width for entry in record.measured] == [None] * len(record.measured)
    assert Notebook(tmp_path, plan()).of_plan == record.measured


def test_a_width_has_a_folder_and_words_of_its_own() -> None:
    whole = Request("torchvision/mobilenet_v2", 32, ("data=digits",))
    half = dataclasses.replace(whole, width=0.5)
    keys = [request.key(ENVIRONMENT) for request in (whole, half)]
    assert keys[0] != keys[1]
    place = slug(half, keys[1])
    assert place == Path("candidates") / f"torchvision-mobilenet_v2-x0.5-32px-{keys[1][:8]}"
    words = training.words_of(half, place, resumes=True)
    assert words[:4] == [
        "model=torchvision/mobilenet_v2", "data.image_size=32", "model.width=0.5", "data=digits",
    ]  # fmt: skip
    assert not any("width" in word for word in training.words_of(whole, place, resumes=True))


@pytest.mark.parametrize("width", [0.5, 1.25])
def test_a_file_name_of_a_width_has_no_separator(width: float) -> None:
    assert "/" not in Request("timm/rexnet_100", None, (), width=width).name
