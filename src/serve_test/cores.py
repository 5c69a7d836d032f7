"""The cores of the load generator and of the streams, which should not share one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from src.system import machine

_NICE = -20  # the highest priority that is not real-time; privileged


@dataclass(frozen=True)
class Placement:
    """Cores of the generator and of the streams.

    Args:
        streams: cores that the streams may use.
        generator: core of the generator; None if it shares the cores of the streams.
    """

    streams: frozenset[int]
    generator: int | None

    @classmethod
    def here(cls) -> Placement:
        """Return the placement on this machine.

        The generator gets the last core if there are two and the system can bind a process to
        cores. With a container's quota of less than two cores, binding would not give it one.
        """
        numbers = sorted(machine.usable_core_numbers())
        if machine.usable_cores() < 2 or not hasattr(os, "sched_setaffinity"):  # noqa: PLR2004
            return cls(frozenset(numbers), None)
        return cls(frozenset(numbers[:-1]), numbers[-1])

    @property
    def stream_cores(self) -> int:
        """Number of cores that the streams may use at the same time."""
        usable = machine.usable_cores()
        return max(1, min(len(self.streams), usable - (self.generator is not None)))

    @contextlib.contextmanager
    def generating(self) -> Iterator[None]:
        """Bind this thread to the generator's core within the block.

        There it also has the highest priority, if the system allows it. On a shared core it would
        keep the streams from answering.
        """
        if self.generator is None:
            yield
            return
        with _bound({self.generator}), _at_high_priority():
            yield

    @contextlib.contextmanager
    def starting_streams(self) -> Iterator[None]:
        """Bind processes that this thread starts within the block to the cores of the streams."""
        with _bound(None if self.generator is None else set(self.streams)):
            yield


@contextlib.contextmanager
def _bound(cores: set[int] | None) -> Iterator[None]:
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _at_high_priority() -> Iterator[None]:
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICE)
    except OSError:  # not permitted
        yield
        return
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
