"""A candidate that no forecast rules out so far."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from src.forecast.candidate import Request
from src.forecast.records import Candidate, TrainingCost
from src.search.halving import Point, rung_epochs
from src.search.limits import evidence_of
from src.search.plan import Plan
from src.search.records import Evidence, Limits, Measured

# A latency that no file has, for candidates without a forecast, so that a known one goes before an
# unknown one of the same accuracy. Among the unknown ones it grows in the order of the grid.
_UNKNOWN_S: Final = 1000.0
_ONE_PLACE_S: Final = 1e-3


@dataclass(frozen=True)
class Contender:
    """A candidate that is worth training.

    Args:
        request: the candidate.
        key: of the candidate.
        training_key: of its training.
        cost: of its training. If it is not forecast, that of a larger image size: an upper bound,
            so the time that is kept for it is enough. An estimate if it is open.
        evidence: on each of its formats; at least one is not ruled out. Empty while it is open.
        fastest_s: seconds of a call of the fastest possible file in the forecast, of the larger
            size if it is not forecast. A time that no file takes without a forecast.
        epochs: of each rung; the last one is the whole training.
        forecast_size: image size whose forecast decides; None for its own forecast.
        is_open: True while it trains without a forecast that may still rule it out.
        without_forecast: True if neither its own forecast nor that of another size is known.
    """

    request: Request
    key: str
    training_key: str
    cost: TrainingCost
    evidence: list[Evidence]
    fastest_s: float
    epochs: list[int]
    forecast_size: int | None = None
    is_open: bool = False
    without_forecast: bool = False

    @classmethod
    def of(
        cls,
        plan: Plan,
        request: Request,
        cost: TrainingCost,
        evidence: list[Evidence],
        fastest_s: float,
        forecast_size: int | None = None,
    ) -> Contender:
        """Return the contender with its keys and the epochs of its rungs."""
        return cls(
            request=request,
            key=plan.keys[request.point],
            training_key=plan.training_keys[request.point],
            cost=cost,
            evidence=evidence,
            fastest_s=fastest_s,
            epochs=rung_epochs(cost.epochs, plan.rungs, plan.reduction),
            forecast_size=forecast_size,
        )

    @classmethod
    def before_forecast(
        cls, plan: Plan, request: Request, cost: TrainingCost, place: int
    ) -> Contender:
        """Return an open contender, which trains before its forecast.

        Args:
            plan: the settings.
            request: the candidate.
            cost: an estimate of the cost of its training.
            place: in the order of the grid, from 0.
        """
        made = cls.of(plan, request, cost, [], _UNKNOWN_S + place * _ONE_PLACE_S)
        return replace(made, is_open=True, without_forecast=True)

    def possible_by(self, evidence: Iterable[Evidence]) -> Contender:
        """Return an open contender whose formats are all possible, because nothing rules them out.

        Args:
            evidence: on the formats of another candidate.
        """
        formats = [Evidence(format=entry.format, device=entry.device) for entry in evidence]
        return replace(self, is_open=False, evidence=formats)

    @property
    def point(self) -> Point:
        """The network with its width, and the image size, by which the grid names it."""
        return self.request.point

    @property
    def formats(self) -> list[str]:
        """The formats that are possible on at least one device."""
        return list(dict.fromkeys(entry.format for entry in self.evidence if not entry.reason))


def evidence_on(forecast: Candidate, limits: Limits) -> list[Evidence]:
    """Return the evidence on each format of a forecast."""
    timed = {file.format for file in forecast.files if file.timings}
    return [
        evidence_of(file, limits)
        for file in forecast.files
        # A format that was timed on another device needs no second line.
        if file.timings or file.format not in timed
    ]


def fastest_of(evidence: Iterable[Evidence]) -> float:
    """Return the seconds of a call of the fastest possible file; at least one is possible."""
    return min(entry.p50_s for entry in evidence if not entry.reason and entry.p50_s is not None)


def unmeasured(contender: Contender, measured: Measured) -> list[str]:
    """Return the formats of a contender that have no figures yet.

    A format that failed in this command is not among them: it is tried again by the next command.
    """
    known = {file.format for file in measured.files}
    return [name for name in contender.formats if name not in known]
