"""A command of a search while it runs, which all of its stages share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from src.search.budget import Budget, StepTimes
from src.search.notebook import Notebook
from src.search.plan import Plan
from src.search.reserve import Reserve
from src.search.trials import Trials
from src.system.console import Report


@dataclass(frozen=True)
class RunningSearch:
    """The plan, the record, the steps and the time of one command.

    Args:
        plan: the candidates, limits and settings.
        notebook: the record, with the measurements of earlier commands.
        trials: forecasts, trains and judges.
        report: gets the progress.
        clock: seconds that only grow.
        budget: the time that is left.
        times: get the seconds of each step, and forecast those of the next one.
        reserve: decides if one more step fits in the budget.
    """

    plan: Plan
    notebook: Notebook
    trials: Trials
    report: Report
    clock: Callable[[], float]
    budget: Budget
    times: StepTimes
    reserve: Reserve

    @classmethod
    def of(
        cls,
        plan: Plan,
        notebook: Notebook,
        trials: Trials,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Return a search whose budget counts the steps that the notebook has.

        Args:
            plan: the candidates, limits and settings.
            notebook: the record, with the measurements of earlier commands.
            trials: forecasts, trains and judges.
            report: gets the progress.
            clock: seconds that only grow. Tests replace it.
        """
        budget = Budget(plan.budget_s, lambda: notebook.of_plan)
        times = StepTimes(notebook.of_plan)
        reserve = Reserve(plan, budget, times, notebook, clock)
        return cls(plan, notebook, trials, report, clock, budget, times, reserve)
