"""The search on planted grids: its answer, its cost, its limits, budget and resumption."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import optuna
import pytest

from src.benchmark.statistics.shares import wilson
from src.errors import UsageError
from src.search.halving import Halving, kept_of, rung_epochs
from src.search.notebook import RECORD
from src.search.records import Limits, SearchRecord
from tests.search.planted import (
    EPOCHS,
    FORMATS,
    SPEED,
    TEST_IMAGES,
    Planted,
    PlantedTrials,
    grid_of,
    plan_of,
    search,
)

LIMITS = Limits(latency_s=0.008)


def allowed(grid: dict[str, Planted], limits: Limits) -> list[str]:
    """Return the candidates with a file whose whole measured interval is under the limit."""
    assert limits.latency_s is not None
    return [
        name
        for name, planted in grid.items()
        if min(SPEED.values()) * planted.eager_s * 1.03 < limits.latency_s
    ]


def chosen(record: SearchRecord) -> str:
    assert record.answer is not None
    return record.answer.folder.split("/")[1]


def test_the_answer_is_rarely_measurably_worse_than_that_of_the_whole_grid(tmp_path: Path) -> None:
    """Eight grids of 24. A rung may drop a network that learns late: one answer may be worse."""
    worse, shares = [], []
    for seed in range(8):
        grid = grid_of(seed)
        trials = PlantedTrials(grid, seed=seed)
        record = search(tmp_path / str(seed), trials, plan_of(grid, LIMITS, seed=seed))
        assert record.answer is not None
        assert record.answer.satisfied
        within = allowed(grid, LIMITS)
        best, name = max(within, key=trials.test_top1), chosen(record)
        assert grid[best].final - grid[name].final < 0.02
        # Newcombe's interval of the difference of two shares.
        one, other = trials.test_top1(best), trials.test_top1(name)
        low_one, _ = wilson(one, TEST_IMAGES)
        _, high_other = wilson(other, TEST_IMAGES)
        if one - other > math.hypot(one - low_one, high_other - other):
            worse.append(seed)
        shares.append(trials.trained_epochs / (len(within) * EPOCHS))
    assert len(worse) <= 1
    assert sum(shares) / len(shares) < 0.6


def test_a_grid_without_rungs_trains_everything_that_is_not_ruled_out(tmp_path: Path) -> None:
    grid = grid_of(3)
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS, rungs=0))
    judged = [outcome.key for outcome in record.outcomes if outcome.kind == "judged"]
    ruled_out = [outcome for outcome in record.outcomes if outcome.kind == "ruled out"]
    assert len(judged) + len(ruled_out) == len(grid)
    assert ruled_out
    assert trials.trained_epochs == EPOCHS * len(judged)


def test_what_the_forecast_rules_out_is_never_trained_and_has_its_figures(tmp_path: Path) -> None:
    grid = {
        "fast-32px": Planted(0.9, 0.5, eager_s=0.010),
        "slow-32px": Planted(0.99, 0.5, eager_s=0.100),
    }
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert ("train", "slow-32px") not in trials.steps
    by_model = {outcome.model: outcome for outcome in record.outcomes}
    assert by_model["slow"].kind == "ruled out"
    reasons = {entry.format: entry.reason for entry in by_model["slow"].formats}
    assert reasons["onnx_fp32"] == "forecast 38 to 42 ms, wholly over 8 ms"
    assert set(reasons) == set(FORMATS)
    possible = {entry.format for entry in by_model["fast"].formats if not entry.reason}
    assert possible == {"onnx_fp32", "onnx_int8"}
    measured = {entry.model: entry for entry in record.measured}
    assert {file.format for file in measured["fast"].files} == possible


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        (Limits(size_bytes=20_000_000), {"small", "large"}),
        (Limits(size_bytes=9_000_000), {"small"}),
        (Limits(), {"small", "large"}),
    ],
)
def test_a_limit_of_size_rules_out_as_well(tmp_path: Path, limits: Limits, left: set[str]) -> None:
    grid = {
        "small-32px": Planted(0.9, 0.5, 0.01, size_bytes=5_000_000),
        "large-32px": Planted(0.95, 0.5, 0.01, size_bytes=10_000_000),
    }
    trials = PlantedTrials(grid)
    search(tmp_path, trials, plan_of(grid, limits, reduction=2, rungs=1))
    assert {name.partition("-")[0] for kind, name in trials.steps if kind == "train"} == left


def test_a_killed_search_goes_on_and_repeats_no_step(tmp_path: Path) -> None:
    grid = grid_of(5)
    plan = plan_of(grid, LIMITS, seed=5)
    whole = PlantedTrials(grid, seed=5)
    expected = search(tmp_path / "whole", whole, plan)
    trials = PlantedTrials(grid, seed=5)
    commands = 0
    while True:
        commands += 1
        trials.dies_after = len(trials.steps) + 9
        try:
            record = search(tmp_path / "killed", trials, plan)
            break
        except KeyboardInterrupt:
            partial = json.loads((tmp_path / "killed" / RECORD).read_text())
            assert partial["finished"] is False
    assert commands > 3
    assert record.answer == expected.answer
    assert record.outcomes == expected.outcomes
    assert trials.steps == whole.steps
    assert trials.trained_epochs == whole.trained_epochs


def test_other_limits_use_what_was_measured(tmp_path: Path) -> None:
    grid = grid_of(7)
    trials = PlantedTrials(grid, seed=7)
    search(tmp_path, trials, plan_of(grid, LIMITS))
    before = len(trials.steps)
    again = search(tmp_path, trials, plan_of(grid, Limits(latency_s=0.008, top1=0.5)))
    assert len(trials.steps) == before
    assert again.answer is not None
    assert again.answer.accuracy == "pass"


@pytest.mark.parametrize("share", [0.02, 0.45, 0.6, 0.9])
def test_a_budget_is_kept_and_what_was_not_tried_is_listed(tmp_path: Path, share: float) -> None:
    grid = grid_of(2)
    whole = PlantedTrials(grid, seed=2, forecast_s=25.0)
    search(tmp_path / "whole", whole, plan_of(grid, LIMITS))
    budget_s = share * whole.now
    trials = PlantedTrials(grid, seed=2, forecast_s=25.0)
    record = search(tmp_path / "bounded", trials, plan_of(grid, LIMITS, budget_s=budget_s))
    assert trials.now <= budget_s
    assert record.spent.total == pytest.approx(trials.now)
    late = [outcome for outcome in record.outcomes if outcome.kind in {"not tried", "stopped"}]
    assert late
    assert all("out of time" in outcome.reason for outcome in late)
    assert len(record.outcomes) == len(grid)
    # 2 % is not enough for the forecasts; 45 % is enough for a whole training with its judging.
    assert (record.answer is not None) is (share > 0.02)


def test_the_time_of_earlier_commands_counts(tmp_path: Path) -> None:
    grid = grid_of(2)
    trials = PlantedTrials(grid, seed=2)
    first = search(tmp_path, trials, plan_of(grid, LIMITS, budget_s=1500))
    spent = trials.now
    again = search(tmp_path, trials, plan_of(grid, LIMITS, budget_s=1500))
    assert trials.now == spent
    assert first.answer is not None
    assert again.answer == first.answer
    search(tmp_path, trials, plan_of(grid, LIMITS, budget_s=2500))
    assert spent < trials.now <= 2500


def test_the_time_of_a_failed_step_counts(tmp_path: Path) -> None:
    grid = {"a-32px": Planted(0.9, 0.5, 0.01, judging_fails=True)}
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert record.spent.lost_s == trials.judging_s
    assert record.spent.total == trials.now


def test_a_candidate_whose_folder_is_gone_is_trained_again(tmp_path: Path) -> None:
    grid = {"a-32px": Planted(0.9, 0.5, 0.001), "b-32px": Planted(0.95, 0.5, 0.001)}
    trials = PlantedTrials(grid)
    first = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert first.answer is not None
    gone = Path(first.answer.folder).parts[1]
    trials.removed, trials.steps, trials.done = {gone}, [], {}
    again = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert {name for kind, name in trials.steps if kind == "train"} == {gone}
    assert again.answer == first.answer


def test_rungs_at_the_same_epoch_drop_candidates_once(tmp_path: Path) -> None:
    grid = grid_of(2)
    record = search(tmp_path, PlantedTrials(grid, seed=2), plan_of(grid, LIMITS, rungs=20))
    in_first_rung = [
        outcome for outcome in record.outcomes if outcome.kind not in {"ruled out", "failed"}
    ]
    dropped = [
        outcome for outcome in in_first_rung if outcome.reason.startswith("after epoch 1 of ")
    ]
    assert len(dropped) == len(in_first_rung) // 2


def test_without_a_file_within_the_limits_the_nearest_is_named(tmp_path: Path) -> None:
    # The forecast holds, and the measurement of the trained files does not.
    grid = {"a-32px": Planted(0.9, 0.5, 0.01), "b-32px": Planted(0.95, 0.5, 0.02)}

    class Slower(PlantedTrials):
        def file(self, name: str, format_: str):  # type: ignore[no-untyped-def]
            file = super().file(name, format_)
            assert file.latency
            latency = type(file.latency)(
                value=file.latency.value * 5,
                low=file.latency.low * 5,
                high=file.latency.high * 5,
                processes=5,
            )
            return type(file)(
                **{field: getattr(file, field) for field in file.__struct_fields__}
                | {"latency": latency}
            )

    trials = Slower(grid)
    record = search(tmp_path, trials, plan_of(grid, Limits(latency_s=0.005)))
    assert record.answer is not None
    assert not record.answer.satisfied
    assert record.answer.latency == "exceeds"
    assert "No file is shown to keep every limit" in record.answer.sentence
    assert "wholly over 5 ms" in record.answer.sentence
    # Both were finished, because the first one did not keep the limit.
    assert {name for kind, name in trials.steps if kind == "judge"} == set(grid)
    assert chosen(record) == "a-32px"


@pytest.mark.parametrize(
    ("at_least", "verdict", "satisfied"),
    [(0.90, "pass", True), (0.95, "inconclusive", False), (0.99, "fail", False)],
)
def test_the_accuracy_of_the_chosen_file_is_judged_by_its_interval(
    tmp_path: Path, at_least: float, verdict: str, satisfied: bool
) -> None:
    grid = {"a-32px": Planted(0.95, 1.0, 0.01)}
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, Limits(latency_s=0.005, top1=at_least)))
    assert record.answer is not None
    assert (record.answer.accuracy, record.answer.satisfied) == (verdict, satisfied)
    assert f"{verdict} at {100 * at_least:g} %" in record.answer.sentence


def test_the_test_images_do_not_choose(tmp_path: Path) -> None:
    # By its test images b would win; by its validation images a does.
    grid = {"a-32px": Planted(0.97, 1.0, 0.01), "b-32px": Planted(0.90, 1.0, 0.01)}

    class Lucky(PlantedTrials):
        def test_top1(self, name: str) -> float:
            return 0.93 if name.startswith("a") else 0.99

    record = search(tmp_path, Lucky(grid), plan_of(grid, Limits(), rungs=0))
    assert chosen(record) == "a-32px"


def test_equally_accurate_networks_go_to_the_faster_one(tmp_path: Path) -> None:
    grid = {
        "fast-32px": Planted(0.95, 1.0, 0.01),
        "slow-32px": Planted(0.95, 1.0, 0.02),
        "poor-32px": Planted(0.80, 1.0, 0.001),
    }

    class Equal(PlantedTrials):
        def curve(self, name: str) -> list[float]:
            return [0.8 if name.startswith("poor") else 0.95] * EPOCHS

    for number, settings in enumerate(({"rungs": 0}, {"rungs": 1})):
        folder = tmp_path / str(number)
        record = search(folder, Equal(grid), plan_of(grid, Limits(), **settings))
        assert chosen(record) == "fast-32px"
        assert record.answer is not None
        assert record.answer.format == "onnx_int8"


def test_a_candidate_that_fails_costs_no_other_one(tmp_path: Path) -> None:
    grid = {
        "good-32px": Planted(0.9, 0.5, 0.01),
        "bad-32px": Planted(0.99, 0.5, 0.01, training_fails=True),
        "mute-32px": Planted(0.95, 0.5, 0.01, judging_fails=True),
    }
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    kinds = {outcome.model: outcome.kind for outcome in record.outcomes}
    assert kinds == {"good": "judged", "bad": "failed", "mute": "failed"}
    assert chosen(record) == "good-32px"


def test_a_damaged_record_is_refused_by_name(tmp_path: Path) -> None:
    grid = {"a-32px": Planted(0.9, 0.5, 0.01)}
    (tmp_path / RECORD).write_text('{"schema_version": 1}')
    with pytest.raises(UsageError, match=r"search\.json"):
        search(tmp_path, PlantedTrials(grid), plan_of(grid, LIMITS))


@pytest.mark.parametrize(
    ("epochs", "rungs", "reduction", "expected"),
    [
        (18, 2, 3, [2, 6, 18]),
        (12, 2, 3, [2, 4, 12]),
        (5, 2, 3, [1, 2, 5]),
        (1, 2, 3, [1, 1, 1]),
        (30, 0, 3, [30]),
        (16, 3, 2, [2, 4, 8, 16]),
    ],
)
def test_rungs_are_shares_of_the_whole_training(
    epochs: int, rungs: int, reduction: int, expected: list[int]
) -> None:
    assert rung_epochs(epochs, rungs, reduction) == expected


def test_the_order_of_the_grid_follows_from_the_seed() -> None:
    models, sizes = ["a", "b", "c", "d"], [32, 64]
    orders = [Halving(models, sizes, seed, 3).order for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == [(model, size) for model in models for size in sizes]


@pytest.mark.parametrize("ascending", [True, False])
def test_a_rung_keeps_the_best_in_any_order_of_trials(ascending: bool) -> None:
    """Optuna's own pruner decides as soon as a trial reports, so the order decides."""
    models = [f"net{number:02}" for number in range(12)]
    halving = Halving(models, [None], 0, 3)
    order = sorted(halving.order, reverse=not ascending)
    for point in order:
        halving.report(point, 0, 0.5 + models.index(point[0]) / 100, 0.001)
    decisions = halving.decide(order, 0)
    assert {point[0] for point in order if decisions[point].goes_on} == set(models[-4:])

    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )
    going = 0
    for model, _ in order:
        trial = study.ask()
        trial.report(0.5 + models.index(model) / 100, 1)
        going += not trial.should_prune()
    assert going == (12 if ascending else 1)


@pytest.mark.parametrize(("count", "kept"), [(1, 1), (2, 1), (3, 1), (4, 2), (24, 8)])
def test_at_least_a_third_goes_on(count: int, kept: int) -> None:
    assert kept_of(count, 3) == kept


def test_the_planted_grid_has_what_a_real_one_has() -> None:
    grid = grid_of(0)
    assert len(grid) == 24
    assert 0 < len(allowed(grid, LIMITS)) < 24
    assert len({dataclasses.astuple(planted) for planted in grid.values()}) == 24
