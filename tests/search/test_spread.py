"""Trainings on several machines: the same answer, the time, lost machines and signals."""

from __future__ import annotations

import dataclasses
import itertools
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec
import pytest

from src.errors import LightshipError
from src.forecast.candidate import Request
from src.forecast.records import Candidate
from src.search import page
from src.search.engine import Ended, Retried, Training
from src.search.halving import Halving
from src.search.records import Limits, SearchRecord
from src.system.signals import Stopped
from tests.search.planted import EPOCH_S, Planted, PlantedTrials, grid_of, plan_of, search
from tests.search.planted_cluster import PlantedCluster

LIMITS = Limits(latency_s=0.008)


@pytest.fixture(autouse=True)
def _react_to_ctrl_c() -> Iterator[None]:
    """Stop ignoring Ctrl-C, as a process in the background of a shell does."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


def decisions(record: SearchRecord) -> list[tuple[str, str, str]]:
    return [(outcome.name, outcome.kind, outcome.reason) for outcome in record.outcomes]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("machines", [1, 3, 30])
def test_several_machines_give_the_answer_of_one(tmp_path: Path, seed: int, machines: int) -> None:
    grid = grid_of(seed)
    plan = plan_of(grid, LIMITS, seed=seed)
    alone = search(tmp_path / "alone", PlantedTrials(grid, seed=seed), plan)
    trials = PlantedTrials(grid, seed=seed)
    cluster = PlantedCluster(trials, machines)
    record = search(tmp_path / "spread", trials, plan, cluster.engine())
    assert record.answer == alone.answer
    assert decisions(record) == decisions(alone)
    assert cluster.most == min(machines, cluster.most)
    assert cluster.most > 1 or machines == 1
    for spread, one in zip(record.measured, alone.measured, strict=True):
        assert (spread.key, spread.files) == (one.key, one.files)
        assert [rung.top1 for rung in spread.rungs] == [rung.top1 for rung in one.rungs]
        assert [rung.seconds for rung in spread.rungs] == pytest.approx(
            [rung.seconds for rung in one.rungs]
        )


def test_the_time_of_a_rung_counts_and_each_training_keeps_its_own(tmp_path: Path) -> None:
    grid = grid_of(1)
    trials = PlantedTrials(grid, seed=1)
    record = search(
        tmp_path, trials, plan_of(grid, LIMITS, seed=1), PlantedCluster(trials, 4).engine()
    )
    own = sum(rung.seconds for entry in record.measured for rung in entry.rungs)
    assert record.spent.total == pytest.approx(trials.now)
    assert record.spent.training_s < own / 2
    assert record.spent.training_s >= own / 4
    names = {rung.machine for entry in record.measured for rung in entry.rungs}
    assert names == {f"machine-{number}" for number in range(4)}
    for text in (page.markdown_page(record), page.html_page(record)):
        assert "Trainings by Ray on machine-0, machine-1, machine-2, machine-3." in text
        assert "Forecasts and measurements on one machine (planted)" in text
        assert "(sum of the trainings " in text


def test_one_machine_tells_nothing_of_other_machines(tmp_path: Path) -> None:
    grid = {"a-32px": Planted(0.9, 0.5, 0.01)}
    trials = PlantedTrials(grid)
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert "Trainings by" not in page.markdown_page(record)
    assert all(rung.search_seconds is None for rung in record.measured[0].rungs)


def test_a_record_of_an_earlier_version_has_no_machines(tmp_path: Path) -> None:
    grid = {"a-32px": Planted(0.9, 0.5, 0.01)}
    trials = PlantedTrials(grid)
    search(tmp_path, trials, plan_of(grid, LIMITS))
    file = tmp_path / "search.json"
    raw = msgspec.json.decode(file.read_bytes())
    raw.pop("engine", None)
    for rung in raw["measured"][0]["rungs"]:
        del rung["search_seconds"], rung["machine"]
    file.write_bytes(msgspec.json.encode(raw))
    steps = len(trials.steps)
    record = search(tmp_path, trials, plan_of(grid, LIMITS))
    assert record.answer is not None
    assert len(trials.steps) == steps


def test_trainings_side_by_side_fit_into_a_smaller_budget(tmp_path: Path) -> None:
    grid = {"a-32px": Planted(0.9, 0.5, 0.01), "b-32px": Planted(0.9, 0.4, 0.01)}
    plan = plan_of(grid, LIMITS, rungs=0, budget_s=520.0)
    alone = search(tmp_path / "alone", PlantedTrials(grid), plan)
    assert {outcome.kind for outcome in alone.outcomes} == {"judged", "not tried"}
    trials = PlantedTrials(grid)
    record = search(tmp_path / "spread", trials, plan, PlantedCluster(trials, 2).engine())
    assert [outcome.kind for outcome in record.outcomes] == ["judged", "judged"]
    assert record.spent.total <= 520.0


class Uneven(PlantedTrials):
    """The first candidate's epochs take five times as long as those of the others."""

    def forecast(self, request: Request) -> Candidate:
        made = super().forecast(request)
        if request.model != "long" or made.training is None:
            return made
        training = msgspec.structs.replace(made.training, images=5 * made.training.images)
        return msgspec.structs.replace(made, training=training)


