"""The first step of a search: the forecasts that can decide something."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from src.forecast.records import NO_TRAINING_TIME, Candidate, TrainingCost
from src.search.budget import StepTimes
from src.search.contender import Contender, evidence_on, fastest_of
from src.search.figures import require_in_forecast
from src.search.halving import Point
from src.search.notebook import Notebook
from src.search.other_size import (
    deciding_size,
    first_to_forecast,
    ruled_out_because,
    without_figures,
)
from src.search.plan import Plan
from src.search.records import Evidence
from src.search.reserve import Reserve
from src.search.trials import Trials
from src.system.console import Report


@dataclass(frozen=True)
class _Known:
    """A forecast of a candidate's own, with the cost of its training."""

    forecast: Candidate
    cost: TrainingCost
    evidence: list[Evidence]


class Forecasting:
    """Forecasts candidates, and decides which of them may keep the limits.

    One network after the other, each with its sizes in the order that spares the most forecasts.
    A size that another one decides is not forecast. The decisions depend only on the forecasts that
    there are, so a command that was killed comes to the same ones.

    Args:
        plan: the candidates, limits and settings.
        notebook: gets the seconds and the decisions.
        trials: forecasts.
        report: gets the progress.
        clock: seconds that only grow.
        times: get the seconds of each forecast.
        reserve: decides if one more forecast fits in the budget.
    """

    def __init__(
        self,
        plan: Plan,
        notebook: Notebook,
        trials: Trials,
        report: Report,
        clock: Callable[[], float],
        times: StepTimes,
        reserve: Reserve,
    ) -> None:
        self._plan = plan
        self._requests = plan.by_point
        self._notebook = notebook
        self._trials = trials
        self._report = report
        self._clock = clock
        self._times = times
        self._reserve = reserve
        self._known: dict[str, dict[int | None, _Known]] = {}  # by network and image size
        self._contenders: dict[Point, Contender] = {}
        self._open: list[Point] = []
        self._has_figures = False  # an earlier forecast has all that the limits need

    def contenders(self, order: Sequence[Point]) -> dict[Point, Contender]:
        """Return the candidates with a file that may keep the limits, in the order of all.

        Args:
            order: all candidates. Their networks are forecast in this order.

        Raises:
            UsageError: a limit is of a figure that is not measured.
        """
        self._open = list(order)
        for point in order:  # they cost nothing, and may decide other sizes
            if forecast := self._trials.known_forecast(self._requests[point]):
                self._take(point, forecast)
        for network in dict.fromkeys(network for network, _ in order):
            self._conclude(network)
            while sizes := [size for name, size in self._open if name == network]:
                self._forecast((network, first_to_forecast(sizes, self._plan.limits)), len(order))
                self._conclude(network)
        return {point: self._contenders[point] for point in order if point in self._contenders}

    def _forecast(self, point: Point, count: int) -> None:
        """Forecast a candidate if there is time for it."""
        request, key = self._requests[point], self._plan.keys[point]
        self._report("forecast", request.name, count - len(self._open), count)
        if shortage := self._reserve.forecast_shortage(self._contenders.values()):
            self._open.remove(point)
            self._notebook.decide(request, key, "not tried", f"out of time: {shortage}")
            return
        started = self._clock()
        forecast = self._trials.forecast(request)
        seconds = self._clock() - started
        self._times.forecast_took(seconds)
        self._notebook.add_forecast(self._notebook.measured(request, key), seconds)
        self._take(point, forecast)

    def _take(self, point: Point, forecast: Candidate) -> None:
        """Decide on a candidate by its own forecast."""
        self._open.remove(point)
        request, key = self._requests[point], self._plan.keys[point]
        limits = self._plan.limits
        self._has_figures = self._has_figures or require_in_forecast(forecast, limits)
        if forecast.status != "ok" or forecast.training is None:
            reason = forecast.reason or NO_TRAINING_TIME
            self._notebook.decide(request, key, "failed", reason)
            return
        network, size = point
        evidence = evidence_on(forecast, limits)
        known = _Known(forecast, forecast.training, evidence)
        self._known.setdefault(network, {})[size] = known
        if all(entry.reason for entry in evidence):
            reason = "the forecast rules out every format"
            self._notebook.decide(request, key, "ruled out", reason, evidence)
            return
        self._contenders[point] = Contender.of(
            self._plan, request, forecast.training, evidence, fastest_of(evidence)
        )

    def _conclude(self, network: str) -> None:
        """Decide on the sizes of a network that the forecasts of other sizes decide."""
        known, plan = self._known.get(network, {}), self._plan
        forecasts = {size: entry.forecast for size, entry in known.items()}
        for point in [point for point in self._open if point[0] == network]:
            size = deciding_size(point[1], forecasts, plan.limits)
            if size is None:
                continue
            self._open.remove(point)
            request, source = self._requests[point], known[size]
            evidence = without_figures(source.evidence, size)
            if all(entry.reason for entry in evidence):
                key, reason = plan.keys[point], ruled_out_because(size)
                self._notebook.decide(request, key, "ruled out", reason, evidence, size)
            else:
                self._contenders[point] = Contender.of(
                    plan, request, source.cost, evidence, fastest_of(source.evidence), size
                )
