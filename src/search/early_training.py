"""The rule by which candidates train to the first rung before they are forecast."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from src.forecast.candidate import Request
from src.forecast.records import TrainingCost
from src.search.budget import FIRST_START_S, StepTimes, epoch_seconds, with_epoch_seconds
from src.search.halving import Point, rung_epochs
from src.search.notebook import Notebook
from src.search.plan import Plan
from src.search.records import Measured

# A training to the first rung is for nothing if the forecast then rules the candidate out, so it
# has to be clearly cheaper than the forecast that it may spare.
MARGIN: Final = 1.5


class EarlyTraining:
    """Decides which candidates train to the first rung before their forecasts.

    The forecast of a candidate that the rung drops decides nothing. So where the longest known
    training to the first rung is clearly cheaper than a forecast, candidates train first. The costs
    are those of the forecasts and the trainings that there are, so a command that was killed comes
    to the same decision.

    Args:
        plan: the candidates and settings.
        notebook: the trainings that are done.
        times: has the seconds of the forecasts.
    """

    def __init__(self, plan: Plan, notebook: Notebook, times: StepTimes) -> None:
        self._plan = plan
        self._notebook = notebook
        self._times = times
        self._costs: dict[Point, TrainingCost] = {}

    def learn(self, point: Point, cost: TrainingCost) -> None:
        """Note the cost of a training by a candidate's own forecast."""
        self._costs[point] = cost

    @property
    def knows_cost(self) -> bool:
        """True if there is a forecast with the cost of a training."""
        return bool(self._costs)

    def comes_first(self, request: Request) -> bool:
        """Return True if a candidate trains, or has trained, to the first rung before its forecast.

        Without a rung, or if the first one is the whole training, no forecast can be spared.
        """
        if not self.knows_cost or not self._plan.rungs:
            return False
        first, *_, last = self.epochs(request)
        if first == last:
            return False
        if self._measured(request).epochs >= first:
            return True
        return MARGIN * self._seconds(request, first) <= self._times.forecast()

    def epochs(self, request: Request) -> list[int]:
        """Return the epochs of the rungs of a candidate without a forecast."""
        return rung_epochs(self.cost(request).epochs, self._plan.rungs, self._plan.reduction)

    def cost(self, request: Request) -> TrainingCost:
        """Return an upper estimate of the cost of a candidate's training without its forecast.

        It is that of the costliest candidate that is forecast, with more pixels if the image is
        larger than all of theirs. A training of the candidate replaces it if it took longer, or
        if an epoch with the start of the command took less. So time that was kept by an estimate
        is enough afterwards, unless the training took longer than that.

        Args:
            request: the candidate. The cost of at least one other one is known.
        """
        costliest = max(self._costs.values(), key=epoch_seconds)
        size = request.image_size
        seconds = epoch_seconds(costliest) * _scale(size, [known for _, known in self._costs])
        measured = self._measured(request)
        spent = sum(rung.seconds for rung in measured.rungs)
        if spent > 0:
            assumed = len(measured.rungs) * FIRST_START_S + measured.epochs * seconds
            own = spent / measured.epochs
            seconds = own if spent > assumed else min(seconds, own)
        epochs = measured.whole_epochs or self._epochs_of(request) or costliest.epochs
        return msgspec.structs.replace(with_epoch_seconds(costliest, seconds), epochs=epochs)

    def _epochs_of(self, request: Request) -> int | None:
        """Return the epochs of a network by a forecast of another size; None if there is none."""
        network, _ = request.point
        of_network = (cost.epochs for (name, _), cost in self._costs.items() if name == network)
        return next(of_network, None)

    def _seconds(self, request: Request, epoch: int) -> float:
        """Return an upper estimate of the seconds of a training to the first rung.

        Args:
            request: the candidate, which has not trained so far.
            epoch: of the first rung.
        """
        steps = epoch * epoch_seconds(self.cost(request))
        trained = [
            (entry.image_size, rung.seconds)
            for entry in self._notebook.of_plan
            for rung in entry.rungs[:1]
            if rung.epoch == epoch
        ]
        if not trained:
            return FIRST_START_S + steps
        sizes = [size for size, _ in trained] + [size for _, size in self._costs]
        longest = max(seconds for _, seconds in trained) * _scale(request.image_size, sizes)
        return max(longest, steps)  # an early rung of a training that came further takes no time

    def _measured(self, request: Request) -> Measured:
        return self._notebook.measured(request, self._plan.keys[request.point])


def _scale(image_size: int | None, known: Iterable[int | None]) -> float:
    """Return the pixels of an image over those of the largest known one, at least 1."""
    largest = max((size for size in known if size), default=None)
    return max(1.0, (image_size / largest) ** 2) if image_size and largest else 1.0