def test_a_short_training_is_not_begun_if_a_long_one_beside_it_uses_up_the_budget(
    tmp_path: Path,
) -> None:
    grid = {"long-32px": Planted(0.9, 0.5, 0.01), "short-32px": Planted(0.9, 0.4, 0.01)}
    plan = plan_of(grid, LIMITS, rungs=0, budget_s=1160.0)
    trials = Uneven(grid)
    cluster = PlantedCluster(trials, 2)
    cluster.epoch_s = {"long-32px": 5 * EPOCH_S}
    for seed in range(20):  # one that begins with the long one
        plan = dataclasses.replace(plan, seed=seed)
        record = search(tmp_path / str(seed), trials, plan, cluster.engine())
        if record.outcomes[0].model == "long":
            break
        trials = Uneven(grid)
        cluster = PlantedCluster(trials, 2)
        cluster.epoch_s = {"long-32px": 5 * EPOCH_S}
    assert [outcome.kind for outcome in record.outcomes] == ["judged", "not tried"]
    assert record.spent.total <= 1160.0


def test_a_lost_machine_is_tried_once_more(tmp_path: Path) -> None:
    grid = grid_of(2, models=2)
    names = sorted(grid)
    trials = PlantedTrials(grid)
    cluster = PlantedCluster(trials, 3)
    cluster.losses = dict.fromkeys(names, 1)
    plan = plan_of(grid, Limits())
    record = search(tmp_path / "spread", trials, plan, cluster.engine())
    alone = search(tmp_path / "alone", PlantedTrials(grid), plan)
    assert record.answer == alone.answer
    assert decisions(record) == decisions(alone)
    assert set(cluster.losses.values()) == {0}
    assert record.spent.total == pytest.approx(trials.now)


def test_a_machine_that_is_lost_twice_costs_its_candidate_only(tmp_path: Path) -> None:
    grid = {
        "good-32px": Planted(0.9, 0.5, 0.01),
        "lost-32px": Planted(0.99, 0.5, 0.01),
        "bad-32px": Planted(0.99, 0.5, 0.01, training_fails=True),
    }
    trials = PlantedTrials(grid)
    cluster = PlantedCluster(trials, 2)
    cluster.losses = {"lost-32px": 2}
    record = search(tmp_path, trials, plan_of(grid, LIMITS), cluster.engine())
    kinds = {outcome.model: outcome.kind for outcome in record.outcomes}
    assert kinds == {"good": "judged", "lost": "failed", "bad": "failed"}
    [reason] = [outcome.reason for outcome in record.outcomes if outcome.model == "lost"]
    assert reason == "lost-32px: its machine was lost twice: the worker died"
    assert record.spent.lost_s > 0
    assert record.spent.total == pytest.approx(trials.now)


def test_ctrl_c_stops_the_trainings_and_the_next_command_goes_on(tmp_path: Path) -> None:
    grid = grid_of(3)
    plan = plan_of(grid, LIMITS, seed=3)
    alone = search(tmp_path / "alone", PlantedTrials(grid, seed=3), plan)
    trials = PlantedTrials(grid, seed=3)
    cluster = PlantedCluster(trials, 3)
    cluster.signals_after = 4
    with pytest.raises(Stopped) as caught:
        search(tmp_path / "spread", trials, plan, cluster.engine())
    assert caught.value.signal == signal.SIGINT
    assert cluster.calls_after_stop == cluster.stopped > 1  # all that ran have ended
    trained = list(trials.done.items())
    assert len(trained) == 4
    record = search(tmp_path / "spread", trials, plan, cluster.engine())
    assert record.answer == alone.answer
    assert decisions(record) == decisions(alone)
    steps = [name for kind, name in trials.steps if kind == "train"]
    assert len(steps) == sum(len(entry.rungs) for entry in record.measured)  # none twice


def test_a_training_that_ends_while_the_others_are_stopped_is_noted(tmp_path: Path) -> None:
    grid = grid_of(3)
    plan = plan_of(grid, LIMITS, seed=3)
    trials = PlantedTrials(grid, seed=3)
    cluster = PlantedCluster(trials, 3)
    cluster.signals_after, cluster.too_late = 4, 1
    with pytest.raises(Stopped):
        search(tmp_path, trials, plan, cluster.engine())
    assert cluster.calls_after_stop == cluster.stopped
    assert len(trials.done) == 5
    record = search(tmp_path, trials, plan, cluster.engine())
    steps = [name for kind, name in trials.steps if kind == "train"]
    assert len(steps) == sum(len(entry.rungs) for entry in record.measured)  # none twice


