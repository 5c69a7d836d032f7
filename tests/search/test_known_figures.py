"""Figures of an earlier command in the same folder, which a search keeps and does not repeat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.forecast.candidate import Request
from src.search.halving import Halving, Point
from src.search.notebook import RECORD
from src.search.records import JudgedFile, Limits, SearchRecord
from src.search.trials import Judged, Trained
from tests.search.planted import Planted, PlantedTrials, plan_of, search

GRID = {"a-32px": Planted(0.95, 1.0, 0.01)}
# By their forecasts eager takes 10 ms, onnx_fp32 4 ms and onnx_int8 2 ms.
INT8_ONLY, WITH_FP32, WITH_ALL = (Limits(latency_s=each) for each in (0.003, 0.006, 0.02))


@dataclass
class FailingFormats(PlantedTrials):
    """Steps with formats whose export fails; the measurements of judging are counted."""

    failing: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def judge(self, run: str, formats: Sequence[str]) -> Judged:
        self.asked.append(tuple(formats))
        return super().judge(run, formats)

    def file(self, name: str, format_: str) -> JudgedFile:
        if format_ in self.failing:
            return JudgedFile(format=format_, device="cpu", status="failed", reason="planted")
        return super().file(name, format_)


def outcome(record: SearchRecord) -> tuple[str, str]:
    [only] = record.outcomes
    return only.kind, only.reason


def formats(record: SearchRecord, model: str = "a") -> dict[str, str]:
    [measured] = [entry for entry in record.measured if entry.model == model]
    return {file.format: file.status for file in measured.files}


def order_of(grid: dict[str, Planted], seed: int) -> Sequence[Point]:
    plan = plan_of(grid, INT8_ONLY)
    return Halving(plan.networks, plan.sizes, seed, plan.reduction).order


def test_a_format_that_failed_is_judged_once_in_each_command(tmp_path: Path) -> None:
    trials = FailingFormats(GRID, failing=("onnx_fp32",))
    both = ("onnx_fp32", "onnx_int8")
    for command in (1, 2):
        record = search(tmp_path, trials, plan_of(GRID, WITH_FP32))
        assert trials.asked == [both] * command
        assert formats(record) == {"onnx_fp32": "failed", "onnx_int8": "ok"}
        assert record.answer is not None
        assert record.answer.satisfied
    trials.failing = ()  # as a disk that has room again
    for _ in range(2):
        record = search(tmp_path, trials, plan_of(GRID, WITH_FP32))
        assert trials.asked == [both] * 3
        assert formats(record) == {"onnx_fp32": "ok", "onnx_int8": "ok"}
    assert ("train", "a-32px") in trials.steps
    assert trials.trained_epochs == 18


def test_a_format_that_failed_is_tried_with_one_that_a_looser_limit_adds(tmp_path: Path) -> None:
    trials = FailingFormats(GRID, failing=("onnx_fp32",))
    search(tmp_path, trials, plan_of(GRID, WITH_FP32))
    expected = {"eager": "ok", "onnx_fp32": "failed", "onnx_int8": "ok"}
    assert formats(search(tmp_path, trials, plan_of(GRID, WITH_ALL))) == expected
    assert trials.asked == [("onnx_fp32", "onnx_int8"), ("eager", "onnx_fp32", "onnx_int8")]


def test_without_time_a_format_that_failed_is_named_and_the_others_are_kept(
    tmp_path: Path,
) -> None:
    trials = FailingFormats(GRID, failing=("onnx_fp32",))
    first = search(tmp_path, trials, plan_of(GRID, WITH_FP32))
    again = search(tmp_path, trials, plan_of(GRID, WITH_FP32, budget_s=trials.now + 10))
    assert len(trials.asked) == 1
    assert again.answer == first.answer
    kind, reason = outcome(again)
    assert kind == "judged"
    assert "not measured: onnx_fp32 (out of time" in reason


def test_known_files_are_answered_with_when_a_further_format_does_not_fit(tmp_path: Path) -> None:
    trials = PlantedTrials(GRID)
    first = search(tmp_path, trials, plan_of(GRID, INT8_ONLY))
    before = list(trials.steps)
    looser = search(tmp_path, trials, plan_of(GRID, WITH_FP32, budget_s=trials.now + 10))
    assert trials.steps == before
    assert first.answer is not None
    assert looser.answer is not None
    assert looser.answer.satisfied
    assert looser.answer.folder == first.answer.folder
    kind, reason = outcome(looser)
    assert kind == "judged"
    assert "not measured: onnx_fp32 (out of time: judging it was forecast" in reason
    # With time for it the format is measured.
    assert formats(search(tmp_path, trials, plan_of(GRID, WITH_FP32))) == {
        "onnx_fp32": "ok",
        "onnx_int8": "ok",
    }


def test_known_files_are_answered_with_when_judging_further_formats_fails(tmp_path: Path) -> None:
    trials = PlantedTrials(dict(GRID))
    first = search(tmp_path, trials, plan_of(GRID, INT8_ONLY))
    trials.grid["a-32px"] = Planted(0.95, 1.0, 0.01, judging_fails=True)
    looser = search(tmp_path, trials, plan_of(GRID, WITH_ALL))
    assert first.answer is not None
    assert looser.answer is not None
    assert looser.answer.folder == first.answer.folder
    kind, reason = outcome(looser)
    assert kind == "judged"
    assert "not measured: eager, onnx_fp32 (a-32px: planted failure)" in reason
    assert looser.spent.lost_s == trials.judging_s


def test_a_file_whose_folder_is_gone_is_no_known_file(tmp_path: Path) -> None:
    """Nothing is answered with that is not in the folder any more."""
    trials = PlantedTrials(GRID)
    search(tmp_path, trials, plan_of(GRID, INT8_ONLY))
    record = json.loads((tmp_path / RECORD).read_text())
    record["measured"][0]["files"] = []  # as after the folder of the file was removed
    (tmp_path / RECORD).write_text(json.dumps(record))
    again = search(tmp_path, trials, plan_of(GRID, INT8_ONLY, budget_s=trials.now + 10))
    assert outcome(again)[0] == "stopped"
    assert again.answer is None


def test_without_time_only_forecasts_that_cost_nothing_are_used(tmp_path: Path) -> None:
    """A candidate with files whose forecast is gone is not forecast beyond the budget."""
    trials = PlantedTrials(GRID)
    search(tmp_path, trials, plan_of(GRID, INT8_ONLY))
    spent = trials.now
    trials.steps.clear()  # as without forecast.json
    record = search(tmp_path, trials, plan_of(GRID, INT8_ONLY, budget_s=spent))
    assert trials.steps == []
    assert outcome(record)[0] == "not tried"
    trials.steps.append(("forecast", "a-32px"))
    assert search(tmp_path, trials, plan_of(GRID, INT8_ONLY, budget_s=spent)).answer is not None
    assert trials.now == spent


def test_no_time_is_kept_to_judge_what_is_judged_already(tmp_path: Path) -> None:
    grid = {f"net{number}-32px": Planted(0.95, 1.0, 0.01) for number in range(4)}
    trials = PlantedTrials(grid, judging_s=1000.0)
    known = dict(list(grid.items())[:3])
    search(tmp_path, trials, plan_of(known, INT8_ONLY, rungs=0))
    # Enough to forecast, train and judge one more, and not to judge all four.
    further = trials.forecast_s + trials.start_s + 18 * 12.0 + trials.judging_s + 50
    plan = plan_of(grid, INT8_ONLY, rungs=0, budget_s=trials.now + further)
    record = search(tmp_path, trials, plan)
    assert {entry.kind for entry in record.outcomes} == {"judged"}


def test_time_is_kept_to_judge_a_candidate_with_a_format_that_was_not_measured(
    tmp_path: Path,
) -> None:
    grid = {f"net{number}-32px": Planted(0.95, 1.0, 0.01) for number in range(2)}
    trials = PlantedTrials(grid, judging_s=1000.0)
    search(tmp_path, trials, plan_of({"net0-32px": grid["net0-32px"]}, INT8_ONLY, rungs=0))
    further = trials.forecast_s + trials.start_s + 18 * 12.0 + trials.judging_s + 50
    # The looser limit adds a format to the known candidate, which has to be judged as well.
    seed = next(number for number in range(20) if order_of(grid, number)[0][0] == "net0")
    plan = plan_of(grid, WITH_FP32, rungs=0, seed=seed, budget_s=trials.now + further)
    record = search(tmp_path, trials, plan)
    kinds = {entry.model: entry.kind for entry in record.outcomes}
    assert kinds == {"net0": "judged", "net1": "not tried"}
    assert formats(record, "net0") == {"onnx_fp32": "ok", "onnx_int8": "ok"}


def test_known_forecasts_do_not_change_the_forecast_of_a_forecast(tmp_path: Path) -> None:
    grid = {f"net{number}-32px": Planted(0.95, 1.0, 0.01) for number in range(4)}
    trials = PlantedTrials(grid)
    known = dict(list(grid.items())[:3])
    search(tmp_path, trials, plan_of(known, INT8_ONLY))
    # A forecast takes 30 s. The one that is not known is the last.
    seed = next(number for number in range(100) if order_of(grid, number)[-1][0] == "net3")
    plan = plan_of(grid, INT8_ONLY, seed=seed, budget_s=trials.now + 20)
    record = search(tmp_path, trials, plan)
    reasons = {entry.model: entry.reason for entry in record.outcomes}
    assert reasons["net3"].startswith("out of time: its forecast")
    assert "to take 30 s, with 20 s left" in reasons["net3"]


@dataclass
class EarlierRungs(PlantedTrials):
    """Steps that return an epoch of a finished training from its curve, at once."""

    def train(self, request: Request, key: str, epoch: int, epochs: int) -> Trained:
        if epoch > self.done.get(request.name, 0):
            return super().train(request, key, epoch, epochs)
        run = f"candidates/{request.name}"
        return Trained(run, epoch, self.top1(request.name, epoch))


def test_an_earlier_rung_of_a_finished_training_is_no_start_of_a_command(tmp_path: Path) -> None:
    grid = {f"net{number}-32px": Planted(0.95, 1.0, 0.01) for number in range(5)}
    trials = EarlierRungs(grid)
    known = dict(list(grid.items())[:3])
    search(tmp_path, trials, plan_of(known, INT8_ONLY, rungs=0))
    # The known ones come first in the order.
    seed = next(
        number
        for number in range(100)
        if {f"{model}-32px" for model, _ in order_of(grid, number)[:3]} == set(known)
    )
    # Two forecasts, the training of one more with a start of a command for each of three rungs, its
    # judging, and 60 s to spare.
    further = 2 * 30 + 3 * 20 + 18 * 10 + 100 + 60
    before = len(trials.steps)
    plan = plan_of(grid, INT8_ONLY, rungs=2, seed=seed, budget_s=trials.now + further)
    search(tmp_path, trials, plan)
    assert "train" in {kind for kind, _ in trials.steps[before:]}
