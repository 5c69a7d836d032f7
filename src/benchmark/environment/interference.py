"""Load on the cores by others during a turn: steal time, other processes, frequency."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from src.run.latency import Disturbance
from src.system import machine

_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class Observation:
    """CPU time counters of the usable cores at one moment."""

    at: float  # seconds, by the monotonic clock
    busy: float  # seconds, this process and its workers included
    steal: float  # seconds
    cores: int

    @classmethod
    def now(cls) -> Observation | None:
        """Read the counters; return None if ``/proc/stat`` is missing or has another format."""
        try:
            text = _STAT.read_text(encoding="ascii")
            return cls.parse(text, machine.usable_core_numbers(), perf_counter())
        except (OSError, ValueError):
            return None  # not Linux, or a sandbox with its own /proc

    @classmethod
    def parse(cls, text: str, cores: set[int], at: float) -> Observation:
        """Parse the content of ``/proc/stat``; only the lines of ``cores`` are counted.

        Columns: https://docs.kernel.org/filesystems/proc.html#miscellaneous-kernel-statistics-in-proc-stat
        """
        tick = 1 / os.sysconf("SC_CLK_TCK")
        busy = steal = 0
        for line in text.splitlines():
            name, _, values = line.partition(" ")
            if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in cores:
                # The last columns are missing in old kernels and some sandboxes.
                counts = [*map(int, values.split()), *[0] * 8]
                user, nice, system, _, _, irq, softirq, stolen = counts[:8]
                busy += user + nice + system + irq + softirq
                steal += stolen
        return cls(at, busy * tick, steal * tick, len(cores))

    def until(self, later: Observation, own_seconds: float, threads: int | None) -> Disturbance:
        """Return the disturbance between this moment and a later one.

        Args:
            later: the counters at the end.
            own_seconds: CPU seconds that the measurement itself used in between.
            threads: of the measurement; None if they are unknown.
        """
        seconds = max(later.at - self.at, 1e-9)
        busy, stolen = later.busy - self.busy, later.steal - self.steal
        # Idle cores lose nothing. All cores of the threads count as in use: a turn is short, and
        # the counters have ticks.
        in_use = max(busy + stolen, min(threads or self.cores, self.cores) * seconds)
        return Disturbance(
            seconds=seconds,
            steal_share=stolen / in_use,
            other_cores=(busy - own_seconds) / seconds,
            frequency_hz=machine.frequency_hz(),
            cores=self.cores,
            threads=threads,
        )
