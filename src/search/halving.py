"""Successive halving over a grid, as a study of Optuna.

Jamieson & Talwalkar, 2016, "Non-stochastic best arm identification and hyperparameter
optimization", arXiv 1502.07943: all candidates train to the first rung, the best of them go on to
the next one.

Optuna's own SuccessiveHalvingPruner is the asynchronous variant (arXiv 1810.05934) without its
promotions, because Optuna does not resume a trial (optuna/optuna issue 3351): a trial is pruned for
good as soon as it reports, by comparison with the trials before it. The first one always goes on,
and with an unlucky order a good one is pruned (pull request 404). Here every candidate can be
resumed from its checkpoint and the grid is known, so a decision waits until all have reported.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import GridSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

Point = tuple[str, int | None]  # network with its width, and image size

_MODEL, _SIZE = "model", "image_size"
# The faster of two equally accurate candidates is better: a second of latency costs a billionth of
# the accuracy. One image of any validation split is more.
_TIE = 1e-9


class RungPruner(BasePruner):
    """Prunes all but the best share of the trials that have reported at a trial's last step.

    Ask it when all trials of the rung have reported.

    Args:
        reduction: of this number of candidates one goes on.
    """

    def __init__(self, reduction: int) -> None:
        self.reduction = reduction

    def prune(self, study: Study, trial: FrozenTrial) -> bool:
        step = trial.last_step
        if step is None:
            return False
        return trial.intermediate_values[step] < least_of(values_at(study, step), self.reduction)


def values_at(study: Study, step: int) -> list[float]:
    """Return the values that trials have reported at a step, the best first."""
    return sorted(
        (
            trial.intermediate_values[step]
            for trial in study.get_trials(deepcopy=False)
            if step in trial.intermediate_values
        ),
        reverse=True,
    )


def kept_of(count: int, reduction: int) -> int:
    """Return how many of a rung's candidates go on."""
    return max(1, math.ceil(count / reduction))


def least_of(values: Sequence[float], reduction: int) -> float:
    """Return the least value that goes on.

    Args:
        values: of all candidates in a rung, the best first; at least one.
        reduction: of this number of candidates one goes on.
    """
    return values[kept_of(len(values), reduction) - 1]


def rung_epochs(epochs: int, rungs: int, reduction: int) -> list[int]:
    """Return the epochs of all rungs; the last one is the whole training.

    A rung is a share of each candidate's own training, so that all are compared at the same
    point of their learning rate schedules.

    Args:
        epochs: of the whole training.
        rungs: comparisons before the end.
        reduction: ratio between two rungs.
    """
    shares = [reduction ** (rungs - rung) for rung in range(rungs + 1)]
    return [max(1, math.ceil(epochs / share)) for share in shares]


@dataclass(frozen=True)
class Decision:
    """The result of a rung for one candidate."""

    goes_on: bool
    rank: int  # in the rung, from 1
    count: int  # candidates in the rung
    kept: int  # candidates that go on


class Halving:
    """A study with one trial for each network and image size.

    Args:
        models: networks, each with its width: not all have the same ones.
        sizes: image sizes; None for the default of the data.
        seed: decides the order of the trials.
        reduction: of this number of candidates one goes on.
    """

    def __init__(
        self, models: Sequence[str], sizes: Sequence[int | None], seed: int, reduction: int
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._reduction = reduction
        self._study = optuna.create_study(
            direction="maximize",
            sampler=GridSampler({_MODEL: list(models), _SIZE: list(sizes)}, seed=seed),
            pruner=RungPruner(reduction),
        )
        self._trials: dict[Point, Trial] = {}
        for _ in range(len(models) * len(sizes)):
            trial = self._study.ask()
            model = str(trial.suggest_categorical(_MODEL, models))
            size = cast("int | None", trial.suggest_categorical(_SIZE, sizes))
            self._trials[model, size] = trial

    @property
    def order(self) -> list[Point]:
        """The candidates in the order in which they are tried."""
        return list(self._trials)

    def report(self, point: Point, rung: int, top1: float, latency_s: float) -> None:
        """Report the validation accuracy of a candidate at a rung.

        Args:
            point: the candidate.
            rung: number of the rung, from 0.
            top1: best validation top-1 so far.
            latency_s: of its fastest file in the forecast, which decides between equals. A time
                that no file takes for a candidate without a forecast.
        """
        self._trials[point].report(_value(top1, latency_s), rung)

    def would_go_on(self, figures: Mapping[Point, tuple[float, float]]) -> list[Point]:
        """Return the candidates of a rung that go on if nothing else becomes known, the best first.

        Args:
            figures: validation top-1 and latency of each candidate, as in :meth:`report`.
        """
        if not figures:
            return []
        values = {point: _value(*both) for point, both in figures.items()}
        least = least_of(sorted(values.values(), reverse=True), self._reduction)
        going = [point for point, value in values.items() if value >= least]
        return sorted(going, key=lambda point: -values[point])

    def decide(self, points: Iterable[Point], rung: int) -> dict[Point, Decision]:
        """Return the decisions of a rung that all candidates in it have reported."""
        values = values_at(self._study, rung)
        kept = kept_of(len(values), self._reduction)
        decisions = {}
        for point in points:
            trial = self._trials[point]
            value = self._study.trials[trial.number].intermediate_values[rung]
            decisions[point] = Decision(
                goes_on=not trial.should_prune(),
                rank=values.index(value) + 1,
                count=len(values),
                kept=kept,
            )
        return decisions


def _value(top1: float, latency_s: float) -> float:
    return top1 - _TIE * latency_s
