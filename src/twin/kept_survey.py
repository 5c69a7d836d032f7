"""The findings of a survey so far, on disk: a stopped command times and probes nothing twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from src.run.twin import ProbedPlan, Processor, ReplacedParts, SurveyNotes, TriedPlan
from src.run.twin_files import TwinFiles
from src.twin.replacements import Replacement
from src.twin.survey import Plan, Surveyed


class KeptSurvey:
    """The plans that were timed and probed, by this command or by an earlier one.

    Args:
        files: of the run.
        key: of the making; notes of another one are not used.
        processor: times of another kind are not used.
        again: use no earlier notes but those of a command with the same option.
        clock: seconds.
    """

    def __init__(
        self,
        files: TwinFiles,
        key: str,
        processor: Processor,
        *,
        again: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._key, self._processor = files, key, processor
        self._again, self._clock, self._started = again, clock, clock()
        self.earlier_seconds = 0.0  # that earlier commands took
        self.timed: dict[Plan, Surveyed] = {}
        self.probed: dict[Plan, float] = {}
        notes = files.read_survey()
        if (
            notes is not None
            and (notes.key, notes.processor) == (key, processor)
            and (notes.again or not again)
        ):
            self._again = notes.again
            self.earlier_seconds = notes.seconds
            for each in notes.timed:
                plan = plan_of(each.replaced)
                self.timed[plan] = Surveyed(plan, each.speedup, each.agreement)
            self.probed = {plan_of(each.replaced): each.agreement for each in notes.probed}

    def keep_time(self, surveyed: Surveyed) -> None:
        """Note a plan that was timed."""
        self.timed[surveyed.plan] = surveyed
        self._write()

    def keep_probe(self, plan: Plan, agreement: float) -> None:
        """Note a plan that was probed."""
        self.probed[plan] = agreement
        self._write()

    def _write(self) -> None:
        timed = [as_record(each) for each in self.timed.values()]
        probed = [
            ProbedPlan(replaced=parts_of(plan), agreement=agreement)
            for plan, agreement in self.probed.items()
        ]
        self._files.write_survey(
            SurveyNotes(
                schema_version=1,
                key=self._key,
                processor=self._processor,
                again=self._again,
                seconds=self.earlier_seconds + self._clock() - self._started,
                timed=timed,
                probed=probed,
            )
        )


def plan_of(replaced: Iterable[ReplacedParts]) -> Plan:
    """Return the replacements of a record."""
    return tuple(Replacement(part.kind, part.by, tuple(part.paths)) for part in replaced)


def parts_of(plan: Plan) -> list[ReplacedParts]:
    """Return the record of replacements."""
    return [ReplacedParts(kind=part.kind, by=part.by, paths=list(part.paths)) for part in plan]


def as_record(each: Surveyed, probed: float | None = None, refused: str | None = None) -> TriedPlan:
    """Return the record of a plan."""
    return TriedPlan(
        name=each.name,
        replaced=parts_of(each.plan),
        speedup=each.speedup,
        agreement=each.agreement,
        probe_agreement=probed,
        refused=refused,
    )
