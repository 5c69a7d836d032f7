"""The forecasts of a search that can decide something, and what they decide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from src.forecast.records import NO_TRAINING_TIME, Candidate, TrainingCost
from src.search.contender import Contender, evidence_on, fastest_of
from src.search.early_training import EarlyTraining
from src.search.figures import require_in_forecast
from src.search.halving import Point
from src.search.other_size import (
    deciding_size,
    first_to_forecast,
    may_rule_out,
    ruled_out_because,
    without_figures,
)
from src.search.records import Evidence, Kind, Measured
from src.search.running_search import RunningSearch


@dataclass(frozen=True)
class _Known:
    """A forecast of a candidate's own, with the cost of its training."""

    forecast: Candidate
    cost: TrainingCost
    evidence: list[Evidence]


class Forecasting:
    """Forecasts candidates, and decides which of them may keep the limits.

    One network after the other, each with its sizes in the order that spares the most forecasts.
    A size that another one decides is not forecast. A candidate is open until a forecast decides
    it. Where a training to the first rung is cheaper, it trains meanwhile. The decisions depend
    only on the forecasts that there are, so a command that was killed comes to the same ones.

    Args:
        running: its notebook gets the decisions, and its times the seconds of each forecast.
    """

    def __init__(self, running: RunningSearch) -> None:
        self._plan = running.plan
        self._requests = running.plan.by_point
        self._notebook = running.notebook
        self._trials = running.trials
        self._report = running.report
        self._clock = running.clock
        self._times = running.times
        self._reserve = running.reserve
        self._early = EarlyTraining(running.plan, running.notebook, running.times)
        self._known: dict[str, dict[int | None, _Known]] = {}  # by network and image size
        self._order: Sequence[Point] = ()
        self._possible: dict[Point, Contender] = {}
        self._open: list[Point] = []
        self._has_figures = False  # an earlier forecast has all that the limits need

    def begin(self, order: Sequence[Point]) -> None:
        """Forecast the candidates that do not train to the first rung before.

        Args:
            order: all candidates. Their networks are forecast in this order.

        Raises:
            UsageError: a limit is of a figure that is not measured.
        """
        self._order = order
        self._open = list(order)
        for point in order:  # they cost nothing, and may decide other sizes
            if not self._is_late(point):
                self._take_known(point)
        self.forecast(order)

    def forecast(self, points: Collection[Point]) -> None:
        """Forecast those of some candidates that are open and do not train before.

        Args:
            points: the candidates, in the order of all.
        """
        for network in dict.fromkeys(network for network, _ in points):
            self._conclude(network)
            while sizes := [
                point[1]
                for point in self._open
                if point[0] == network and point in points and not self.trains_first(point)
            ]:
                self._forecast((network, first_to_forecast(sizes, self._plan.limits)))
                self._conclude(network)

    def trains_first(self, point: Point) -> bool:
        """Return True if an open candidate trains to the first rung before its forecast.

        None does while no candidate is known to be possible: all may be ruled out.
        """
        return bool(self._possible) and self._early.comes_first(self._requests[point])

    def contenders(self, points: Iterable[Point]) -> list[Contender]:
        """Return those of some candidates that no forecast rules out, with what is known now."""
        is_open = set(self._open) if self._early.knows_cost else set()
        return [
            self._possible.get(point) or self._open_contender(point)
            for point in points
            if point in self._possible or point in is_open
        ]

    def decide_late(self, dropped: Iterable[Contender]) -> None:
        """Decide on those of some contenders that an earlier command forecast after their drop.

        Args:
            dropped: contenders that a rung of this command has dropped as well.
        """
        late = [
            contender.point
            for contender in dropped
            if contender.is_open and self._is_late(contender.point)
        ]
        for point in late:
            self._take_known(point)
        for network in dict.fromkeys(network for network, _ in late):
            self._conclude(network)

    def decide(
        self,
        waiting: Sequence[Contender],
        alive: Sequence[Contender],
        *,
        are_dropped: bool = False,
    ) -> None:
        """Forecast one of some open contenders, if there is time for it.

        It is one of the first one's network, of the size that spares the most forecasts. Without a
        limit that a forecast can break it is possible, with the formats of another candidate.

        Args:
            waiting: open contenders that go on otherwise, the best first; at least one.
            alive: those that are in the same rung, with these.
            are_dropped: True if a rung has dropped them, so that their forecasts are late.
        """
        network, _ = waiting[0].point
        of_network = {each.point[1]: each for each in waiting if each.point[0] == network}
        contender = of_network[first_to_forecast(list(of_network), self._plan.limits)]
        point = contender.point
        formats = None if may_rule_out(self._plan.limits) else self._possible_formats()
        if formats:
            self._open.remove(point)
            self._possible[point] = contender.possible_by(formats)
        elif self._take_known(point):
            self._conclude(network)
        elif shortage := self._reserve.decision_shortage(contender, alive):
            self._open.remove(point)
            self._decide(point, "stopped", f"out of time: {shortage}", is_open=True)
        else:
            if are_dropped:
                self._notebook.begin_late_forecast(self._measured(point))
            self._measure(point)
            self._conclude(network)

    def _possible_formats(self) -> list[Evidence] | None:
        """Return the formats of the first candidate whose forecast leaves one possible."""
        of_forecasts = (
            self._known[network][size].evidence
            for network, size in self._order
            if size in self._known.get(network, {}) and (network, size) in self._possible
        )
        return next(of_forecasts, None)

    def _open_contender(self, point: Point) -> Contender:
        request = self._requests[point]
        cost = self._early.cost(request)
        return Contender.before_forecast(self._plan, request, cost, self._order.index(point))

    def _forecast(self, point: Point) -> None:
        """Forecast a candidate if there is time for it."""
        if self._take_known(point):
            return
        trained = [each for each in self._open if self._is_trained(each)]
        contenders = [*self._possible.values(), *self.contenders(trained)]
        if shortage := self._reserve.forecast_shortage(contenders):
            self._open.remove(point)
            self._decide(point, "not tried", f"out of time: {shortage}")
            return
        self._measure(point)

    def _measure(self, point: Point) -> None:
        """Forecast a candidate, and decide on it."""
        request = self._requests[point]
        done = len(self._order) - len(self._open)
        self._report("forecast", request.name, done, len(self._order))
        started = self._clock()
        forecast = self._trials.forecast(request)
        seconds = self._clock() - started
        self._times.forecast_took(seconds)
        self._notebook.add_forecast(self._measured(point), seconds)
        self._take(point, forecast)

    def _take_known(self, point: Point) -> bool:
        """Decide on a candidate by a forecast that costs nothing. Return False if there is none."""
        forecast = self._trials.known_forecast(self._requests[point])
        if forecast is None:
            return False
        self._take(point, forecast)
        return True

    def _take(self, point: Point, forecast: Candidate) -> None:
        """Decide on a candidate by its own forecast."""
        self._open.remove(point)
        limits = self._plan.limits
        self._has_figures = self._has_figures or require_in_forecast(forecast, limits)
        if forecast.status != "ok" or forecast.training is None:
            self._decide(point, "failed", forecast.reason or NO_TRAINING_TIME)
            return
        network, size = point
        self._early.learn(point, forecast.training)
        evidence = evidence_on(forecast, limits)
        known = _Known(forecast, forecast.training, evidence)
        self._known.setdefault(network, {})[size] = known
        if all(entry.reason for entry in evidence):
            self._decide(point, "ruled out", "the forecast rules out every format", evidence)
            return
        self._possible[point] = Contender.of(
            self._plan, self._requests[point], forecast.training, evidence, fastest_of(evidence)
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
                self._decide(point, "ruled out", ruled_out_because(size), evidence, size)
            else:
                self._possible[point] = Contender.of(
                    plan, request, source.cost, evidence, fastest_of(source.evidence), size
                )

    def _decide(
        self,
        point: Point,
        kind: Kind,
        reason: str,
        evidence: Sequence[Evidence] = (),
        size: int | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        """Write down a decision, with the rung that the candidate has reached before it."""
        request, key = self._requests[point], self._plan.keys[point]
        epochs = self._measured(point).epochs
        reached = f"; trained to epoch {epochs} before" if epochs else ""
        self._notebook.decide(
            request, key, kind, reason + reached, evidence, size, without_forecast=is_open
        )

    def _is_trained(self, point: Point) -> bool:
        return bool(self._measured(point).rungs)

    def _is_late(self, point: Point) -> bool:
        """Return True if an earlier command dropped a candidate before it forecast it."""
        return self._measured(point).late_forecast and self._is_trained(point)

    def _measured(self, point: Point) -> Measured:
        return self._notebook.measured(self._requests[point], self._plan.keys[point])
