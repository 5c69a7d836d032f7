"""Candidates that the forecast of another image size of the same network decides."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from src.forecast.candidate import Request
from src.forecast.records import Candidate, FileCost
from src.run import reading
from src.search import page
from src.search.halving import Halving
from src.search.notebook import RECORD
from src.search.other_size import CLEAR_MARGIN, deciding_size, first_to_forecast
from src.search.plan import Plan
from src.search.records import VERSION, Limits, Outcome, SearchRecord
from tests.search.planted import (
    ENVIRONMENT,
    EPOCH_S,
    EPOCHS,
    FORMATS,
    Planted,
    PlantedTrials,
    grid_of,
    plan_of,
    search,
)

# A file takes 1, 0.4 or 0.2 times the time of eager; its first quartile is 5 % below.
FASTEST, SLOWEST = 0.2 * 0.95, 1.0 * 0.95
LIMITS = Limits(latency_s=0.008)
CLEARLY_OUT = 0.008 / FASTEST * 1.2
BARELY_OUT = 0.008 / FASTEST * 1.05
MIXED = 0.010
KEEPS_ALL = 0.008 / SLOWEST * 0.9

Change = Callable[[Candidate], Candidate]


@dataclass
class Changed(PlantedTrials):
    """Steps whose forecasts are changed for some candidates."""

    changes: dict[str, Change] = field(default_factory=dict)

    def cost(self, request: Request) -> Candidate:
        cost = msgspec.structs.replace(super().cost(request), width=request.width)
        return self.changes.get(request.name, lambda same: same)(cost)


def grid_with(**seconds: float) -> dict[str, Planted]:
    """Return a network with the time of eager by size, as ``px32=0.01``."""
    return {
        f"net-{name.removeprefix('px')}px": Planted(0.9, 0.5, eager_s)
        for name, eager_s in seconds.items()
    }


def forecast_in(trials: PlantedTrials) -> list[str]:
    return [name.removeprefix("net-") for kind, name in trials.steps if kind == "forecast"]


def by_size(record: SearchRecord) -> dict[int | None, Outcome]:
    return {outcome.image_size: outcome for outcome in record.outcomes}


def know(trials: PlantedTrials, *names: str) -> None:
    """Have the forecasts of some candidates before the search, as ``src.forecast`` leaves them."""
    trials.steps = [("forecast", name) for name in names]


def test_a_size_that_is_clearly_ruled_out_rules_out_the_larger_ones(tmp_path: Path) -> None:
    grid = grid_with(px32=CLEARLY_OUT, px64=2 * CLEARLY_OUT)
    trials = PlantedTrials(grid)
    know(trials, "net-32px")
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert forecast_in(trials) == ["32px"]
    small, large = by_size(record)[32], by_size(record)[64]
    assert (small.kind, small.forecast_size) == ("ruled out", None)
    assert small.reason == "the forecast rules out every format"
    assert all(entry.p50_s for entry in small.formats)
    assert (large.kind, large.forecast_size) == ("ruled out", 32)
    assert large.reason == (
        "not forecast: at 32 px every format is ruled out by at least 10 %, and a larger image is "
        "never faster"
    )
    assert {entry.format for entry in large.formats} == set(FORMATS)
    assert {entry.p50_s for entry in large.formats} == {None}
    reasons = {entry.format: entry.reason for entry in large.formats}
    assert reasons["onnx_int8"] == "at 32 px: forecast 9.6 to 10.6 ms, wholly over 8 ms"
    assert not any(entry.forecast_seconds for entry in record.measured)


@pytest.mark.parametrize(("over", "is_implied"), [(1.05, False), (1.09, False), (1.11, True)])
@pytest.mark.parametrize("figure", ["latency", "size", "memory"])
def test_the_margin_decides(tmp_path: Path, figure: str, over: float, is_implied: bool) -> None:
    grid = grid_with(px32=0.01, px64=0.02)
    limits = {
        "latency": Limits(latency_s=0.01 * FASTEST / over),
        "size": Limits(size_bytes=round(10_000_000 / over)),
        "memory": Limits(memory_bytes=round(50_000_000 / over)),
    }[figure]
    trials = PlantedTrials(grid)
    know(trials, "net-32px")
    record = search(tmp_path, trials, plan_of(grid, limits))
    assert {outcome.kind for outcome in record.outcomes} == {"ruled out"}
    assert forecast_in(trials) == (["32px"] if is_implied else ["32px", "64px"])


def test_each_format_may_be_over_another_limit(tmp_path: Path) -> None:
    grid = grid_with(px32=0.01, px64=0.02)

    def small_eager(cost: Candidate) -> Candidate:
        files = [
            msgspec.structs.replace(file, size_bytes=1000) if file.format == "eager" else file
            for file in cost.files
        ]
        return msgspec.structs.replace(cost, files=files)

    # Eager is small and too slow, the others are fast and too large.
    limits = Limits(latency_s=0.005, size_bytes=5_000_000)
    trials = Changed(grid, changes=dict.fromkeys(grid, small_eager))
    know(trials, "net-32px")
    record = search(tmp_path, trials, plan_of(grid, limits))
    assert forecast_in(trials) == ["32px"]
    assert {outcome.kind for outcome in record.outcomes} == {"ruled out"}


def test_a_larger_size_that_keeps_all_limits_leaves_the_smaller_ones_possible(
    tmp_path: Path,
) -> None:
    grid = grid_with(px32=KEEPS_ALL / 3, px64=KEEPS_ALL / 2, px96=CLEARLY_OUT)
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS, rungs=0))
    assert forecast_in(trials) == ["64px", "96px"]
    small = by_size(record)[32]
    assert (small.kind, small.forecast_size) == ("judged", 64)
    assert {entry.format for entry in small.formats} == set(FORMATS)
    assert {(entry.p50_s, entry.reason) for entry in small.formats} == {(None, None)}
    [measured] = [entry for entry in record.measured if entry.image_size == 32]
    assert {file.format for file in measured.files} == set(FORMATS)
    assert measured.forecast_seconds == 0


def test_a_larger_size_with_one_possible_format_leaves_all_formats_possible(tmp_path: Path) -> None:
    """A format that is ruled out at the larger size may keep the limits at the smaller one."""
    grid = grid_with(px32=KEEPS_ALL, px64=MIXED)
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS, rungs=0))
    assert forecast_in(trials) == ["64px"]
    large, small = by_size(record)[64], by_size(record)[32]
    assert {entry.format for entry in large.formats if entry.reason} == {"eager"}
    assert {(entry.format, entry.reason) for entry in small.formats} == {
        (name, None) for name in FORMATS
    }
    files = {entry.image_size: len(entry.files) for entry in record.measured}
    assert files == {32: 3, 64: 2}


def test_a_size_in_doubt_says_nothing_about_others(tmp_path: Path) -> None:
    grid = grid_with(px32=BARELY_OUT, px64=BARELY_OUT, px96=BARELY_OUT)
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert sorted(forecast_in(trials)) == ["32px", "64px", "96px"]
    assert {outcome.forecast_size for outcome in record.outcomes} == {None}


def without_timings(status: str, format_: str = "onnx_fp32") -> Change:
    """Return a change of a forecast: one format has no timing."""

    def change(cost: Candidate) -> Candidate:
        files = [
            msgspec.structs.replace(file, status=status, reason="planted", timings=[])
            if file.format == format_
            else file
            for file in cost.files
        ]
        return msgspec.structs.replace(cost, files=files)

    return change


def with_row(status: str) -> Change:
    """Return a change of a forecast: a format that was timed has a row on another device."""

    def change(cost: Candidate) -> Candidate:
        row = FileCost(
            format="eager", device="cuda", status=status, reason="no CUDA device", timings=[]
        )
        return msgspec.structs.replace(cost, files=[*cost.files, row])

    return change


def without_memory(cost: Candidate) -> Candidate:
    files = [
        msgspec.structs.replace(
            file, timings=[msgspec.structs.replace(file.timings[0], peak_rss_bytes=None)]
        )
        for file in cost.files
    ]
    return msgspec.structs.replace(cost, files=files)


@pytest.mark.parametrize(
    ("change", "is_implied"),
    [
        (without_timings("failed"), False),
        (without_timings("skipped"), False),
        (without_timings("ok"), False),
        (with_row("failed"), False),
        (with_row("ok"), False),  # exported, and not timed there
        (with_row("skipped"), True),
        (lambda cost: msgspec.structs.replace(cost, files=[]), False),
        (lambda cost: msgspec.structs.replace(cost, status="failed", reason="planted"), False),
        (lambda cost: msgspec.structs.replace(cost, training=None), False),
    ],
)
@pytest.mark.parametrize(("seconds", "own", "other"), [(CLEARLY_OUT, 32, 64), (0.0005, 64, 32)])
def test_only_forecasts_whose_every_file_was_timed_decide_other_sizes(
    tmp_path: Path, seconds: float, own: int, other: int, change: Change, is_implied: bool
) -> None:
    grid = grid_with(px32=seconds, px64=seconds)
    trials = Changed(grid, changes={f"net-{own}px": change})
    know(trials, f"net-{own}px")
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert (f"{other}px" not in forecast_in(trials)) is is_implied
    assert by_size(record)[other].forecast_size == (own if is_implied else None)


def test_a_figure_that_is_missing_keeps_no_limit() -> None:
    cost = PlantedTrials(grid_with(px64=0.001)).cost(Request("net", 64, ()))
    limits = Limits(memory_bytes=60_000_000)
    assert deciding_size(32, {64: cost}, limits) == 64
    assert deciding_size(32, {64: without_memory(cost)}, limits) is None
    assert deciding_size(32, {64: without_memory(cost)}, LIMITS) == 64


@pytest.mark.parametrize(
    ("seconds", "forecasts"),
    [
        # 32, 48, 64, 96 and 128 px
        ([CLEARLY_OUT] * 5, ["64px", "48px", "32px"]),
        ([KEEPS_ALL / 2, *[CLEARLY_OUT] * 4], ["64px", "48px", "32px"]),
        ([*[KEEPS_ALL / 2] * 3, *[CLEARLY_OUT] * 2], ["64px", "128px", "96px"]),
        ([KEEPS_ALL / 2] * 5, ["64px", "128px"]),
        ([MIXED] * 5, ["64px", "128px"]),
    ],
)
def test_the_middle_size_is_forecast_first(
    tmp_path: Path, seconds: list[float], forecasts: list[str]
) -> None:
    sizes = (32, 48, 64, 96, 128)
    grid = grid_with(**{f"px{size}": each for size, each in zip(sizes, seconds, strict=True)})
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert forecast_in(trials) == forecasts
    kinds = [by_size(record)[size].kind == "ruled out" for size in sizes]
    assert kinds == [each == CLEARLY_OUT for each in seconds]


@pytest.mark.parametrize(
    ("sizes", "limits", "first"),
    [
        ([48, 32], LIMITS, 48),
        ([96, 32, 64], LIMITS, 64),
        ([32, 48, 64, 96], Limits(size_bytes=1), 64),
        ([32], LIMITS, 32),
        ([None], LIMITS, None),
        ([None], Limits(), None),
        ([32, 96, 64], Limits(top1=0.9), 96),
    ],
)
def test_the_first_size_does_not_depend_on_the_order_of_the_command_line(
    sizes: list[int | None], limits: Limits, first: int | None
) -> None:
    assert first_to_forecast(sizes, limits) == first
    assert first_to_forecast(sizes[::-1], limits) == first


def test_without_a_limit_of_cost_the_largest_size_is_enough(tmp_path: Path) -> None:
    grid = grid_of(3, models=3, sizes=3)
    trials = PlantedTrials(grid, seed=3)
    record = search(tmp_path, trials, plan_of(grid, Limits(top1=0.5), rungs=0))
    assert sorted(name for kind, name in trials.steps if kind == "forecast") == [
        "net0-128px", "net1-128px", "net2-128px",
    ]  # fmt: skip
    assert {outcome.kind for outcome in record.outcomes} == {"judged"}
    assert {outcome.forecast_size for outcome in record.outcomes} == {None, 128}


def test_a_single_size_is_always_forecast(tmp_path: Path) -> None:
    for number, limits in enumerate((LIMITS, Limits())):
        for size in (32, None):
            name = "-32px" if size else ""
            grid = {f"net{model}{name}": Planted(0.9, 0.5, CLEARLY_OUT) for model in range(3)}
            requests = [Request(f"net{model}", size, ()) for model in range(3)]
            plan = Plan(requests, limits, ENVIRONMENT, "planted", rungs=1)
            trials = PlantedTrials(grid)
            search(tmp_path / f"{number}-{size}", trials, plan)
            assert len(forecast_in(trials)) == 3


def test_no_width_decides_another_one(tmp_path: Path) -> None:
    grid = {
        f"net{width}-{size}px": Planted(0.9, 0.5, CLEARLY_OUT)
        for width in ("", "-x0.5")
        for size in (32, 64)
    }
    requests = [Request("net", size, (), width=width) for width in (None, 0.5) for size in (32, 64)]
    trials = Changed(grid)
    know(trials, "net-32px")
    record = search(tmp_path, trials, Plan(requests, LIMITS, ENVIRONMENT, "planted"))
    assert sorted(forecast_in(trials)) == ["32px", "x0.5-32px", "x0.5-64px"]
    assert {outcome.network for outcome in record.outcomes if outcome.forecast_size} == {"net"}


def test_a_known_forecast_of_its_own_goes_before_that_of_another_size(tmp_path: Path) -> None:
    # The forecast of 32 px was disturbed: the larger image is faster.
    grid = grid_with(px32=CLEARLY_OUT, px96=KEEPS_ALL)
    trials = PlantedTrials(grid)
    know(trials, "net-32px", "net-96px")
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert by_size(record)[96].kind == "judged"
    assert {outcome.forecast_size for outcome in record.outcomes} == {None}
    assert all(entry.p50_s for outcome in record.outcomes for entry in outcome.formats)


def test_forecasts_that_contradict_each_other_decide_nothing(tmp_path: Path) -> None:
    grid = grid_with(px32=CLEARLY_OUT, px64=MIXED, px96=KEEPS_ALL)
    trials = PlantedTrials(grid)
    know(trials, "net-32px", "net-96px")
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert forecast_in(trials)[2:] == ["64px"]
    assert by_size(record)[64].forecast_size is None


def test_the_nearest_size_decides() -> None:
    grid = grid_with(px16=CLEARLY_OUT, px32=CLEARLY_OUT, px96=0.001, px128=0.001)
    trials = PlantedTrials(grid)
    costs: dict[int | None, Candidate] = {
        size: trials.cost(Request("net", size, ())) for size in (16, 32, 96, 128)
    }
    out, kept = {size: costs[size] for size in (16, 32)}, {size: costs[size] for size in (96, 128)}
    assert deciding_size(64, out, LIMITS) == 32
    assert deciding_size(64, kept, LIMITS) == 96
    assert deciding_size(64, out | kept, LIMITS) is None
    assert deciding_size(None, out, LIMITS) is None
    assert deciding_size(8, out, LIMITS) is None
    assert deciding_size(256, kept, LIMITS) is None


@pytest.mark.parametrize(
    "limits", [Limits(latency_s=0.002), Limits(), Limits(latency_s=0.05), Limits(top1=0.9)]
)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_a_killed_search_comes_to_the_same_decisions(
    tmp_path: Path, limits: Limits, steps: int
) -> None:
    grid = grid_of(5, models=4)
    plan = plan_of(grid, limits, seed=5)
    whole = PlantedTrials(grid, seed=5)
    expected = search(tmp_path / "whole", whole, plan)
    assert {outcome.forecast_size for outcome in expected.outcomes} > {None}
    trials = PlantedTrials(grid, seed=5)
    for _ in range(len(whole.steps) + 1):
        trials.dies_after = len(trials.steps) + steps
        try:
            record = search(tmp_path / "killed", trials, plan)
            break
        except KeyboardInterrupt:
            continue
    assert record.outcomes == expected.outcomes
    assert record.answer == expected.answer
    assert trials.steps == whole.steps


def test_another_limit_needs_the_forecasts_that_the_first_one_did_not(tmp_path: Path) -> None:
    grid = grid_with(px32=CLEARLY_OUT, px64=2 * CLEARLY_OUT)
    trials = PlantedTrials(grid)
    know(trials, "net-32px")
    search(tmp_path, trials, plan_of(grid, LIMITS))
    record = search(tmp_path, trials, plan_of(grid, Limits(latency_s=0.012)))
    assert forecast_in(trials) == ["32px", "64px"]
    assert [outcome.kind for outcome in record.outcomes].count("judged") == 1
    assert by_size(record)[64].forecast_size is None


def test_without_time_for_a_forecast_other_sizes_still_decide(tmp_path: Path) -> None:
    grid = grid_with(px32=CLEARLY_OUT, px64=CLEARLY_OUT, px96=CLEARLY_OUT)
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS, budget_s=trials.forecast_s + 5))
    assert forecast_in(trials) == ["64px"]
    kinds = {size: outcome.kind for size, outcome in by_size(record).items()}
    assert kinds == {32: "not tried", 64: "ruled out", 96: "ruled out"}
    assert "out of time: its forecast" in by_size(record)[32].reason


def test_the_budget_counts_with_the_training_cost_of_the_larger_size(tmp_path: Path) -> None:
    """An upper bound: the small one would fit by its own cost, which is not known."""
    grid = grid_with(px32=0.001, px64=0.001)

    def costly(cost: Candidate) -> Candidate:
        assert cost.training is not None
        training = msgspec.structs.replace(cost.training, images=10 * cost.training.images)
        return msgspec.structs.replace(cost, training=training)

    one_training = 3 * 20 + EPOCHS * EPOCH_S + 4 * 30
    for number, (known, kinds) in enumerate(
        [(["net-64px"], {"not tried"}), (["net-64px", "net-32px"], {"not tried", "judged"})]
    ):
        trials = Changed(grid, changes={"net-64px": costly})
        know(trials, *known)
        plan = plan_of(grid, LIMITS, budget_s=one_training + 100.0)
        record = search(tmp_path / str(number), trials, plan)
        assert {outcome.kind for outcome in record.outcomes} == kinds
        assert len(forecast_in(trials)) == len(known)


def test_trainings_keep_the_order_of_the_seed(tmp_path: Path) -> None:
    grid = grid_of(6, models=5)
    for seed in range(3):
        trials = PlantedTrials(grid, seed=6)
        plan = plan_of(grid, LIMITS, seed=seed)
        record = search(tmp_path / str(seed), trials, plan)
        order = [
            f"{model}-{size}px" for model, size in Halving(plan.networks, plan.sizes, seed, 2).order
        ]
        assert [f"{outcome.model}-{outcome.image_size}px" for outcome in record.outcomes] == order
        out = {
            f"{outcome.model}-{outcome.image_size}px"
            for outcome in record.outcomes
            if outcome.kind == "ruled out"
        }
        contenders = [name for name in order if name not in out]
        trained = [name for kind, name in trials.steps if kind == "train"]
        assert trained[: len(contenders)] == contenders


def test_the_pages_show_no_figure_of_another_size_as_its_own(tmp_path: Path) -> None:
    grid = {
        "slow-32px": Planted(0.9, 0.5, CLEARLY_OUT),
        "slow-64px": Planted(0.9, 0.5, CLEARLY_OUT),
        "slow-96px": Planted(0.9, 0.5, CLEARLY_OUT),
        "fast-32px": Planted(0.9, 0.5, 0.0031),
        "fast-64px": Planted(0.9, 0.5, 0.0031),
        "fast-96px": Planted(0.9, 0.5, CLEARLY_OUT),
    }
    record = search(tmp_path, PlantedTrials(grid), plan_of(grid, LIMITS, rungs=0))
    count = "2 of 6 candidates were not forecast: the forecast of another image size of the same"
    console = Console(file=io.StringIO(), width=1000)
    page.show(record, console)
    assert isinstance(console.file, io.StringIO)
    for text in (console.file.getvalue(), page.markdown_page(record), page.html_page(record)):
        assert count in text
        assert "not forecast: at 64 px every format is ruled out by at least 10 %" in text
        assert "; not forecast: at 64 px a format keeps the limits, and a smaller image is" in text
    [_, table] = page.markdown_page(record).split("## Forecast of each format")
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    by_candidate = {tuple(row[1:4]): row[5:7] for row in rows if len(row) > 6}
    assert by_candidate["fast", "64", "onnx_int8"] == ["0.62", "possible"]
    assert by_candidate["fast", "32", "onnx_int8"] == ["-", "not forecast"]
    assert by_candidate["slow", "96", "onnx_int8"][0] == "-"
    assert by_candidate["slow", "96", "onnx_int8"][1].startswith("at 64 px: forecast ")


def test_a_page_without_such_candidates_says_nothing_of_them(tmp_path: Path) -> None:
    grid = grid_with(px32=BARELY_OUT, px64=BARELY_OUT)
    record = search(tmp_path, PlantedTrials(grid), plan_of(grid, LIMITS))
    assert "not forecast" not in page.markdown_page(record)
    one = msgspec.structs.replace(
        record,
        outcomes=[
            msgspec.structs.replace(record.outcomes[0], forecast_size=64),
            *record.outcomes[1:],
        ],
    )
    assert "1 of 2 candidates was not forecast" in page.markdown_page(one)


def test_a_record_of_an_earlier_version_names_no_other_size(tmp_path: Path) -> None:
    grid = grid_with(px32=CLEARLY_OUT, px64=CLEARLY_OUT)
    trials = PlantedTrials(grid)
    know(trials, "net-32px")
    search(tmp_path, trials, plan_of(grid, LIMITS))
    content = json.loads((tmp_path / RECORD).read_text())
    assert {outcome.pop("forecast_size") for outcome in content["outcomes"]} == {None, 32}
    (tmp_path / RECORD).write_text(json.dumps(content))
    record = reading.read(tmp_path / RECORD, SearchRecord, (VERSION,))
    assert {outcome.forecast_size for outcome in record.outcomes} == {None}
    again = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert {outcome.forecast_size for outcome in again.outcomes} == {None, 32}


def test_the_margin_is_a_tenth() -> None:
    assert CLEAR_MARGIN == 1.1
