"""The time that is kept while a search works, so that something can be finished."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

from src.search.budget import Budget, StepTimes
from src.search.contender import Contender, unmeasured
from src.search.notebook import Notebook
from src.search.other_size import may_rule_out
from src.search.plan import Plan


class Reserve:
    """Decides if a step fits in the budget beside the steps that have to follow it.

    Args:
        plan: its limits say if a forecast can decide anything.
        budget: the time that is left.
        times: forecasts of the time of each step.
        notebook: the steps that are done.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        plan: Plan,
        budget: Budget,
        times: StepTimes,
        notebook: Notebook,
        clock: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._budget = budget
        self._times = times
        self._notebook = notebook
        self._clock = clock

    def seconds(self, contender: Contender, epoch: int) -> float:
        """Return the forecast seconds of training to an epoch; 0 if that is done already."""
        return self._times.training(contender.cost, epoch - self.epochs_done(contender))

    def epochs_done(self, contender: Contender) -> int:
        """Return the number of epochs that a contender is trained already."""
        rungs = self._notebook.measured(contender.request, contender.key).rungs
        return max((rung.epoch for rung in rungs), default=0)

    def forecast_shortage(self, contenders: Iterable[Contender]) -> str | None:
        """Return why one more forecast does not fit in the time; None if it does.

        Time is kept for the cheapest contender that is not judged to be trained to its end and
        judged. If there is no time for that anyway, none is kept: a further candidate may be
        cheaper.

        Args:
            contenders: those that are known so far.
        """
        costs = [self._to_the_end(contender) for contender in contenders]
        kept = min((seconds for seconds in costs if seconds), default=0.0)
        if kept > self._budget.left:
            kept = 0.0
        what = "its forecast, and one candidate's training and judging," if kept else "its forecast"
        return self._budget.shortage(self._times.forecast() + kept, what)

    def decision_shortage(self, contender: Contender, alive: Iterable[Contender]) -> str | None:
        """Return why the forecast of an open contender does not fit in the time; None if it does.

        Time is kept for the cheapest one that is not judged to be trained to its end and judged,
        with its forecast if that is another open one.

        Args:
            contender: to be forecast.
            alive: those that are in the same rung, with the contender.
        """
        others = [other for other in alive if other.point != contender.point]
        own = self._to_the_end(contender)
        forecast = self._times.forecast()
        costs = [forecast + self._to_the_end(other) for other in others if self._to_the_end(other)]
        what = "its forecast, and one candidate's training and judging,"
        return self._budget.shortage(min([own, *costs]), what)

    def training_shortage(
        self,
        contender: Contender,
        rung: int,
        tried: Sequence[Contender],
        due: Iterable[float] = (),
        unnoted: float = 0.0,
    ) -> str | None:
        """Return why the training to a rung does not fit in the time; None if it does.

        Time is kept for one of those that were tried and are not judged: for its training to the
        end and for judging, and for a forecast if one of them is open. Without this the rung could
        only choose one that is forecast, and the trainings of the open ones would be for nothing.
        At the last rung time is kept for judging all that are not judged yet. A rung lasts until
        the last training ends, so a short one beside a long one takes as long.

        Args:
            contender: to be trained.
            rung: number of the rung, from 0.
            tried: the contender, those that reached the rung and those that are trained to it now.
            due: the forecast ends of trainings that run now.
            unnoted: seconds of the rung that are not written down yet.
        """
        step = self.seconds(contender, contender.epochs[rung])
        if step == 0.0:
            return None
        step = max([step, *(end - self._clock() for end in due)])
        is_last = rung == len(contender.epochs) - 1
        judging = sum(self._judging(other) for other in tried) if is_last else self._times.judging()
        finishers = [contender]
        if rung == 0:
            finishers = [other for other in tried if self._to_the_end(other)]
        rest = max(self._deciding(other) for other in tried) + min(
            sum(
                self._times.training(other.cost, later - earlier)
                for earlier, later in itertools.pairwise(other.epochs[rung:])
            )
            for other in finishers
        )
        return self._budget.shortage(step + rest + judging, "training it with judging", unnoted)

    def _to_the_end(self, contender: Contender) -> float:
        """Return the forecast seconds until a contender is judged; 0 if it is judged already."""
        done = self.epochs_done(contender)
        training = sum(
            self._times.training(contender.cost, later - max(done, earlier))
            for earlier, later in itertools.pairwise([0, *contender.epochs])
        )
        return self._deciding(contender) + training + self._judging(contender)

    def _deciding(self, contender: Contender) -> float:
        """Return the forecast seconds of the forecast that an open contender waits for."""
        is_due = contender.is_open and may_rule_out(self._plan.limits)
        return self._times.forecast() if is_due else 0.0

    def _judging(self, contender: Contender) -> float:
        """Return the forecast seconds of judging a contender; 0 if that is done already."""
        measured = self._notebook.measured(contender.request, contender.key)
        is_due = contender.is_open or unmeasured(contender, measured)
        return self._times.judging() if is_due else 0.0
