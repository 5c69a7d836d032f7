"""A candidate that the forecast does not rule out."""

from __future__ import annotations

from dataclasses import dataclass

from src.forecast.candidate import Request
from src.forecast.records import Candidate, TrainingCost
from src.search.halving import Point, rung_epochs
from src.search.limits import evidence_of
from src.search.plan import Plan
from src.search.records import Evidence, Limits, Measured


@dataclass(frozen=True)
class Contender:
    """A candidate that is worth training.

    Args:
        request: the candidate.
        key: of the candidate.
        training_key: of its training.
        cost: of its training.
        evidence: on each of its formats; at least one is not ruled out.
        epochs: of each rung; the last one is the whole training.
    """

    request: Request
    key: str
    training_key: str
    cost: TrainingCost
    evidence: list[Evidence]
    epochs: list[int]

    @classmethod
    def of(
        cls,
        plan: Plan,
        request: Request,
        cost: TrainingCost,
        evidence: list[Evidence],
    ) -> Contender:
        """Return the contender with its keys and the epochs of its rungs."""
        epochs = rung_epochs(cost.epochs, plan.rungs, plan.reduction)
        key, training_key = plan.keys[request.point], plan.training_keys[request.point]
        return cls(request, key, training_key, cost, evidence, epochs)

    @property
    def point(self) -> Point:
        """The network with its width, and the image size, by which the grid names it."""
        return self.request.point

    @property
    def formats(self) -> list[str]:
        """The formats that are possible on at least one device."""
        return list(dict.fromkeys(entry.format for entry in self.evidence if not entry.reason))

    @property
    def fastest_s(self) -> float:
        """Seconds of a call of the fastest possible file in the forecast."""
        return min(
            entry.p50_s for entry in self.evidence if not entry.reason and entry.p50_s is not None
        )


def evidence_on(forecast: Candidate, limits: Limits) -> list[Evidence]:
    """Return the evidence on each format of a forecast."""
    timed = {file.format for file in forecast.files if file.timings}
    return [
        evidence_of(file, limits)
        for file in forecast.files
        # A format that was timed on another device needs no second line.
        if file.timings or file.format not in timed
    ]


def unmeasured(contender: Contender, measured: Measured) -> list[str]:
    """Return the formats of a contender that have no figures yet.

    A format that failed in this command is not among them: it is tried again by the next command.
    """
    known = {file.format for file in measured.files}
    return [name for name in contender.formats if name not in known]
