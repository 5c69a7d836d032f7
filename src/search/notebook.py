"""The record of a search on disk, written after each measurement."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from src.forecast.candidate import Request
from src.run import reading
from src.run.layout import as_dict
from src.search.budget import spent_on
from src.search.contender import Contender
from src.search.engine import Ended
from src.search.halving import Point
from src.search.plan import Plan
from src.search.records import (
    VERSION,
    Answer,
    Evidence,
    Kind,
    Measured,
    Outcome,
    Rung,
    SearchRecord,
)
from src.search.trials import Judged, Trained
from src.system import atomic_files

RECORD = "search.json"


class Notebook:
    """Measurements of this and of earlier commands, and the decisions of this one.

    Args:
        folder: an existing folder.
        plan: of this command.

    Raises:
        UsageError: ``search.json`` in the folder is not a record of a search.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._path = folder / RECORD
        self._plan = plan
        self._outcomes: dict[Point, Outcome] = {}
        self._order: Sequence[Point] = ()
        earlier = (
            reading.read(self._path, SearchRecord, (VERSION,)).measured
            if self._path.is_file()
            else []
        )
        self._measured = {entry.key: entry for entry in earlier}
        for request in plan.requests:
            self._adopt_training(request)

    def _adopt_training(self, request: Request) -> None:
        """Take the longest training of commands that differ in export and measurement only."""
        key, training_key = self._plan.keys[request.point], self._plan.training_keys[request.point]
        same = [
            entry
            for entry in self._measured.values()
            if entry.training_key == training_key and entry.rungs
        ]
        own = self.measured(request, key)
        longest = max([own, *same], key=lambda entry: entry.epochs)
        if longest is not own:
            self._measured[key] = msgspec.structs.replace(
                own, run=longest.run, rungs=longest.rungs, whole_epochs=longest.whole_epochs
            )

    def begin(self, order: Sequence[Point]) -> None:
        """Begin with no decisions.

        Args:
            order: the candidates in the order in which they are tried.
        """
        self._order = order
        self._outcomes = {}
        self._write(finished=False)

    def keep_only(self, is_present: Callable[[str], bool]) -> None:
        """Forget trainings and files that are no longer in the folder, and failures.

        A file may have failed by a full disk or want of memory, so each command tries it again.

        Args:
            is_present: returns True for the relative path of a folder that is still whole.
        """
        for key, entry in self._measured.items():
            if entry.run is not None and not is_present(entry.run):
                entry = msgspec.structs.replace(entry, run=None, rungs=[], files=[])  # noqa: PLW2901
            files = [
                file
                for file in entry.files
                if file.status != "failed" and (not file.folder or is_present(file.folder))
            ]
            self._measured[key] = msgspec.structs.replace(entry, files=files)

    def measured(self, request: Request, key: str) -> Measured:
        """Return what is known of a candidate."""
        return self._measured.get(key) or Measured(
            key=key,
            training_key=self._plan.training_keys.get(request.point),
            model=request.model,
            width=request.width,
            image_size=request.image_size,
        )

    @property
    def of_plan(self) -> list[Measured]:
        """The measurements of the candidates of this command."""
        keys = set(self._plan.keys.values())
        return [entry for key, entry in self._measured.items() if key in keys]

    def add_forecast(self, measured: Measured, seconds: float) -> None:
        """Write down that a candidate was forecast."""
        total = measured.forecast_seconds + seconds
        self._keep(msgspec.structs.replace(measured, forecast_seconds=total))

    def begin_late_forecast(self, measured: Measured) -> None:
        """Write down that a candidate is forecast after a rung has dropped it.

        Before the forecast: a command that is killed after it may not write down anything more.
        """
        self._keep(msgspec.structs.replace(measured, late_forecast=True))

    def add_rung(self, measured: Measured, trained: Trained, ended: Ended) -> None:
        """Write down a rung of a candidate's training."""
        alone = ended.search_seconds == ended.seconds
        rung = Rung(
            epoch=trained.epoch,
            top1=trained.top1,
            seconds=ended.seconds,
            search_seconds=None if alone else ended.search_seconds,
            machine=ended.machine,
        )
        self._keep(
            msgspec.structs.replace(
                measured,
                rungs=sorted([*measured.rungs, rung], key=lambda entry: entry.epoch),
                run=trained.run,
                whole_epochs=trained.whole_epochs or measured.whole_epochs,
            )
        )

    def take_over(self, measured: Measured) -> None:
        """Forget the files in a candidate's run that were made with other options.

        They are replaced when the candidate is judged.
        """
        others = [
            entry
            for entry in self._measured.values()
            if entry.files and entry.run == measured.run and entry.key != measured.key
        ]
        for entry in others:
            self._measured[entry.key] = msgspec.structs.replace(entry, files=[])
        if others:
            self._write(finished=False)

    def add_files(self, measured: Measured, judged: Judged, seconds: float) -> None:
        """Write down the files of a candidate, beside those of formats that were known before."""
        judged_now = {file.format for file in judged.files}
        kept = [file for file in measured.files if file.format not in judged_now]
        self._keep(
            msgspec.structs.replace(
                measured,
                files=[*judged.files, *kept],
                validation_images=judged.validation_images,
                judging_seconds=measured.judging_seconds + seconds,
            )
        )

    def add_lost(self, measured: Measured, seconds: float) -> None:
        """Write down the time of a step that failed."""
        total = measured.lost_seconds + seconds
        self._keep(msgspec.structs.replace(measured, lost_seconds=total))

    def decide(
        self,
        request: Request,
        key: str,
        kind: Kind,
        reason: str,
        formats: Iterable[Evidence] = (),
        forecast_size: int | None = None,
        *,
        without_forecast: bool = False,
    ) -> None:
        """Note the decision on a candidate, which replaces an earlier one.

        It is on disk with the next measurement. A decision needs no more than the measurements.

        Args:
            request: the candidate.
            key: of the candidate.
            kind: of the decision.
            reason: for it.
            formats: the evidence on each format.
            forecast_size: image size whose forecast the evidence is of; None for its own one.
            without_forecast: True if it trains without a forecast.
        """
        self._outcomes[request.point] = Outcome(
            key=key,
            model=request.model,
            width=request.width,
            image_size=request.image_size,
            kind=kind,
            reason=reason,
            forecast_size=forecast_size,
            without_forecast=without_forecast,
            formats=list(formats),
        )

    def end(self, contender: Contender, kind: Kind, reason: str) -> None:
        """Note the decision on a contender with its evidence, which replaces an earlier one."""
        self.decide(
            contender.request,
            contender.key,
            kind,
            reason,
            contender.evidence,
            contender.forecast_size,
            without_forecast=contender.without_forecast,
        )

    def points(self, kind: Kind) -> list[Point]:
        """Return the candidates with this kind of decision."""
        return [point for point, outcome in self._outcomes.items() if outcome.kind == kind]

    def reason(self, point: Point) -> str:
        """Return the reason of the decision on a candidate."""
        return self._outcomes[point].reason

    def finish(self, answer: Answer | None) -> SearchRecord:
        """Write down the answer, and return the whole record."""
        return self._write(finished=True, answer=answer)

    def _keep(self, measured: Measured) -> None:
        self._measured[measured.key] = measured
        self._write(finished=False)

    def _write(self, *, finished: bool, answer: Answer | None = None) -> SearchRecord:
        plan = self._plan
        record = SearchRecord(
            schema_version=VERSION,
            command=plan.command,
            made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            environment=plan.environment,
            limits=plan.limits,
            budget_s=plan.budget_s,
            seed=plan.seed,
            reduction=plan.reduction,
            rungs=plan.rungs,
            engine=plan.engine,
            own_width_only=list(plan.own_width_only),
            finished=finished,
            spent=spent_on(self.of_plan),
            measured=list(self._measured.values()),
            outcomes=[self._outcomes[point] for point in self._order if point in self._outcomes],
            answer=answer,
        )
        reading.require_readable(record)
        atomic_files.write_json(self._path, as_dict(record))
        return record
