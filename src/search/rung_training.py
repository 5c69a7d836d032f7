"""The training of contenders to a rung, as far as the time lasts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

from src.search.contender import Contender
from src.search.engine import Ended, Engine, Retried, Training
from src.search.forecasting import Forecasting
from src.search.halving import Point
from src.search.records import Kind, Measured
from src.search.running_search import RunningSearch
from src.search.trials import TrialError


class RungTraining:
    """Trains contenders by an engine, and writes down their states and failures.

    Args:
        running: its notebook gets the states, and its times the seconds of each training.
        engine: trains.
        forecasting: knows which contenders train before their forecasts.
    """

    def __init__(self, running: RunningSearch, engine: Engine, forecasting: Forecasting) -> None:
        self._rungs = running.plan.rungs
        self._notebook = running.notebook
        self._report = running.report
        self._clock = running.clock
        self._times = running.times
        self._reserve = running.reserve
        self._engine = engine
        self._forecasting = forecasting
        self._waiting: set[Point] = set()  # not at the rung yet, by what became known meanwhile
        self._noted = 0.0  # the time until which the seconds of a rung are written down

    def reach_all(self, rung: int, contenders: Sequence[Contender]) -> list[Contender]:
        """Train contenders to a rung, those last that turned out to need a forecast before."""
        while True:
            self._waiting = set()
            points = [contender.point for contender in contenders]
            reached = {contender.point for contender in self.reach(rung, contenders)}
            left = [point for point in points if point in reached | self._waiting]
            if not self._waiting:
                return self._forecasting.contenders(left)
            self._forecasting.forecast([point for point in left if point in self._waiting])
            contenders = self._forecasting.contenders(left)

    def reach(self, rung: int, contenders: Sequence[Contender]) -> list[Contender]:
        """Train contenders to a rung, as far as the time lasts, and return those that got there."""
        by_key = {contender.training_key: contender for contender in contenders}
        reached: set[str] = set()
        due: dict[str, float] = {}  # the forecast end of each training that runs
        self._noted = self._clock()
        trainings = self._trainings(rung, contenders, reached, due)
        with closing(self._engine.train_all(trainings)) as all_ended:
            for ended in all_ended:
                key = ended.training.key
                if isinstance(ended, Retried):
                    due[key] = self._clock() + self._reserve.seconds(
                        by_key[key], ended.training.epoch
                    )
                    continue
                self._noted = self._clock()
                del due[key]
                if self._note(by_key[key], ended, rung):
                    reached.add(key)
        return [contender for contender in contenders if contender.training_key in reached]

    def _trainings(
        self, rung: int, contenders: Sequence[Contender], reached: set[str], due: dict[str, float]
    ) -> Iterator[Training]:
        """Yield the trainings to a rung, each when the engine has a machine for it.

        Args:
            rung: number of the rung, from 0.
            contenders: those to train.
            reached: gets the training keys of those that are trained already.
            due: gets the forecast end of each training.
        """
        for number, contender in enumerate(contenders):
            if contender.is_open and not self._forecasting.trains_first(contender.point):
                self._waiting.add(contender.point)
                continue
            key, known = contender.training_key, {*reached, *due}
            tried = [other for other in contenders if other.training_key in known]
            unnoted = self._clock() - self._noted
            if shortage := self._reserve.training_shortage(
                contender, rung, [*tried, contender], due.values(), unnoted
            ):
                kind: Kind = "stopped" if self._measured(contender).rungs else "not tried"
                self._notebook.end(contender, kind, f"out of time: {shortage}")
                continue
            epoch = contender.epochs[rung]
            phase = f"rung {rung + 1} of {self._rungs + 1}"
            detail = f"{contender.request.name} to epoch {epoch} of {contender.epochs[-1]}"
            self._report(phase, detail, number, len(contenders))
            if any(entry.epoch == epoch for entry in self._measured(contender).rungs):
                reached.add(key)
                continue
            due[key] = self._clock() + self._reserve.seconds(contender, epoch)
            yield Training(contender.request, key, epoch, contender.epochs[-1])

    def _note(self, contender: Contender, ended: Ended, rung: int) -> bool:
        """Write down a training that has ended. Return False if it is not at its rung."""
        measured = self._measured(contender)
        if isinstance(ended.result, TrialError):
            self._notebook.add_lost(measured, ended.search_seconds)
            self._notebook.end(contender, "failed", str(ended.result))
            return False
        epochs = ended.training.epoch - self._reserve.epochs_done(contender)
        # Not if it is an earlier rung of a training that came further, or its cost is an estimate.
        if epochs > 0 and not contender.is_open:
            self._times.training_took(contender.cost, epochs, ended.seconds)
        self._notebook.add_rung(measured, ended.result, ended)
        for now in self._forecasting.contenders([contender.point]):
            if all(entry.epoch != now.epochs[rung] for entry in self._measured(now).rungs):
                self._waiting.add(now.point)  # its whole training has other epochs than assumed
                return False
        return True

    def _measured(self, contender: Contender) -> Measured:
        return self._notebook.measured(contender.request, contender.key)
