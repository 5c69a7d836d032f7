"""The configuration to use, and what batching gains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from src.run.latency import Interval
from src.run.serve_test import Configuration
from src.serve_test.highest import gain_of


class Choice(NamedTuple):
    """The position of the configuration to use, and the gain of batching in the rate."""

    position: int | None  # None if no configuration holds a rate
    gain: Interval | None  # None if it cannot be told


def choose(configurations: Sequence[Configuration]) -> Choice:
    """Return the configuration with the highest rate.

    A configuration that batches has to hold measurably more than the best one that does not: its
    code is simpler, and a single request is answered sooner.
    """
    single = _best(configurations, batches=False)
    batched = _best(configurations, batches=True)
    if single is None or batched is None:
        return Choice(batched if single is None else single, None)
    gain = gain_of(configurations[single].bounds, configurations[batched].bounds)
    if gain is None:
        lows = configurations[batched].highest, configurations[single].highest
        helps = lows[0] is not None and lows[1] is not None and lows[0].low > lows[1].high
    else:
        helps = gain.low > 1
    return Choice(batched if helps else single, gain)


def _best(configurations: Sequence[Configuration], *, batches: bool) -> int | None:
    rates = [
        (configuration.highest.value, -index)
        for index, configuration in enumerate(configurations)
        if configuration.highest is not None and configuration.batches == batches
    ]
    return -max(rates)[1] if rates else None
