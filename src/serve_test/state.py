"""What is known of each configuration of a load test."""

from __future__ import annotations

from dataclasses import dataclass, field

from src.run.serve_test import Bounds, Configuration, Probe
from src.serve_test.bracket import Bracket
from src.serve_test.highest import highest_rate
from src.serve_test.setups import Setup


@dataclass
class State:
    """What is known of one configuration."""

    setup: Setup
    call: float | None = None  # median seconds of a single call
    batch_call: float | None = None
    probes: list[Probe] = field(default_factory=list)
    brackets: dict[int, Bracket] = field(default_factory=dict)  # by run
    reason: str | None = None

    @classmethod
    def of(cls, known: Configuration) -> State:
        """Return the state that an earlier command has left, without probes that say nothing."""
        setup = Setup(known.threads, known.streams, known.window_s, known.largest_batch)
        probes = [probe for probe in known.probes if probe.verdict != "lagged"]
        return cls(setup, known.call_s, known.batch_call_s, probes)

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
