"""The search stage: forecasts, successive halving, export and measurement, answer."""

from __future__ import annotations

from collections.abc import Sequence

from src.search.answer import answer_of, is_allowed
from src.search.contender import Contender, unmeasured
from src.search.engine import Engine, OneByOne
from src.search.forecasting import Forecasting
from src.search.halving import Halving, Point
from src.search.records import Kind, Measured, SearchRecord
from src.search.rung_training import RungTraining
from src.search.running_search import RunningSearch
from src.search.trials import TrialError


class Search:
    """One command of a search.

    Each step is measured once and written down. What the notebook knows is not measured again.

    Args:
        running: the plan, the record, the steps and the time.
        engine: trains the candidates of a rung; None for one after the other.
    """

    def __init__(self, running: RunningSearch, engine: Engine | None = None) -> None:
        plan = running.plan
        self._plan = plan
        self._notebook = running.notebook
        self._trials = running.trials
        self._report = running.report
        self._clock = running.clock
        self._budget = running.budget
        self._times = running.times
        self._reserve = running.reserve
        self._forecasting = Forecasting(running)
        self._halving = Halving(plan.networks, plan.sizes, plan.seed, plan.reduction)
        self._training = RungTraining(
            running, engine or OneByOne(running.trials, running.clock), self._forecasting
        )
        self._dropped: dict[Point, tuple[float, float]] = {}  # share of the epochs, and accuracy

    def run(self) -> SearchRecord:
        """Search, and return the record, which is on disk as well.

        Raises:
            UsageError: a limit is of a figure that is not measured.
        """
        self._notebook.keep_only(self._trials.is_present)
        self._notebook.begin(self._halving.order)
        self._forecasting.begin(self._halving.order)
        alive = self._forecasting.contenders(self._halving.order)
        for rung in range(self._plan.rungs):
            alive = self._training.reach_all(rung, alive)
            # A decision saves nothing if nobody has an epoch left before the next rung.
            if any(contender.epochs[rung] < contender.epochs[rung + 1] for contender in alive):
                alive = self._decide(rung, alive)
        self._judge(self._training.reach(self._plan.rungs, self._settle(alive)))
        self._take_up_again()
        judged = [self._measured(contender) for contender in self._decided("judged")]
        return self._notebook.finish(answer_of(judged, self._plan.limits))

    def _settle(self, contenders: Sequence[Contender], rung: int | None = None) -> list[Contender]:
        """Forecast those that would go on until none of them is open, and return all that are left.

        A candidate that a forecast rules out is in the rung no more, and the others are compared
        anew. So the decision is that of a rung without it.

        Args:
            contenders: those in the rung.
            rung: its number, from 0; None if all go on.
        """
        points = [contender.point for contender in contenders]
        while True:
            alive = self._forecasting.contenders(points)
            going = alive if rung is None else self._going(rung, alive)
            waiting = [contender for contender in going if contender.is_open]
            if not waiting:
                return alive
            self._forecasting.decide(waiting, alive)

    def _going(self, rung: int, contenders: Sequence[Contender]) -> list[Contender]:
        """Return the contenders that would go on, the best first."""
        by_point = {contender.point: contender for contender in contenders}
        figures = {
            point: (self._top1(contender, rung), contender.fastest_s)
            for point, contender in by_point.items()
        }
        return [by_point[point] for point in self._halving.would_go_on(figures)]

    def _decide(self, rung: int, contenders: Sequence[Contender]) -> list[Contender]:
        """Return the contenders that go on, the best first."""
        by_point = {contender.point: contender for contender in self._settle(contenders, rung)}
        top1 = {point: self._top1(contender, rung) for point, contender in by_point.items()}
        for point, contender in by_point.items():
            self._halving.report(point, rung, top1[point], contender.fastest_s)
        decisions = self._halving.decide(by_point, rung)
        going = sorted(
            (point for point, decision in decisions.items() if decision.goes_on),
            key=lambda point: decisions[point].rank,
        )
        for point, decision in decisions.items():
            if not decision.goes_on:
                epochs = by_point[point].epochs
                self._dropped[point] = (epochs[rung] / epochs[-1], top1[point])
                self._notebook.end(
                    by_point[point],
                    "dropped",
                    f"after epoch {epochs[rung]} of {epochs[-1]}: validation top-1 "
                    f"{100 * top1[point]:.2f} %, rank {decision.rank} of {decision.count}; "
                    f"{decision.kept} went on, the last of them with "
                    f"{100 * top1[going[-1]]:.2f} %",
                )
        return [by_point[point] for point in going]

    def _judge(self, contenders: Sequence[Contender]) -> None:
        """Export and measure contenders, the best by validation first."""
        by_accuracy = sorted(
            contenders, key=lambda contender: -self._measured(contender).rungs[-1].top1
        )
        for number, contender in enumerate(by_accuracy):
            measured = self._measured(contender)
            kind: Kind = "judged"
            problem = None
            missing = unmeasured(contender, measured)
            if missing:
                if shortage := self._budget.shortage(self._times.judging(), "judging it"):
                    kind, problem = "stopped", f"out of time: {shortage}"
                else:
                    self._report("judging", contender.request.name, number, len(by_accuracy))
                    if error := self._export_and_measure(contender, measured):
                        kind, problem = "failed", error
            last = measured.rungs[-1]
            reached = f"trained to epoch {last.epoch}: validation top-1 {100 * last.top1:.2f} %"
            if problem is None:
                self._notebook.end(contender, "judged", reached)
            elif any(file.status == "ok" for file in measured.files):
                # Files that an earlier command measured are worth an answer without the others.
                left_out = f"not measured: {', '.join(missing)} ({problem})"
                self._notebook.end(contender, "judged", f"{reached}; {left_out}")
            elif kind == "stopped":
                self._notebook.end(contender, kind, f"trained to its end; {problem}")
            else:
                self._notebook.end(contender, kind, problem)

    def _export_and_measure(self, contender: Contender, measured: Measured) -> str | None:
        """Write down the files of a contender. Return why there are none; None if there are."""
        started = self._clock()
        try:
            self._notebook.take_over(measured)
            self._trials.adopt_options(contender.request, measured.run or "")
            judged = self._trials.judge(measured.run or "", contender.formats)
        except TrialError as error:
            self._notebook.add_lost(measured, self._clock() - started)
            return str(error)
        seconds = self._clock() - started
        self._times.judging_took(seconds)
        self._notebook.add_files(measured, judged, seconds)
        return None

    def _take_up_again(self) -> None:
        """Finish the best of the dropped contenders while no judged file may be shipped.

        One that a later rung dropped is better, then one that was more accurate there. A training
        that went on since makes no difference, so a command that was killed takes them up in the
        same order.
        """
        last = self._plan.rungs
        self._forecasting.decide_late(self._decided("dropped"))
        while not any(
            is_allowed(self._measured(contender), self._plan.limits)
            for contender in self._decided("judged")
        ):
            waiting = [
                contender
                for contender in self._decided("dropped")
                if not self._reserve.training_shortage(contender, last, [contender])
            ]
            if not waiting:
                break
            best = max(waiting, key=lambda contender: self._dropped[contender.point])
            if best.is_open:
                self._forecasting.decide([best], [best], are_dropped=True)
            else:
                self._judge(self._training.reach(last, [best]))
        for contender in self._decided("dropped"):  # late forecasts may have become known
            self._notebook.end(contender, "dropped", self._notebook.reason(contender.point))

    def _top1(self, contender: Contender, rung: int) -> float:
        """Return the best validation accuracy of a contender up to a rung."""
        rungs = self._measured(contender).rungs
        return next(entry.top1 for entry in rungs if entry.epoch == contender.epochs[rung])

    def _decided(self, kind: Kind) -> list[Contender]:
        return self._forecasting.contenders(self._notebook.points(kind))

    def _measured(self, contender: Contender) -> Measured:
        return self._notebook.measured(contender.request, contender.key)