def test_a_second_ctrl_c_ends_the_wait_for_checkpoints(tmp_path: Path) -> None:
    grid = grid_of(3)
    trials = PlantedTrials(grid, seed=3)
    cluster = PlantedCluster(trials, 3)
    cluster.signals_after, cluster.saves = 2, False
    with pytest.raises(Stopped):
        search(tmp_path, trials, plan_of(grid, LIMITS, seed=3), cluster.engine())
    assert cluster.calls_after_stop == 2


def test_without_a_machine_the_search_ends_and_the_next_command_goes_on(tmp_path: Path) -> None:
    grid = grid_of(3)
    plan = plan_of(grid, LIMITS, seed=3)
    trials = PlantedTrials(grid, seed=3)
    cluster = PlantedCluster(trials, 3)
    cluster.gone_after = 5
    message = "no machine of the cluster is left that can take a training; start one"
    with pytest.raises(LightshipError, match=message):
        search(tmp_path / "spread", trials, plan, cluster.engine())
    assert 5 <= len(trials.done) <= 7  # those that ran have ended before
    cluster.gone_after = None
    record = search(tmp_path / "spread", trials, plan, cluster.engine())
    alone = search(tmp_path / "alone", PlantedTrials(grid, seed=3), plan)
    assert record.answer == alone.answer


def test_an_error_of_the_search_stops_the_trainings(tmp_path: Path) -> None:
    grid = grid_of(3)
    trials = PlantedTrials(grid, seed=3)
    trials.dies_after = 24 + 3
    cluster = PlantedCluster(trials, 3)
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, trials, plan_of(grid, LIMITS, seed=3), cluster.engine())
    assert cluster.calls_after_stop == cluster.stopped > 1


def test_nothing_is_connected_where_nothing_is_trained(tmp_path: Path) -> None:
    grid = grid_of(3)
    plan = plan_of(grid, LIMITS, seed=3)
    trials = PlantedTrials(grid, seed=3)
    cluster = PlantedCluster(trials, 3)
    search(tmp_path, trials, plan, cluster.engine())
    connections = cluster.connections
    assert connections == 3  # once a rung
    search(tmp_path, trials, plan, cluster.engine())
    assert cluster.connections == connections


class LateEngine:
    """Takes the second training 900 s after the first one, which it may have retried then."""

    def __init__(self, trials: PlantedTrials, *, is_retried: bool) -> None:
        self._trials = trials
        self._is_retried = is_retried

    def train_all(self, trainings: Iterator[Training]) -> Generator[Ended | Retried]:
        first = next(trainings)
        self._trials.now += 900.0
        if self._is_retried:
            yield Retried(first)
        for training in itertools.chain(list(trainings), [first]):
            result = self._trials.train(
                training.request, training.key, training.epoch, training.epochs
            )
            yield Ended(training, result, 1.0, 1.0)


@pytest.mark.parametrize(
    ("is_retried", "budget_s", "fits"),
    # 60 s for forecasts, 900 s that have passed, 240 s for judging both. The short training takes
    # 200 s; the long one, which has been forecast to end 20 s later, takes 920 s more if retried.
    [(False, 1390, False), (False, 1410, True), (True, 2110, False), (True, 2130, True)],
)
def test_the_time_of_a_rung_that_runs_and_a_retried_training_count(
    tmp_path: Path, *, is_retried: bool, budget_s: float, fits: bool
) -> None:
    grid = {"long-32px": Planted(0.9, 0.5, 0.01), "short-32px": Planted(0.9, 0.4, 0.01)}
    plan = plan_of(grid, LIMITS, rungs=0, budget_s=budget_s)
    first_long = (
        seed
        for seed in range(20)
        if Halving(plan.networks, plan.sizes, seed, plan.reduction).order[0][0] == "long"
    )
    plan = dataclasses.replace(plan, seed=next(first_long))
    trials = Uneven(grid)
    search(tmp_path, trials, plan, LateEngine(trials, is_retried=is_retried))
    trained = {name for kind, name in trials.steps if kind == "train"}
    assert trained == {"long-32px", *(["short-32px"] if fits else [])}


def test_nothing_is_measured_before_trainings_of_lost_workers_have_ended(tmp_path: Path) -> None:
    grid = grid_of(3)
    trials = PlantedTrials(grid, seed=3)
    cluster = PlantedCluster(trials, 3)
    search(tmp_path, trials, plan_of(grid, LIMITS, seed=3), cluster.engine())
    kinds = [kind for kind, _ in trials.steps]
    assert kinds.count("wait") == cluster.connections == 3
    before = [kinds[place - 1] for place, kind in enumerate(kinds) if kind == "judge"]
    assert before == ["wait", *["judge"] * (len(before) - 1)]
