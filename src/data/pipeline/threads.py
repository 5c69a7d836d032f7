"""Parallel map that keeps few results in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from src.system import machine

_AHEAD = 2  # items per core that are started in advance

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` in the order of the items.

    Threads help because Pillow releases the interpreter lock when it decodes. ``Executor.map``
    starts all items at once. Here only a few results are in memory, as images can take 100 MB.
    """
    cores = machine.usable_cores()
    with ThreadPoolExecutor(cores) as pool:
        pending: deque[Future[Result]] = deque()
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > _AHEAD * cores:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
