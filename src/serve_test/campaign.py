"""All probes of a load test: the search for the highest rate of each configuration, in each run.

What was measured is in the record after every probe. A later command makes the same decisions from
the same probes, so it goes on where the earlier one was. The time of a search depends only on those
before it in the schedule, which a later command finds as they were.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import NamedTuple

from src.run.serve_test import ProbeVerdict
from src.serve_test import judgement
from src.serve_test.bracket import MOST_PROBES
from src.serve_test.slot import Generating, Open, Slot
from src.serve_test.state import State
from src.system.console import Report
from src.worker.errors import WorkerError

_FIRST_SHARE = 0.7  # of what calls of the largest batch could answer, to begin with
_FIRST_WEIGHT = 2  # of the first run's time, which takes more probes
_ATTEMPTS = 3  # at a rate, if the generator lags
_LOWEST_SHARE = 0.1  # of what the calls could answer; rates below are not tried
_ROUND_SECONDS = 10  # of a time limit that is named


class TimeOverError(Exception):
    """The time of all probes is over, before one that takes ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class Ending(NamedTuple):
    """The end of a search.

    Args:
        is_complete: False if a later command could do more: the time was over, or a configuration
            was given up.
        enough_seconds: time limit that is enough for all of it, if the time was over.
    """

    is_complete: bool
    enough_seconds: float | None = None


class Campaign:
    """The search over all configurations and runs.

    Args:
        states: of the configurations, the plainest one first.
        open_streams: starts the streams of a configuration.
        generating: binds this thread to the generator's core.
        samples: measured requests of a probe.
        runs: of each configuration.
        max_seconds: of all probes.
        limit: of the p99, in seconds.
        report: gets the progress.
        changed: is called when there is more to store.
    """

    def __init__(
        self,
        states: Sequence[State],
        open_streams: Open,
        generating: Generating,
        samples: int,
        runs: int,
        max_seconds: float,
        limit: float,
        report: Report,
        changed: Callable[[], None],
    ) -> None:
        self._states = states
        self._open = open_streams
        self._generating = generating
        self._samples = samples
        self._runs = runs
        self._max_seconds = max_seconds
        self._limit = limit
        self._report = report
        self._changed = changed

    def run(self) -> Ending:
        """Search in each configuration and run, and return how that ended.

        A configuration whose process fails has the reason, and the others go on.
        """
        slots = [(run, state) for run in range(self._runs) for state in self._states]
        for number, (run, state) in enumerate(slots):
            if state.reason is not None:
                continue
            probes = len(state.probes)
            left = [slot_run for slot_run, other in slots[number:] if other.reason is None]
            weights = [_FIRST_WEIGHT if slot_run == 0 else 1 for slot_run in left]
            budget = (self._max_seconds - self._spent(slots[:number])) * weights[0] / sum(weights)
            try:
                self._search(state, run, budget, (number, len(slots)))
            except TimeOverError as over:
                self._changed()
                return Ending(is_complete=False, enough_seconds=self._enough(over.seconds))
            except WorkerError as error:
                state.give_up(str(error))
            if len(state.probes) > probes or state.reason is not None:
                self._changed()
        return Ending(not any(state.is_given_up for state in self._states))

    def _enough(self, seconds: float) -> float:
        """Return a time limit that leaves each search as many probes as it may take.

        Args:
            seconds: of the probe that was not measured. A longer one is counted instead.
        """
        states = [state for state in self._states if state.reason is None]
        longest = max([seconds, *(probe.seconds for state in states for probe in state.probes)])
        whole = self._runs * len(states) * MOST_PROBES * longest
        rounds = math.ceil(max(whole, self._max_seconds + longest) / _ROUND_SECONDS)
        return float(_ROUND_SECONDS * rounds)

    def _spent(self, slots: Sequence[tuple[int, State]]) -> float:
        """Return the seconds of all probes of some runs and configurations."""
        return sum(
            probe.seconds for run, state in slots for probe in state.probes if probe.run == run
        )

    def _search(self, state: State, run: int, budget: float, place: tuple[int, int]) -> None:
        """Find the highest rate of a configuration in one run.

        Raises:
            TimeOverError: there is no time for the next probe.
            WorkerError: a process failed.
        """
        with closing(Slot(state, run, self._limit, self._open, self._generating)) as slot:
            capacity = slot.capacity()
            if state.call is not None and state.call > self._limit:
                state.reason = f"a single call takes {1e3 * state.call:.3g} ms"
                return
            bracket = state.brackets.get(run) or state.begin(run, _guess(state, run, capacity))
            while (rate := bracket.next_rate()) is not None:
                if bracket.is_closed and slot.seconds() > budget:
                    return
                if rate < _LOWEST_SHARE * capacity:
                    state.reason = f"no rate held, down to {bracket.failed or rate:,.3g} requests/s"
                    return
                self._report(
                    f"run {run + 1} of {self._runs}, {state.setup}",
                    f"{rate:,.1f} requests/s",
                    *place,
                )
                verdict = self._settled_verdict(slot, rate)
                if verdict == "lagged":
                    state.give_up(
                        f"the load generator itself was late {_ATTEMPTS} times at "
                        f"{rate:,.3g} requests/s, because others used its core"
                    )
                    return
                bracket.add(rate, holds=verdict == "held")

    def _settled_verdict(self, slot: Slot, rate: float) -> ProbeVerdict:
        """Return the verdict at a rate, of the first attempt in which the generator kept up."""
        arrivals = judgement.arrivals_for(self._samples, rate, self._limit)
        for attempt in range(_ATTEMPTS):
            total = sum(probe.seconds for state in self._states for probe in state.probes)
            if total + arrivals / rate > self._max_seconds:
                raise TimeOverError(arrivals / rate)
            probe = slot.measure(rate, attempt, arrivals)
            self._changed()
            if probe.verdict != "lagged":
                break
        return probe.verdict


def _guess(state: State, run: int, capacity: float) -> float:
    """Return the first rate of a run: that of the runs before it, or a share of the capacity."""
    earlier = [bounds.held for bounds in state.bounds if bounds.run < run]
    if not earlier:
        return _FIRST_SHARE * capacity
    return math.exp(statistics.fmean(map(math.log, earlier)))
