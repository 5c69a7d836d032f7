"""Candidates that train to the first rung before they are forecast, because that is cheaper."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from src.benchmark.statistics.shares import wilson
from src.forecast.candidate import Request
from src.forecast.records import Candidate
from src.run import reading
from src.search import page
from src.search.halving import Halving
from src.search.notebook import RECORD
from src.search.plan import Plan
from src.search.records import VERSION, JudgedFile, Limits, SearchRecord
from src.search.trials import Judged, Trained
from tests.search.planted import (
    EPOCH_S,
    FORMATS,
    TEST_IMAGES,
    Planted,
    PlantedTrials,
    grid_of,
    plan_of,
    search,
)
from tests.search.planted_cluster import PlantedCluster

LIMITS = Limits(latency_s=0.008)
FAST, SLOW = 0.010, 0.200  # seconds of eager: int8 takes 2 ms and 40 ms
# A training to half of its epochs is forecast to take 110 s.
LONG_FORECAST_S, SHORT_FORECAST_S = 200.0, 30.0


def grid_with(*eager_s: float, best: float = 0.95) -> dict[str, Planted]:
    """Return networks by their times of a call, the most accurate first."""
    return {
        f"net{place}-32px": Planted(best - 0.06 * place, 1.0, seconds)
        for place, seconds in enumerate(eager_s)
    }


def steps(trials: PlantedTrials, kind: str) -> list[str]:
    return [name for each, name in trials.steps if each == kind]


def kinds(record: SearchRecord) -> dict[str, str]:
    return {outcome.model: outcome.kind for outcome in record.outcomes}


def reasons(record: SearchRecord) -> dict[str, str]:
    return {outcome.model: outcome.reason for outcome in record.outcomes}


def order(plan: Plan) -> list[str]:
    points = Halving(plan.networks, plan.sizes, plan.seed, plan.reduction).order
    return [f"{model}-{size}px" for model, size in points]


def beginning_with(name: str, grid: dict[str, Planted], **settings: object) -> Plan:
    """Return a plan whose first candidate is the named one."""
    limits = settings.pop("limits", LIMITS)
    assert isinstance(limits, Limits)
    plans = (plan_of(grid, limits, seed=seed, **settings) for seed in range(100))
    return next(plan for plan in plans if order(plan)[0] == name)


def test_a_candidate_below_the_cut_is_never_forecast(tmp_path: Path) -> None:
    grid = grid_with(*[FAST] * 8)
    plan = plan_of(grid, LIMITS, rungs=1)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path, trials, plan)
    first = order(plan)[0]
    best = [f"net{place}-32px" for place in range(4)]
    assert trials.steps[0] == ("forecast", first)
    assert steps(trials, "train")[:8] == order(plan)
    assert [kind for kind, _ in trials.steps[1:9]] == ["train"] * 8
    assert steps(trials, "forecast") == list(dict.fromkeys([first, *best]))
    assert [name for name, kind in kinds(record).items() if kind == "judged"] == [
        name.removesuffix("-32px") for name in order(plan) if name in best
    ]
    for outcome in record.outcomes:
        is_forecast = f"{outcome.model}-32px" in [first, *best]
        assert outcome.without_forecast is not is_forecast
        assert bool(outcome.formats) is is_forecast
    assert "rank 8 of 8; 4 went on" in reasons(record)["net7"]


def test_where_the_first_rung_is_not_cheaper_all_forecasts_come_first(tmp_path: Path) -> None:
    grid = grid_with(*[FAST] * 4, *[SLOW] * 4)
    trials = PlantedTrials(grid, forecast_s=SHORT_FORECAST_S)
    record = search(tmp_path, trials, plan_of(grid, LIMITS, rungs=1))
    assert [kind for kind, _ in trials.steps[:8]] == ["forecast"] * 8
    assert len(set(steps(trials, "train"))) == 4
    assert not any(outcome.without_forecast for outcome in record.outcomes)


@pytest.mark.parametrize(("forecast_s", "is_early"), [(160.0, False), (170.0, True)])
def test_the_margin_decides_which_comes_first(
    tmp_path: Path, forecast_s: float, is_early: bool
) -> None:
    """A start of 20 s and nine epochs of 10 s, times one and a half, are 165 s."""
    grid = grid_with(*[FAST] * 3)
    trials = PlantedTrials(grid, forecast_s=forecast_s)
    search(tmp_path, trials, plan_of(grid, LIMITS, rungs=1))
    assert (trials.steps[1][0] == "train") is is_early


@pytest.mark.parametrize("rungs", [0, 1])
def test_without_a_rung_before_the_end_all_forecasts_come_first(tmp_path: Path, rungs: int) -> None:
    grid = grid_with(*[FAST] * 3)

    class OneEpoch(PlantedTrials):
        def cost(self, request: Request) -> Candidate:
            cost = super().cost(request)
            assert cost.training is not None
            epochs = 18 if rungs == 0 else 1
            training = msgspec.structs.replace(cost.training, epochs=epochs)
            return msgspec.structs.replace(cost, training=training)

        def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
            assert epochs == epoch
            return super().train(request, key, 18, 18) if rungs == 0 else self.short(request)

        def short(self, request: Request) -> Trained:
            self._step("train", request.name, 1.0)
            self.done[request.name] = 18
            return Trained(f"candidates/{request.name}", 1, 0.5)

    trials = OneEpoch(grid, forecast_s=10_000.0)
    record = search(tmp_path, trials, plan_of(grid, LIMITS, rungs=rungs))
    assert [kind for kind, _ in trials.steps[:3]] == ["forecast"] * 3
    assert set(kinds(record).values()) == {"judged"}


def test_candidates_that_are_ruled_out_leave_the_rung_and_take_no_place(tmp_path: Path) -> None:
    grid = grid_with(*[SLOW] * 4, *[FAST] * 4)
    plan = beginning_with("net7-32px", grid, rungs=1)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path / "early", trials, plan)
    eager = PlantedTrials(grid, forecast_s=SHORT_FORECAST_S)
    expected = search(tmp_path / "eager", eager, plan)
    assert kinds(record) == kinds(expected)
    assert record.answer == expected.answer
    assert kinds(record) == {
        **dict.fromkeys(("net0", "net1", "net2", "net3"), "ruled out"),
        **dict.fromkeys(("net4", "net5"), "judged"),
        **dict.fromkeys(("net6", "net7"), "dropped"),
    }
    reason = "the forecast rules out every format; trained to epoch 9 before"
    assert reasons(record)["net0"] == reason
    assert reasons(expected)["net0"] == "the forecast rules out every format"
    assert "rank 3 of 4; 2 went on" in reasons(record)["net6"]
    assert "net6-32px" not in steps(trials, "forecast")


def test_where_no_candidate_keeps_a_limit_none_is_trained(tmp_path: Path) -> None:
    grid = grid_with(*[SLOW] * 6)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    plan = plan_of(grid, LIMITS, rungs=2)
    record = search(tmp_path, trials, plan)
    assert record.answer is None
    assert set(kinds(record).values()) == {"ruled out"}
    assert trials.steps == [("forecast", name) for name in order(plan)]


def test_where_only_one_candidate_keeps_a_limit_it_goes_on_alone(tmp_path: Path) -> None:
    grid = grid_with(*[SLOW] * 5, FAST)
    plan = beginning_with("net5-32px", grid, rungs=2)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path, trials, plan)
    assert kinds(record) == {
        **dict.fromkeys((f"net{place}" for place in range(5)), "ruled out"), "net5": "judged",
    }  # fmt: skip
    assert sorted(steps(trials, "forecast")) == sorted(grid)
    assert {name: epoch for name, epoch in trials.done.items() if epoch > 5} == {"net5-32px": 18}


def test_the_answer_is_not_worse_than_with_all_forecasts_first(tmp_path: Path) -> None:
    """The grids of :mod:`tests.search.test_halving`, against the whole grid and forecasts first."""
    worse, spared = [], 0
    for seed in range(8):
        grid = grid_of(seed)
        plan = plan_of(grid, LIMITS, seed=seed)
        trials = PlantedTrials(grid, seed=seed, forecast_s=LONG_FORECAST_S)
        record = search(tmp_path / f"early-{seed}", trials, plan)
        eager = PlantedTrials(grid, seed=seed, forecast_s=SHORT_FORECAST_S)
        expected = search(tmp_path / f"eager-{seed}", eager, plan)
        assert record.answer is not None
        assert expected.answer is not None
        assert record.answer.satisfied
        name, other = (each.answer.folder.split("/")[1] for each in (record, expected))
        best = max(
            (each for each, planted in grid.items() if planted.eager_s * 0.2 * 1.03 < 0.008),
            key=trials.test_top1,
        )
        assert grid[best].final - grid[name].final < 0.02
        assert grid[other].final - grid[name].final < 0.02
        one, two = trials.test_top1(best), trials.test_top1(name)
        if one - two > math.hypot(
            one - wilson(one, TEST_IMAGES)[0], wilson(two, TEST_IMAGES)[1] - two
        ):
            worse.append(seed)
        judged, of_eager = (
            {outcome.name for outcome in each.outcomes if outcome.kind == "judged"}
            for each in (record, expected)
        )
        assert len(judged) >= len(of_eager)
        spared += len(steps(eager, "forecast")) - len(steps(trials, "forecast"))
    assert len(worse) <= 1
    assert spared > 0


def test_a_known_forecast_costs_nothing_and_decides_before_the_training(tmp_path: Path) -> None:
    grid = grid_with(*[SLOW] * 2, *[FAST] * 2)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    trials.steps = [("forecast", name) for name in grid]
    search(tmp_path, trials, plan_of(grid, LIMITS, rungs=1))
    assert len(steps(trials, "forecast")) == len(grid)
    assert set(steps(trials, "train")) == {"net2-32px", "net3-32px"}


def test_of_equals_a_known_latency_goes_first_and_then_the_order(tmp_path: Path) -> None:
    class Equal(PlantedTrials):
        def curve(self, name: str) -> list[float]:
            return [0.9] * 18

    # The first of the order is known, and slower than those that are not.
    grid = {f"net{place}-32px": Planted(0.9, 1.0, 0.030 - place * 1e-3) for place in range(6)}
    plan = beginning_with("net0-32px", grid, rungs=1)
    trials = Equal(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path, trials, plan)
    assert steps(trials, "forecast") == order(plan)[:3]
    assert [outcome.kind for outcome in record.outcomes] == ["judged"] * 3 + ["dropped"] * 3


@dataclass
class Changed(PlantedTrials):
    """Steps whose forecasts are changed for some candidates."""

    changes: dict[str, Callable[[Candidate], Candidate]] = field(default_factory=dict)

    def cost(self, request: Request) -> Candidate:
        return self.changes.get(request.name, lambda same: same)(super().cost(request))


def test_a_forecast_that_fails_after_the_rung_costs_no_other_candidate(tmp_path: Path) -> None:
    grid = grid_with(*[FAST] * 5)
    plan = beginning_with("net4-32px", grid, rungs=1)

    def fails(cost: Candidate) -> Candidate:
        return msgspec.structs.replace(cost, status="failed", reason="planted", files=[])

    trials = Changed(grid, forecast_s=LONG_FORECAST_S, changes={"net0-32px": fails})
    record = search(tmp_path, trials, plan)
    assert kinds(record) == {
        "net0": "failed", "net1": "judged", "net2": "judged", "net3": "dropped", "net4": "dropped",
    }  # fmt: skip
    assert reasons(record)["net0"] == "planted; trained to epoch 9 before"
    assert record.spent.total == pytest.approx(trials.now)


def test_a_first_forecast_that_fails_is_followed_by_another_one(tmp_path: Path) -> None:
    grid = grid_with(*[FAST] * 4)
    plan = plan_of(grid, LIMITS, rungs=1)
    first, second, *_ = order(plan)

    def fails(cost: Candidate) -> Candidate:
        return msgspec.structs.replace(cost, status="failed", reason="planted", training=None)

    trials = Changed(grid, forecast_s=LONG_FORECAST_S, changes={first: fails})
    record = search(tmp_path, trials, plan)
    assert trials.steps[:2] == [("forecast", first), ("forecast", second)]
    assert trials.steps[2][0] == "train"
    assert kinds(record)[first.removesuffix("-32px")] == "failed"


@pytest.mark.parametrize("limits", [Limits(), Limits(top1=0.5)])
def test_without_a_limit_that_a_forecast_can_break_one_forecast_is_enough(
    tmp_path: Path, limits: Limits
) -> None:
    grid = grid_with(*[FAST] * 6)
    plan = plan_of(grid, limits, rungs=1)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path, trials, plan)
    assert steps(trials, "forecast") == order(plan)[:1]
    assert list(kinds(record).values()).count("judged") == 3
    assert record.answer is not None
    assert record.answer.folder.startswith("candidates/net0-32px/")
    for entry in record.measured:
        if entry.files:
            assert {file.format for file in entry.files} == set(FORMATS)
    by_model = {outcome.model: outcome for outcome in record.outcomes}
    if not order(plan)[0].startswith("net0"):
        assert by_model["net0"].without_forecast
        assert {(entry.p50_s, entry.reason) for entry in by_model["net0"].formats} == {(None, None)}


def test_a_size_that_another_one_decides_is_not_forecast_at_the_rung_either(tmp_path: Path) -> None:
    # The smaller size is more accurate, and the larger one leaves it possible.
    grid = {"poor-32px": Planted(0.5, 1.0, FAST), "poor-64px": Planted(0.5, 1.0, FAST)}
    grid |= {"good-32px": Planted(0.95, 1.0, FAST), "good-64px": Planted(0.9, 1.0, FAST)}
    grid |= {"bad-32px": Planted(0.8, 1.0, SLOW), "bad-64px": Planted(0.99, 1.0, SLOW)}
    plan = next(
        plan
        for plan in (plan_of(grid, LIMITS, rungs=1, seed=seed) for seed in range(100))
        if order(plan)[0].startswith("poor")
    )
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path, trials, plan)
    assert steps(trials, "forecast") == ["poor-64px", "bad-64px", "good-64px", "bad-32px"]
    decided = {outcome.name: (outcome.kind, outcome.forecast_size) for outcome in record.outcomes}
    assert decided == {
        "poor at 32 px": ("dropped", 64),
        "poor at 64 px": ("dropped", None),
        "good at 32 px": ("judged", 64),
        "good at 64 px": ("judged", None),
        "bad at 32 px": ("ruled out", None),
        "bad at 64 px": ("ruled out", None),
    }


@dataclass
class SlowToTrain(PlantedTrials):
    """Steps of which one training takes long, as its forecast would have shown."""

    slow: str = ""

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        self.now += 900.0 if request.name == self.slow else 0.0
        return super().train(request, key, epoch, epochs)


def test_after_a_training_that_took_long_the_others_are_forecast_first(tmp_path: Path) -> None:
    grid = grid_with(*[SLOW] * 3, *[FAST] * 3)
    plan = beginning_with("net3-32px", grid, rungs=1)
    names = order(plan)
    trials = SlowToTrain(grid, forecast_s=LONG_FORECAST_S, slow=names[2])
    record = search(tmp_path, trials, plan)
    assert trials.steps[0] == ("forecast", names[0])
    before = trials.steps.index(("train", names[2]))
    assert trials.steps[before + 1 : before + 4] == [("forecast", name) for name in names[3:]]
    for name in names[3:]:
        is_slow = grid[name].eager_s == SLOW
        assert (name in trials.done) is not is_slow
    assert list(kinds(record).values()).count("ruled out") == 3


def test_a_size_that_is_larger_than_all_known_ones_counts_with_its_pixels(tmp_path: Path) -> None:
    grid = {
        f"net{model}-{size}px": Planted(0.9, 1.0, FAST * size / 32)
        for model in range(3)
        for size in (32, 64, 256)
    }
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    plan = plan_of(grid, Limits(latency_s=0.0042), rungs=1)
    search(tmp_path, trials, plan)
    network = order(plan)[0].partition("-")[0]
    # Nine epochs at 256 px would take 16 times those at 64 px. At 32 px they take no longer.
    assert trials.steps[:2] == [("forecast", f"{network}-{size}px") for size in (64, 256)]
    assert trials.steps[2][0] == "train"


@dataclass
class TwoLengths(PlantedTrials):
    """Steps of networks whose own configurations have other numbers of epochs."""

    whole: dict[str, int] = field(default_factory=dict)

    def cost(self, request: Request) -> Candidate:
        cost = super().cost(request)
        assert cost.training is not None
        training = msgspec.structs.replace(cost.training, epochs=self.whole[request.name])
        return msgspec.structs.replace(cost, training=training)

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        name, done = request.name, self.done.get(request.name, 0)
        epoch = min(epoch, self.whole[name])
        self._step("train", name, self.start_s + max(0, epoch - done) * EPOCH_S)
        self.done[name] = max(done, epoch)
        run = f"candidates/{name}"
        return Trained(run, epoch, self.top1(name, epoch), self.whole[name])

    def judge(self, run: str, formats: Sequence[str]) -> Judged:
        name = Path(run).name
        assert self.done[name] == self.whole[name]
        self.done[name] = 18
        made = super().judge(run, formats)
        self.done[name] = self.whole[name]
        return made


@pytest.mark.parametrize(("others", "rung"), [(36, 18), (6, 3)])
@pytest.mark.parametrize("dies_after", [None, *range(1, 9)])
def test_a_network_with_other_epochs_is_compared_at_the_share_of_its_own(
    tmp_path: Path, others: int, rung: int, dies_after: int | None
) -> None:
    grid = grid_with(*[FAST] * 4)
    plan = beginning_with("net0-32px", grid, rungs=1)
    whole = {name: 18 if name == "net0-32px" else others for name in grid}
    trials = TwoLengths(grid, forecast_s=1000.0, whole=whole, dies_after=dies_after)
    if dies_after is not None:
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path, trials, plan)
        trials.dies_after = None
    record = search(tmp_path, trials, plan)
    assert kinds(record) == {
        "net0": "judged", "net1": "judged", "net2": "dropped", "net3": "dropped",
    }  # fmt: skip
    assert f"after epoch {rung} of {others}: " in reasons(record)["net3"]
    assert {entry.model: entry.whole_epochs for entry in record.measured} == {
        name.removesuffix("-32px"): epochs for name, epochs in whole.items()
    }


@dataclass
class SlowerThanForecast(PlantedTrials):
    """Steps with candidates whose files are slower than in their forecasts."""

    slower: tuple[str, ...] = ()

    def file(self, name: str, format_: str) -> JudgedFile:
        made = super().file(name, format_)
        assert made.latency is not None
        factor = 20 if name in self.slower else 1
        latency = msgspec.structs.replace(
            made.latency,
            value=made.latency.value * factor,
            low=made.latency.low * factor,
            high=made.latency.high * factor,
        )
        return msgspec.structs.replace(made, latency=latency)


def test_a_dropped_candidate_is_forecast_before_it_is_trained_to_its_end(tmp_path: Path) -> None:
    grid = grid_with(FAST, SLOW, FAST, FAST)
    plan = beginning_with("net0-32px", grid, rungs=1, reduction=4)
    trials = SlowerThanForecast(grid, forecast_s=LONG_FORECAST_S, slower=("net0-32px",))
    record = search(tmp_path, trials, plan)
    assert kinds(record) == {
        "net0": "judged", "net1": "ruled out", "net2": "judged", "net3": "dropped",
    }  # fmt: skip
    assert steps(trials, "forecast") == ["net0-32px", "net1-32px", "net2-32px"]
    assert steps(trials, "judge") == ["net0-32px", "net2-32px"]
    assert trials.done["net1-32px"] < 18
    assert record.answer is not None
    assert record.answer.satisfied
    late = {entry.model for entry in record.measured if entry.late_forecast}
    assert late == {"net1", "net2"}


def test_a_late_forecast_is_not_measured_again_with_other_limits(tmp_path: Path) -> None:
    trials, plan = fresh("several taken up")
    record = search(tmp_path, trials, plan)
    late = {entry.model for entry in record.measured if entry.late_forecast}
    assert {kinds(record)[model] for model in late} == {"ruled out", "judged"}
    before = steps(trials, "forecast")
    for limits in (Limits(latency_s=0.05), Limits(latency_s=0.001), Limits(size_bytes=10**9)):
        search(tmp_path, trials, plan_of(trials.grid, limits, rungs=1, reduction=4))
        after = steps(trials, "forecast")
        assert after[: len(before)] == before
        assert len(after) == len(set(after))


def test_without_time_left_a_late_forecast_decides_as_it_did(tmp_path: Path) -> None:
    trials, plan = fresh("several taken up")
    record = search(tmp_path, trials, plan)
    before = list(trials.steps)
    again = search(tmp_path, trials, dataclasses.replace(plan, budget_s=trials.now))
    assert again.outcomes == record.outcomes
    assert again.answer == record.answer
    assert trials.steps == before


def test_a_late_forecast_whose_training_is_gone_decides_first(tmp_path: Path) -> None:
    trials, plan = fresh("several taken up")
    record = search(tmp_path, trials, plan)
    [ruled_out, *_] = [model for model, kind in kinds(record).items() if kind == "ruled out"]
    trials.removed.add(f"{ruled_out}-32px")
    before = list(trials.steps)
    again = search(tmp_path, trials, plan)
    assert reasons(again)[ruled_out] == "the forecast rules out every format"
    assert trials.steps == before


@pytest.mark.parametrize("share", [0.2, 0.45, 0.6, 0.9])
@pytest.mark.parametrize("seed", range(3))
def test_a_budget_is_kept_and_leaves_time_for_a_forecast_and_an_answer(
    tmp_path: Path, share: float, seed: int
) -> None:
    grid = grid_of(seed)
    whole = PlantedTrials(grid, seed=seed, forecast_s=LONG_FORECAST_S)
    search(tmp_path / "whole", whole, plan_of(grid, LIMITS))
    budget_s = share * whole.now
    trials = PlantedTrials(grid, seed=seed, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path / "bounded", trials, plan_of(grid, LIMITS, budget_s=budget_s))
    assert trials.now <= budget_s
    assert record.spent.total == pytest.approx(trials.now)
    late = [outcome for outcome in record.outcomes if outcome.kind in {"not tried", "stopped"}]
    assert late
    assert all("out of time" in outcome.reason for outcome in late)
    assert len(record.outcomes) == len(grid)
    assert (record.answer is not None) is (share > 0.2)


# Trainings of four candidates to the only rung, the end of one of them with its start, and its
# judging, which is taken for four times as long as a forecast.
TO_THE_RUNG_S, END_S = 4 * 95, 20 + 90 + 4 * LONG_FORECAST_S


def test_time_is_kept_for_one_forecast_and_none_for_a_second_one(tmp_path: Path) -> None:
    """All four could train to the rung, but then none of the open ones could be forecast."""
    grid = grid_with(*[FAST] * 4)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    budget_s = LONG_FORECAST_S + TO_THE_RUNG_S + END_S + 150
    plan = beginning_with("net3-32px", grid, rungs=1, budget_s=budget_s)
    record = search(tmp_path, trials, plan)
    first, *trained, last = order(plan)
    best, other = sorted(trained)  # the most accurate first
    assert steps(trials, "train")[:3] == [first, *trained]
    assert steps(trials, "forecast") == [first, best]
    by_name = {f"{model}-32px": kind for model, kind in kinds(record).items()}
    assert by_name == {first: "dropped", best: "judged", other: "stopped", last: "not tried"}
    reason = reasons(record)[other.removesuffix("-32px")]
    assert "out of time: its forecast, and one candidate's training" in reason
    assert trials.now <= budget_s


def test_no_time_is_kept_for_forecasts_that_can_rule_nothing_out(tmp_path: Path) -> None:
    grid = grid_with(*[FAST] * 4)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    budget_s = LONG_FORECAST_S + TO_THE_RUNG_S + END_S + 150
    plan = beginning_with("net3-32px", grid, rungs=1, budget_s=budget_s, limits=Limits())
    record = search(tmp_path, trials, plan)
    assert set(trials.done) == set(grid)
    assert steps(trials, "forecast") == ["net3-32px"]
    assert kinds(record)["net0"] == "judged"


SCENARIOS: dict[str, tuple[PlantedTrials, dict[str, object]]] = {
    "feasible": (PlantedTrials(grid_with(*[FAST] * 6)), {"rungs": 1}),
    "slow on top": (PlantedTrials(grid_with(*[SLOW] * 3, *[FAST] * 4)), {"rungs": 2}),
    "one feasible": (PlantedTrials(grid_with(*[SLOW] * 5, FAST)), {"rungs": 2}),
    "no limit": (PlantedTrials(grid_with(*[FAST] * 6)), {"rungs": 1, "limits": Limits()}),
    "sizes": (PlantedTrials(grid_of(5, models=4), seed=5), {"rungs": 2, "seed": 5}),
    "more sizes": (PlantedTrials(grid_of(2), seed=2), {"rungs": 2, "reduction": 3}),
    "a long training": (SlowToTrain(grid_with(*[FAST] * 4, *[SLOW] * 3)), {"rungs": 1}),
    "taken up again": (
        SlowerThanForecast(grid_with(FAST, SLOW, FAST, SLOW, FAST), slower=("net0-32px",)),
        {"rungs": 1, "reduction": 5},
    ),
    "several taken up": (
        SlowerThanForecast(
            grid_with(FAST, FAST, SLOW, FAST, SLOW, FAST, FAST),
            slower=("net0-32px", "net1-32px", "net3-32px"),
        ),
        {"rungs": 1, "reduction": 4, "first": "net0-32px"},
    ),
    "sizes taken up": (
        SlowerThanForecast(
            {
                f"net{model}-{size}px": Planted(0.95 - 0.08 * model - size / 6400, 1.0, seconds)
                for model, seconds in enumerate((FAST, SLOW, FAST, SLOW))
                for size in (32, 64)
            },
            slower=("net0-32px", "net0-64px"),
        ),
        {"rungs": 1, "reduction": 4, "first": "net0-64px"},
    ),
    # The second is better at the rung and worse at the end than the third, which keeps the limit.
    "crossing curves": (
        SlowerThanForecast(
            {
                "net0-32px": Planted(0.95, 1.0, FAST),
                "net1-32px": Planted(0.80, 1.0, FAST),
                "net2-32px": Planted(0.90, 0.15, FAST),
                "net3-32px": Planted(0.30, 1.0, FAST),
            },
            slower=("net0-32px", "net1-32px"),
        ),
        {"rungs": 1, "reduction": 4, "first": "net0-32px"},
    ),
}


def fresh(name: str) -> tuple[PlantedTrials, Plan]:
    """Return the steps of a scenario from their beginning, and its plan."""
    planted, settings = SCENARIOS[name]
    options = dict(settings)
    limits = options.pop("limits", LIMITS)
    assert isinstance(limits, Limits)
    first = options.pop("first", None)
    plan = (
        beginning_with(str(first), planted.grid, limits=limits, **options)
        if first
        else plan_of(planted.grid, limits, **options)
    )
    trials = type(planted)(planted.grid, seed=planted.seed, forecast_s=LONG_FORECAST_S)
    if isinstance(trials, SlowToTrain):
        trials.slow = order(plan)[2]
    if isinstance(trials, SlowerThanForecast):
        assert isinstance(planted, SlowerThanForecast)
        trials.slower = planted.slower
    return trials, plan


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_search_that_is_killed_after_any_step_comes_to_the_same_record(
    tmp_path: Path, name: str
) -> None:
    whole, plan = fresh(name)
    expected = search(tmp_path / "whole", whole, plan)
    if name in {"feasible", "slow on top", "no limit", "sizes", "more sizes"}:
        assert {outcome.without_forecast for outcome in expected.outcomes} == {True, False}
    for step in range(len(whole.steps)):
        trials, _ = fresh(name)
        trials.dies_after = step
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / str(step), trials, plan)
        trials.dies_after = None
        record = search(tmp_path / str(step), trials, plan)
        assert kinds(record) == kinds(expected)
        assert record.answer == expected.answer
        assert trials.steps == whole.steps
        assert record.outcomes == expected.outcomes


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_search_that_is_killed_after_each_step_comes_to_the_same_record(
    tmp_path: Path, name: str
) -> None:
    whole, plan = fresh(name)
    expected = search(tmp_path / "whole", whole, plan)
    trials, _ = fresh(name)
    for _ in range(len(whole.steps) + 1):
        trials.dies_after = len(trials.steps) + 1
        try:
            record = search(tmp_path / "killed", trials, plan)
            break
        except KeyboardInterrupt:
            continue
    assert record.outcomes == expected.outcomes
    assert record.answer == expected.answer
    assert trials.steps == whole.steps
    again = search(tmp_path / "killed", trials, plan)
    assert (again.outcomes, again.answer) == (record.outcomes, record.answer)
    assert trials.steps == whole.steps


@dataclass
class Watching(PlantedTrials):
    """Steps that see if machines are connected while a forecast measures."""

    cluster: PlantedCluster | None = None

    def forecast(self, request: Request) -> Candidate:
        assert self.cluster is not None
        assert not self.cluster.is_connected
        return super().forecast(request)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("machines", [1, 3, 30])
def test_several_machines_train_early_as_one_does(tmp_path: Path, seed: int, machines: int) -> None:
    grid = grid_of(seed)
    plan = plan_of(grid, LIMITS, seed=seed)
    one = PlantedTrials(grid, seed=seed, forecast_s=LONG_FORECAST_S)
    alone = search(tmp_path / "alone", one, plan)
    trials = Watching(grid, seed=seed, forecast_s=LONG_FORECAST_S)
    trials.cluster = PlantedCluster(trials, machines)
    record = search(tmp_path / "spread", trials, plan, trials.cluster.engine())
    assert any(outcome.without_forecast for outcome in record.outcomes)
    assert record.outcomes == alone.outcomes
    assert record.answer == alone.answer
    assert steps(trials, "forecast") == steps(one, "forecast")
    assert record.spent.total == pytest.approx(trials.now)


def test_the_certificate_says_which_candidates_were_not_forecast(tmp_path: Path) -> None:
    grid = grid_with(*[SLOW] * 2, *[FAST] * 4)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path, trials, beginning_with("net2-32px", grid, rungs=1))
    assert kinds(record)["net5"] == "dropped"
    console = Console(file=io.StringIO(), width=1000)
    page.show(record, console)
    assert isinstance(console.file, io.StringIO)
    for text in (console.file.getvalue(), page.markdown_page(record), page.html_page(record)):
        assert "2 of 6 candidates were not forecast: no forecast was due until the decision" in text
        assert "the forecast rules out every format; trained to epoch 9 before" in text
        assert "; not forecast" in text
    assert page.markdown_page(record).count("; not forecast") == 2
    [_, table] = page.markdown_page(record).split("## Forecast of each format")
    assert "net5" not in table
    assert "net2" in table


def test_the_certificate_calls_no_format_possible_that_was_not_forecast(tmp_path: Path) -> None:
    grid = grid_with(*[FAST] * 4)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    record = search(tmp_path, trials, beginning_with("net3-32px", grid, rungs=1, limits=Limits()))
    [_, table] = page.markdown_page(record).split("## Forecast of each format")
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines()]
    says = {(row[1], row[3]): row[5:7] for row in rows if len(row) > 6}
    assert says["net0", "onnx_int8"] == ["-", "not forecast"]
    assert says["net3", "onnx_int8"] == ["2.00", "possible"]


def test_a_record_of_an_earlier_version_has_forecasts_only(tmp_path: Path) -> None:
    grid = grid_with(*[FAST] * 4)
    trials = PlantedTrials(grid, forecast_s=LONG_FORECAST_S)
    first = search(tmp_path, trials, plan_of(grid, LIMITS, rungs=1))
    content = json.loads((tmp_path / RECORD).read_text())
    for entry in content["measured"]:
        entry.pop("whole_epochs")
        entry.pop("late_forecast", None)
    for outcome in content["outcomes"]:
        outcome.pop("without_forecast", None)
    (tmp_path / RECORD).write_text(json.dumps(content))
    record = reading.read(tmp_path / RECORD, SearchRecord, (VERSION,))
    assert not any(outcome.without_forecast for outcome in record.outcomes)
    before = len(trials.steps)
    again = search(tmp_path, trials, plan_of(grid, LIMITS, rungs=1))
    assert again.outcomes == first.outcomes
    assert len(trials.steps) == before


@pytest.mark.parametrize("reduction", [2, 3])
def test_the_preview_of_a_rung_is_its_decision(reduction: int) -> None:
    chance = random.Random(0)
    models = [f"net{number:02}" for number in range(13)]
    for _ in range(20):
        halving = Halving(models, [None], 0, reduction)
        figures = {
            point: (chance.randrange(6) / 10, chance.randrange(3) / 1000) for point in halving.order
        }
        for point, (top1, latency_s) in figures.items():
            halving.report(point, 0, top1, latency_s)
        decisions = halving.decide(figures, 0)
        going = halving.would_go_on(figures)
        assert set(going) == {point for point in figures if decisions[point].goes_on}
        ranks = [decisions[point].rank for point in going]
        assert ranks == sorted(ranks)
    assert halving.would_go_on({}) == []
