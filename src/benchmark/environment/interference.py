"""What else happened on the cores during a turn: steal time, other processes, frequency."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from time import perf_counter
from typing import Any

from src.system import machine

_STAT = Path("/proc/stat")

STEAL_SHARE = 0.02
OTHER_CORES = 0.15
FREQUENCY_SPREAD = 0.05


@dataclass(frozen=True)
class Disturbance:
    """What others took of the cores that this process may use."""

    seconds: float
    steal_share: float  # of the cores' time: the hypervisor gave it to another machine
    # Cores kept busy by other processes on average. Of one turn it may be below 0: the system
    # counts in ticks, and what one turn has too few of, another has too many.
    other_cores: float
    frequency_hz: float | None  # mean over the cores at the end, None where it can't be read
    frequency_spread: float | None = None  # (highest - lowest) / mean of several turns

    @classmethod
    def over(cls, turns: Sequence[Disturbance]) -> Disturbance:
        """That of several turns together."""
        total = sum(turn.seconds for turn in turns)
        frequencies = [turn.frequency_hz for turn in turns if turn.frequency_hz is not None]
        mean = sum(frequencies) / len(frequencies) if frequencies else None
        return cls(
            seconds=total,
            steal_share=sum(turn.steal_share * turn.seconds for turn in turns) / total,
            other_cores=max(0.0, sum(turn.other_cores * turn.seconds for turn in turns) / total),
            frequency_hz=mean,
            frequency_spread=(max(frequencies) - min(frequencies)) / mean if mean else None,
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Disturbance:
        """What :meth:`to_dict` gave, from a file that may have more in it."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def interrupts(self) -> bool:
        """Whether others took the cores away often enough for calls to have waited for them."""
        return self.steal_share > STEAL_SHARE or self.other_cores > OTHER_CORES

    def causes(self) -> list[str]:
        """What of it was enough to be seen in a figure, the likeliest cause first."""
        found = []
        if self.steal_share > STEAL_SHARE:
            found.append("steal")
        if self.other_cores > OTHER_CORES:
            found.append("busy")
        if (self.frequency_spread or 0) > FREQUENCY_SPREAD:
            found.append("clock")
        return found

    def to_dict(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True)
class Observation:
    """The counters of the usable cores at one moment."""

    at: float
    busy: float  # seconds, this process and its workers included
    steal: float  # seconds
    cores: int

    @classmethod
    def now(cls) -> Observation | None:
        """Read the counters; None where the system has none (it is not Linux) or others."""
        try:
            text = _STAT.read_text(encoding="ascii")
            return cls.parse(text, machine.usable_core_numbers(), perf_counter())
        except (OSError, ValueError):
            return None  # a sandbox's own /proc may hold anything

    @classmethod
    def parse(cls, text: str, cores: set[int], at: float) -> Observation:
        """Read the content of ``/proc/stat``, of which the lines of ``cores`` count.

        Its columns: https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat
        """
        tick = 1 / os.sysconf("SC_CLK_TCK")
        busy = steal = 0
        for line in text.splitlines():
            name, _, values = line.partition(" ")
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cores:
                # The later columns came with later kernels, and some sandboxes lack them.
                counts = [*map(int, values.split()), *[0] * 8]
                user, nice, system, _, _, irq, softirq, stolen = counts[:8]
                busy += user + nice + system + irq + softirq
                steal += stolen
        return cls(at, busy * tick, steal * tick, len(cores))

    def until(self, later: Observation, own_seconds: float) -> Disturbance:
        """What happened between this moment and a later one.

        Args:
            later: the counters at the end.
            own_seconds: processor time that the measurement itself spent in between.
        """
        seconds = max(later.at - self.at, 1e-9)
        others = later.busy - self.busy - own_seconds
        return Disturbance(
            seconds=seconds,
            steal_share=(later.steal - self.steal) / (self.cores * seconds),
            other_cores=others / seconds,
            frequency_hz=machine.frequency_hz(),
        )
