"""The known probes of each configuration of a load test."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.run.serve_test import Bounds, Configuration, Probe
from src.serve_test.bracket import GROWTH, LATER_GROWTH, Bracket
from src.serve_test.highest import highest_rate
from src.serve_test.setups import Setup


@dataclass
class State:
    """The known probes of one configuration."""

    setup: Setup
    call: float | None = None  # median seconds of a single call
    batch_call: float | None = None
    probes: list[Probe] = field(default_factory=list)
    brackets: dict[int, Bracket] = field(default_factory=dict)  # by run
    reason: str | None = None
    is_given_up: bool = False  # for a reason that may not be there another time

    @classmethod
    def of(cls, known: Configuration) -> State:
        """Return the state that an earlier command has left, without probes that say nothing.

        The search of each run stands where its probes have brought it.
        """
        setup = Setup(known.threads, known.streams, known.window_s, known.largest_batch)
        probes = [probe for probe in known.probes if probe.verdict != "lagged"]
        state = cls(setup, known.call_s, known.batch_call_s, probes)
        for run in sorted({probe.run for probe in probes}):
            measured = [probe for probe in probes if probe.run == run]
            bracket = state.begin(run, measured[0].rate)
            for probe in measured:
                bracket.add(probe.rate, holds=probe.verdict == "held")
        return state

    def begin(self, run: int, guess: float) -> Bracket:
        """Begin the search of a run at a first rate; a run after others takes small steps."""
        is_later = any(bounds.run < run for bounds in self.bounds)
        self.brackets[run] = Bracket(guess, step=LATER_GROWTH if is_later else GROWTH)
        return self.brackets[run]

    def give_up(self, reason: str) -> None:
        """Leave this configuration for now; a later command tries it again."""
        self.reason = reason
        self.is_given_up = True

    @property
    def bounds(self) -> list[Bounds]:
        """Results of the runs that found a rate that holds and one that does not."""
        return [
            Bounds(run=run, held=bracket.held, failed=bracket.failed)
            for run, bracket in sorted(self.brackets.items())
            if bracket.held is not None and bracket.failed is not None
        ]

    def record(self) -> Configuration:
        """Return the record."""
        setup, bounds = self.setup, self.bounds
        return Configuration(
            threads=setup.threads,
            streams=setup.streams,
            window_s=setup.window,
            largest_batch=setup.largest,
            call_s=self.call,
            batch_call_s=self.batch_call,
            probes=self.probes,
            bounds=bounds,
            highest=highest_rate(bounds),
            reason=self.reason,
        )
