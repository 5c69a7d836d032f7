"""The time that a search keeps while it forecasts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from src.forecast.candidate import Request
from src.forecast.records import Candidate
from src.search.halving import Halving
from src.search.records import Limits
from tests.search.planted import EPOCH_S, EPOCHS, Planted, PlantedTrials, plan_of, search

LIMITS = Limits(latency_s=0.008)
RUNGS = 2
# A first forecast of the start of a command at each rung, the epochs, and the judging, which is
# forecast to take four times as long as a forecast.
FORECAST_S = 100.0
TO_THE_END_S = (RUNGS + 1) * 20 + EPOCHS * EPOCH_S + 4 * FORECAST_S


def grid_of_equals(count: int) -> dict[str, Planted]:
    return {f"net{number:02}-32px": Planted(0.95, 1.0, 0.01) for number in range(count)}


def forecasts(trials: PlantedTrials) -> int:
    return sum(kind == "forecast" for kind, _ in trials.steps)


def test_forecasts_leave_time_for_one_candidate_to_be_trained_and_judged(tmp_path: Path) -> None:
    grid = grid_of_equals(12)
    trials = PlantedTrials(grid, forecast_s=FORECAST_S)
    budget_s = 3 * FORECAST_S + TO_THE_END_S + 50
    record = search(tmp_path, trials, plan_of(grid, LIMITS, budget_s=budget_s, rungs=RUNGS))
    assert forecasts(trials) == 3
    assert record.answer is not None
    assert record.answer.satisfied
    assert trials.now <= budget_s
    late = [outcome for outcome in record.outcomes if "its forecast" in outcome.reason]
    assert len(late) == 9
    assert {outcome.kind for outcome in late} == {"not tried"}
    assert "its forecast, and one candidate's training and judging, was" in late[0].reason


@dataclass
class Costly(PlantedTrials):
    """Steps with a candidate that trains for longer than the budget."""

    costly: str = ""

    def cost(self, request: Request) -> Candidate:
        cost = super().cost(request)
        if request.name != self.costly or cost.training is None:
            return cost
        longer = msgspec.structs.replace(cost.training, images=cost.training.images * 100)
        return msgspec.structs.replace(cost, training=longer)


def test_a_cheaper_candidate_is_sought_while_none_can_be_finished(tmp_path: Path) -> None:
    grid = grid_of_equals(2)
    model, size = Halving(["net00", "net01"], [32], 0, 2).order[0]
    trials = Costly(grid, forecast_s=FORECAST_S, costly=f"{model}-{size}px")
    budget_s = 2 * FORECAST_S + TO_THE_END_S + 50
    record = search(tmp_path, trials, plan_of(grid, LIMITS, budget_s=budget_s, rungs=RUNGS))
    assert forecasts(trials) == 2
    assert {outcome.model: outcome.kind for outcome in record.outcomes}[model] == "not tried"
    assert record.answer is not None


def test_time_is_kept_for_a_further_candidate_where_one_is_judged(tmp_path: Path) -> None:
    grid = grid_of_equals(12)
    trials = PlantedTrials(grid, forecast_s=FORECAST_S)
    one = {"net00-32px": grid["net00-32px"]}
    search(tmp_path, trials, plan_of(one, LIMITS))
    before = len(trials.steps)
    # By the first command a judging takes 100 s. The costs of two more forecasts and one training.
    further = 2 * FORECAST_S + (RUNGS + 1) * 20 + EPOCHS * EPOCH_S + trials.judging_s + 50
    plan = plan_of(grid, LIMITS, budget_s=trials.now + further, rungs=RUNGS)
    search(tmp_path, trials, plan)
    assert {kind for kind, _ in trials.steps[before:]} >= {"forecast", "train"}
